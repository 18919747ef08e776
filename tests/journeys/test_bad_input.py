"""What goes wrong in a newcomer's hands is told with what to do next, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests import needs
from tests.journeys.newcomer import HEADER, customers, write_csv

COLUMNS = [*HEADER, "churned"]
ROWS = customers(400)


@pytest.fixture
def file(tmp_path):
    return write_csv(tmp_path / "customers.csv", COLUMNS, ROWS)


@pytest.fixture
def project(type_in, file, tmp_path, monkeypatch):
    said = type_in("init", "churn", "--csv", "customers.csv", "--yes")
    assert said.code == 0, said.err
    monkeypatch.chdir(tmp_path / "churn")
    text = (tmp_path / "churn" / "mainspring.toml").read_text()
    small = 'learner = "logistic"'
    (tmp_path / "churn" / "mainspring.toml").write_text(
        text.replace('learner = "gradient_boosting"', small)
    )
    return tmp_path / "churn"


def refused(said, code, exit_code):
    """The refusal has its code, a sentence, and a hint that is a sentence too."""
    assert f"[{code}]" in said.err, said.err
    assert said.code == exit_code
    lines = [line for line in said.err.splitlines() if line.strip()]
    sentence, hint = lines[-3], lines[-2]
    assert sentence.startswith("mainspring: ")
    assert hint.startswith("  ")
    assert len(hint.split()) > 2
    assert "Traceback" not in said.err


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


BROKEN_FILES = {
    "empty": (b"", "project.csv_empty"),
    "blank": (b"\n\n  \n", "project.csv_empty"),
    "header only": (b"a,b,c\n", "project.csv_empty"),
    "latin1": ("name,city\n1,Zürich\n2,Bern\n".encode("latin1"), "project.csv_not_utf8"),
    "utf-16": ("name,city\n1,Bern\n".encode("utf-16"), "project.csv_not_utf8"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "project.csv_ragged"),
    "no header": (b"1,2\n3,4\n", "project.csv_no_header"),
    "twice": (b"a,A\n1,2\n3,4\n", "project.csv_duplicate_column"),
    "one class": (b"x,churned\n1,yes\n2,yes\n3,yes\n", "project.one_class"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_project_is_not_started_from_a_broken_file(type_in, tmp_path, name):
    """A CSV file that is no table is refused by name and place, and no folder appears."""
    data, code = BROKEN_FILES[name]
    (tmp_path / "broken.csv").write_bytes(data)
    target = ("--target", "churned") if name == "one class" else ()
    said = type_in("init", "churn", "--csv", "broken.csv", "--yes", *target)
    refused(said, code, 2)
    assert tree(tmp_path) == ["broken.csv"]


def test_a_project_is_not_started_from_a_file_that_is_not_there(type_in, file, tmp_path):
    """The nearest name is offered."""
    said = type_in("init", "churn", "--csv", "costumers.csv", "--yes")
    refused(said, "project.csv_not_found", 3)
    assert "customers.csv" in said.err
    assert tree(tmp_path) == ["customers.csv"]


def test_a_target_that_is_no_column_is_refused(type_in, file, tmp_path):
    """The nearest column is offered."""
    said = type_in("init", "churn", "--csv", "customers.csv", "--target", "chruned", "--yes")
    refused(said, "project.no_such_column", 2)
    assert "'churned'" in said.err
    assert tree(tmp_path) == ["customers.csv"]


def _renamed(file):
    write_csv(file, ["tenure" if c == "tenure_months" else c for c in COLUMNS], ROWS)


def _in_latin1(file):
    file.write_bytes(file.read_bytes() + "c9,1,2,monat für monat,1,north,no\n".encode("latin1"))


LATER = {
    "missing": (lambda file: file.unlink(), "data.source_missing", 3),
    "empty": (lambda file: file.write_text(""), "data.source_empty", 2),
    "header only": (lambda file: write_csv(file, COLUMNS, []), "data.source_empty", 2),
    "another column": (_renamed, "data.unknown_column", 2),
    "duplicate keys": (
        lambda file: write_csv(file, COLUMNS, [*ROWS, ROWS[7]]),
        "data.duplicate_keys",
        2,
    ),
    "latin1": (_in_latin1, "data.not_utf8", 2),
    "ragged": (lambda file: file.write_text(file.read_text() + "c9,1\n"), "data.bad_line", 2),
}


@pytest.mark.parametrize("name", LATER)
def test_a_source_that_broke_since_leaves_the_version_before(type_in, project, file, name):
    """A run over a source that broke is refused; the newest version and the model stay."""
    assert type_in("run", "train").code == 0
    spoil, code, exit_code = LATER[name]
    spoil(file)
    for command in (("data", "ingest"), ("run", "train")):
        refused(type_in(*command), code, exit_code)
    datasets = type_in("data", "ls", "--json").document["datasets"]
    assert [(one["dataset"], one["version"], one["rows"]) for one in datasets] == [("rows", 1, 400)]
    assert type_in("endpoints", "ls", "--json").document["endpoints"].keys() == {"churn"}
    assert type_in("audit", "verify").code == 0
    write_csv(file, COLUMNS, ROWS)
    again = type_in("run", "train", "--json").document["steps"]
    assert [one["state"] for one in again[:3]] == ["cached"] * 3


def test_a_target_that_became_one_class_is_refused(type_in, project, file):
    """Rows of one outcome alone teach nothing; no version is registered."""
    write_csv(file, COLUMNS, [[*row[:-1], "no"] for row in ROWS])
    said = type_in("run", "train")
    refused(said, "training.one_class", 2)
    assert type_in("models", "ls", "--json").document["models"] == []
    executions = type_in("executions", "ls", "--json").document["executions"]
    assert [one["state"] for one in executions] == ["failed"]


TIMES = {
    "day first": (lambda n: f"{n % 28 + 1:02d}.03.2024 10:00", "data.bad_time"),
    "no such day": (
        lambda n: "2024-02-31T10:00:00" if n == 9 else "2024-02-01T10:00:00",
        "data.bad_time",
    ),
    "words": (lambda n: "yesterday" if n == 9 else "2024-02-01T10:00:00", "data.bad_time"),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_date_that_is_none_is_refused(type_in, project, file, name):
    """A time column must hold moments; the hint says how to convert them."""
    when, code = TIMES[name]
    write_csv(file, [*COLUMNS, "seen_at"], [[*row, when(n)] for n, row in enumerate(ROWS)])
    toml = project / "mainspring.toml"
    text = toml.read_text().replace(
        'key = ["customer_id"]', 'key = ["customer_id"]\ntime = "seen_at"'
    )
    text = text.replace("target_sql", 'label_delay = "0s"\ntarget_sql').replace(
        'method = "hash"', 'method = "time"'
    )
    toml.write_text(text)
    said = type_in("data", "ingest")
    refused(said, code, 2)
    assert "seen_at" in said.err
    datasets = type_in("data", "ls", "--json").document["datasets"]
    assert [one["version"] for one in datasets] == [None]


def test_a_zone_that_is_none_is_refused_with_its_line(type_in, project):
    """A slip in the zone's name is found on reading, before any data is touched."""
    toml = project / "mainspring.toml"
    text = toml.read_text().replace(
        'path = "../customers.csv"', 'path = "../customers.csv"\ntimezone = "Europe/Berln"'
    )
    toml.write_text(text)
    line = text.splitlines().index('timezone = "Europe/Berln"') + 1
    said = type_in("data", "ingest")
    assert said.code == 2
    assert f"mainspring.toml:{line}" in said.err
    assert "Europe/Berlin" in said.err
    assert not (project / ".mainspring" / "tables").exists()


