"""Starting a project, its data and its features, as a newcomer types them."""

from __future__ import annotations

import getpass
import io
import sys

import pytest
from cli_orders import orders

from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.cli import main
from mainspring._entrypoints.cli.opening import recorded


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_init_from_a_csv_gives_a_project_that_runs(project, cli):
    """init, ingest, build, check: four commands from a CSV file to checked features."""
    assert cli("data", "ingest").code == 0
    built = cli("features", "build", "--json")
    assert built.code == 0
    assert built.document["table_rows"] == 60
    assert "nothing to do" in cli("features", "build").out
    assert cli("features", "check", "--json").document["ok"] is True
    row = cli("features", "get", "o003", "--json").document["rows"][0]
    assert row["amount"] == 5.5
    assert row["country"] == "DE"
    assert cli("features", "ls", "--json").document["feature_sets"][0]["name"] == "features"


def test_init_says_what_it_will_predict(cli, project, monkeypatch):
    """A target that was guessed is told at once, as SQL over the row."""
    monkeypatch.chdir(project.parent)
    told = cli("init", "guessed", "--csv", "orders.csv", "--yes").out
    assert 'It predicts "returned" = ' in told


def test_init_asks_its_nine_questions_on_a_terminal(cli, tmp_path, monkeypatch, capsys):
    """On a terminal the questions are asked and the answers written down."""
    (tmp_path / "orders.csv").write_text(orders())
    answers = ["orders.csv", "Fewer returns.", "Returns cost money.", "Will it return?", "returned"]
    answers += [""] * 6
    monkeypatch.setattr(sys, "stdin", Terminal("\n".join(answers) + "\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["init", "asked"]) == 0
    monkeypatch.undo()
    text = (tmp_path / "asked" / "mainspring.toml").read_text()
    assert "Fewer returns." in text
    assert "Will it return?" in text
    assert "Returns cost money." in (tmp_path / "asked" / "PROBLEM.md").read_text()


def test_init_broken_off_writes_nothing(cli, tmp_path, monkeypatch):
    """The end of input in the middle of the questions leaves no project."""
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["init", "half"]) == 2
    assert not (tmp_path / "half").exists()


def test_init_never_overwrites(project, cli, tmp_path, monkeypatch):
    """A second init in the same folder is refused with exit code 1."""
    monkeypatch.chdir(tmp_path)
    assert cli("init", "shop", "--csv", "orders.csv", "--yes").code == 1
    assert cli("init", "--list-templates", "--json").document["templates"][:2] == [
        "empty",
        "tabular",
    ]


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda text: None, 3, "there is no file"),
        (lambda text: "", 2, "header line"),
        (lambda text: text + "o000,2024-01-01T10:00:00Z,DE,1,no\n", 2, "share their key"),
        (lambda text: text + "o900,2024-01-01T10:00:00Z,DE\n", 2, " 3 values"),
        (lambda text: text.replace("amount", "amout"), 2, "amount"),
        (lambda text: text + "o900,2024-01-01T10:00:00Z,DE,abc,no\n", 2, "should hold numbers"),
        (lambda text: text.encode().replace(b"DE", b"D\xfc", 1), 2, "UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(project, cli, spoil, code, said):
    """A missing, empty, doubled, cut, renamed or wrongly encoded file is named and explained."""
    file = project.parent / "orders.csv"
    text = spoil(file.read_text())
    file.unlink()
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    answer = cli("data", "ingest")
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert cli("data", "ls", "--json").document["datasets"][0]["version"] is None


def test_windows_lines_are_read(project, cli):
    """A file with CR LF line ends, as spreadsheets write them, gives all its rows."""
    (project.parent / "orders.csv").write_bytes(orders(end="\r\n").encode())
    assert cli("data", "ingest").code == 0
    assert cli("data", "show", "rows", "--json").document["dataset"]["rows"] == 60


def test_a_wrong_project_file_is_told_with_its_line(project, cli):
    """A misspelt key or zone stops every command with line and nearest spelling, exit code 2."""
    file = project / "mainspring.toml"
    file.write_text(file.read_text().replace("[sources.rows]", '[sources.rows]\ntimezon = "UTC"'))
    answer = cli("data", "ingest")
    assert answer.code == 2
    assert "mainspring.toml:" in answer.err
    assert "'timezone'" in answer.err
    assert cli("doctor").code == 1


def test_versions_are_listed_compared_and_set_aside(ingested, cli):
    """ls, log, show, diff and quarantine tell what each version holds."""
    file = ingested.parent / "orders.csv"
    toml = ingested / "mainspring.toml"
    amount = 'column = "amount"\nmin'
    strict = 'column = "amount"\nseverity = "quarantine"\nmin'
    toml.write_text(toml.read_text().replace(amount, strict))
    more = "o900,2024-02-01T10:00:00Z,DE,7,no\no901,2024-02-01T10:00:00Z,DE,7777,no\n"
    file.write_text(file.read_text() + more)
    assert cli("data", "ingest").code == 0
    versions = cli("data", "log", "rows", "--json").document["versions"]
    assert [one["version"] for one in versions] == [2, 1]
    diff = cli("data", "diff", "rows", "1", "2", "--json").document
    assert (diff["added"], diff["removed"], diff["changed"]) == (1, 0, 0)
    shown = cli("data", "show", "rows@1", "--json").document
    assert shown["dataset"]["rows"] == 60
    assert len(shown["first_rows"]) == 5
    aside = cli("data", "quarantine", "rows", "--json").document["rows"]
    assert [row["order_id"] for row in aside] == ["o901"]
    assert "in_range(amount)" in cli("data", "quarantine", "rows").out
    assert cli("data", "show", "rows@7").code == 3
    assert cli("data", "show", "rws").code == 3


def test_check_says_no_with_one_and_stores_nothing(project, cli):
    """Data check tells what an ingestion would refuse: exit code 1, and no version."""
    toml = project / "mainspring.toml"
    toml.write_text(toml.read_text().replace("min = 1\nseverity", "min = 1000\nseverity"))
    answer = cli("data", "check", "--json")
    assert answer.code == 1
    assert answer.document["ok"] is False
    assert cli("data", "ls", "--json").document["datasets"][0]["version"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("features = 1\n", "int"),
        ("feature = 1\n", "'feature'"),
        ("x = 1\n1 / 0\n", "line 2"),
        ("def broken(:\n", "line 1"),
    ],
)
def test_a_broken_features_file_is_told_with_its_line(ingested, cli, text, said):
    """What is wrong with the user's own Python is said, with the line, and without a traceback."""
    (ingested / "features.py").write_text(text)
    answer = cli("features", "build")
    assert answer.code in {2, 3}
    assert said in answer.err


def test_problem_is_shown(project, cli):
    """Problem show tells target and metrics; check without a live model is exit code 3."""
    assert cli("problem", "show", "--json").document["problem"]["dataset"] == "rows"
    assert "Target" in cli("problem", "show").out
    assert cli("problem", "check").code == 3


def test_settings_tell_where_they_come_from(project, cli, monkeypatch):
    """Config show names the origin of every value and hides secrets."""
    monkeypatch.setenv("MAINSPRING_TOKEN", "verysecret")
    monkeypatch.setenv("MAINSPRING_THREADS", "3")
    answer = cli("config", "show", "--json")
    found = {one["name"]: one for one in answer.document["settings"]}
    assert found["threads"]["origin"] == "environment"
    assert found["threads"]["value"] == 3
    assert "verysecret" not in answer.out + cli("config", "show").out
    assert cli("config", "show", "thread").code == 3


def test_doctor_finds_what_is_wrong(ingested, cli):
    """A sound workspace is exit code 0; a damaged object is found, with what to do."""
    assert cli("doctor", "--json").document["ok"] is True
    from mainspring._bootstrap.workspace import open_workspace

    with open_workspace(ingested) as workspace:
        digest = workspace.objects.put(b"weights")
    name = digest.removeprefix("sha256:")
    file = next(
        p for p in (ingested / ".mainspring" / "objects").rglob("*") if name[-20:] in p.name
    )
    file.chmod(0o600)
    file.write_bytes(b"other")
    answer = cli("doctor", "--json")
    assert answer.code == 1
    wrong = [one for one in answer.document["findings"] if one["severity"] == "wrong"]
    assert [one["subject"] for one in wrong] == ["objects"]
    assert wrong[0]["todo"]


def test_the_record_names_who_typed(project, cli, monkeypatch):
    """What commands did is a person's: the login name's, or the setting's."""
    person = f"person:{getpass.getuser()}"
    assert cli("data", "ingest").code == 0
    events = cli("audit", "log", "--json").document["events"]
    assert events
    assert {event["actor"] for event in events} == {person}
    monkeypatch.setenv("MAINSPRING_ACTOR", "ann")
    assert cli("features", "build").code == 0
    newer = cli("audit", "log", "--json").document["events"][: -len(events)]
    assert {event["actor"] for event in newer} == {"person:ann"}


def test_what_nobody_typed_is_the_service_s(project):
    """A workspace that a server or a worker opened acts by itself."""
    with open_workspace(project / ".mainspring", attended=False) as workspace:
        workspace.tracking.experiments.create("nightly")
        events = recorded(workspace, lambda log: log.newest(limit=1))
    assert [event.actor for event in events] == ["service:mainspring"]