ROWS_TO_PREDICT = {
    "missing column": ("customer_id,tenure_month\nc1,3\n", "data.missing_column", 2),
    "a word for a number": (
        f"{','.join(HEADER)}\nc1,long,20,month,1,north\n",
        "data.bad_value",
        2,
    ),
    "one key twice": (
        f"{','.join(HEADER)}\nc1,3,20,month,1,north\nc1,3,20,month,1,north\n",
        "data.duplicate_keys",
        2,
    ),
    "no rows": (f"{','.join(HEADER)}\n", "data.source_empty", 2),
    "no file": (None, "data.source_missing", 3),
}


@pytest.mark.parametrize("name", ROWS_TO_PREDICT)
def test_rows_that_cannot_be_predicted_are_refused_as_a_whole(type_in, project, name):
    """No output file appears beside a refusal, and one that is there stays as it was."""
    assert type_in("run", "train").code == 0
    text, code, exit_code = ROWS_TO_PREDICT[name]
    if text is not None:
        (project / "new.csv").write_text(text)
    (project / "scores.csv").write_text("of yesterday\n")
    said = type_in("predict", "churn", "--input", "new.csv", "--output", "scores.csv")
    refused(said, code, exit_code)
    assert (project / "scores.csv").read_text() == "of yesterday\n"


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    with needs.tmpfs(tmp_path / "disk", 4) as place:
        yield place


@pytest.mark.parametrize("free_kilobytes", [40, 400, 700, 1000])
def test_a_full_disk_is_told_and_the_same_command_goes_on(type_in, project, disk, free_kilobytes):
    """When nothing more can be written the command says so; with space again it completes."""
    where = ("--workspace", str(disk / "work"))
    (disk / "work").mkdir()
    (disk / "ballast").write_bytes(bytes(4 * 1024 * 1024 - free_kilobytes * 1024))
    said = type_in(*where, "run", "train")
    assert said.code == 5, said.err
    assert "space" in said.err.lower()
    assert "Traceback" not in said.err
    (disk / "ballast").unlink()
    again = type_in(*where, "run", "train")
    assert again.code == 0, again.err
    datasets = type_in(*where, "data", "ls", "--json").document["datasets"]
    assert [(one["version"], one["rows"]) for one in datasets] == [(1, 400)]
    models = type_in(*where, "models", "ls", "churn", "--json").document["versions"]
    assert [one["number"] for one in models] == [1]
    assert type_in(*where, "audit", "verify").code == 0
