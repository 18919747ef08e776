"""The registry, the record and the rest of a workspace, from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from mainspring._bootstrap.workspace import open_workspace
from mainspring.registry.types import Because


def test_versions_by_number_alias_and_name(registered, cli):
    """NAME/VERSION, NAME@alias and NAME name a version everywhere."""
    assert cli("models", "promote", "shop/1", "--why", "first").code == 0
    for address, number in (("shop/1", 1), ("shop@champion", 1), ("shop", 2)):
        shown = cli("models", "show", address, "--json").document
        assert shown["version"]["number"] == number
        assert shown["card"]["decision"]["threshold"] == 0.25
    assert "shop/1" in cli("models", "show", "shop@champion").out
    assert "# shop" in cli("models", "card", "shop/2").out
    assert cli("models", "ls", "--json").document["models"][0]["aliases"] == {"champion": 1}
    assert len(cli("models", "ls", "shop", "--json").document["versions"]) == 2
    assert cli("models", "show", "shop/9").code == 3
    assert cli("models", "show", "shp").code == 3


def test_promotion_rollback_and_their_history(registered, cli):
    """An alias moves with a reason, goes back, and remembers both; a surprise is exit code 1."""
    cli("models", "promote", "shop/1")
    assert cli("models", "promote", "shop/2", "--expect", "2").code == 1
    assert cli("models", "promote", "shop/2", "--expect", "1", "--why", "better").code == 0
    assert cli("models", "rollback", "shop@champion").code == 0
    moves = cli("models", "history", "shop@champion", "--json").document["moves"]
    assert [move["after"] for move in moves] == [1, 2, 1]
    assert moves[1]["why"] == "better"
    assert cli("models", "rollback", "shop/1").code == 2
    assert cli("models", "reject", "shop/2").code == 1
    assert cli("models", "reject", "shop/2", "--why", "worse").code == 0
    assert (
        cli("models", "history", "shop/2", "--json").document["changes"][0]["after"] == "rejected"
    )


def test_differences_between_versions(registered, cli):
    """Diff lists what is not the same, and takes a second address without the name."""
    found = cli("models", "diff", "shop/1", "/2", "--json").document["differences"]
    assert {"section": "training", "key": "seed", "before": 1, "after": 2} in found
    assert "seed" in cli("models", "diff", "shop/1", "2").out


def test_a_version_travels_as_one_file(registered, cli, tmp_path):
    """What export wrote, import registers again; an existing file is never overwritten."""
    file = str(tmp_path / "shop.zip")
    assert cli("models", "export", "shop/1", "-o", file).code == 0
    assert cli("models", "export", "shop/1", "-o", file).code == 1
    loaded = cli("models", "import", file, "--name", "again", "--json").document["version"]
    assert loaded["name"] == "again"
    assert cli("models", "verify", "again/1", "--json").document["ok"] is True
    (tmp_path / "text.zip").write_text("no archive")
    assert cli("models", "import", str(tmp_path / "text.zip")).code == 2


def test_the_live_model_is_held_against_the_problem(registered, cli):
    """Problem check is 0 while the champion reaches its metrics and 1 when it does not."""
    cli("models", "promote", "shop/1")
    assert cli("problem", "check").code == 0
    cli("models", "promote", "shop/2")
    answer = cli("problem", "check", "--json")
    assert answer.code == 1
    assert answer.document["metrics"][0]["verdict"] == "missed"


def test_the_record_is_shown_verified_and_exported(ingested, cli, tmp_path):
    """log, verify and export tell the same events; an edited export is found, exit code 1."""
    events = cli("audit", "log", "--json").document["events"]
    assert events[-1]["kind"] == "data.ingested"
    assert cli("audit", "log", "--kind", "data.ingestd").code == 3
    report = cli("audit", "verify", "--json").document
    assert report["ok"] is True
    head = f"{report['head']['sequence']}:{report['head']['digest']}"
    assert cli("audit", "verify", "--noted", head).code == 0
    assert cli("audit", "verify", "--noted", "x").code == 2
    file = tmp_path / "events.jsonl"
    assert cli("audit", "export", "-o", str(file)).code == 0
    assert cli("audit", "verify", "--file", str(file)).code == 0
    assert [json.loads(line) for line in cli("audit", "export").out.splitlines()] == events[::-1]
    file.write_text(file.read_text().replace("data.ingested", "data.imagined"))
    assert cli("audit", "verify", "--file", str(file)).code == 1


def test_lineage_walks_both_ways(ingested, cli):
    """A dataset is found by name or version, upstream and downstream, as tree, JSON and graph."""
    cli("features", "build")
    up = cli("lineage", "features:features@1", "--json").document
    assert "dataset:rows@1" in {node["ref"] for node in up["nodes"]}
    down = cli("lineage", "rows", "--down", "--json").document
    assert "features:features@1" in {node["ref"] for node in down["nodes"]}
    assert "└─" in cli("lineage", "rows@1").out
    assert cli("lineage", "rows@1", "--dot").out.startswith("digraph")
    assert cli("lineage", "model:none/1").code == 3
    assert cli("lineage", "rows@1", "--dot", "--json").code == 2


def test_empty_listings_are_empty_documents(project, cli):
    """Before anything has happened every listing answers, with nothing in it."""
    for words, key in (
        (("runs", "ls"), "runs"),
        (("executions", "ls"), "executions"),
        (("models", "ls"), "models"),
        (("alerts", "ls"), "alerts"),
        (("monitor", "ls", "late"), "windows"),
        (("loop", "show", "late"), "challenges"),
        (("endpoints", "ls"), "endpoints"),
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, words
        assert not answer.document[key], words
        assert cli(*words).code == 0, words
    for words in (
        ("runs", "show", "x"),
        ("executions", "show", "x"),
        ("alerts", "ack", "1"),
        ("endpoints", "show", "x"),
        ("monitor", "show", "late"),
    ):
        assert cli(*words).code == 3, words


def test_runs_are_listed_shown_and_compared(project, cli):
    """Tracked runs with their parameters and metrics, by filter and by the start of an id."""
    from mainspring._bootstrap.workspace import open_workspace
    from mainspring.tracking import Batch, Point

    with open_workspace(project) as workspace:
        made = [workspace.tracking.runs.create("0", name=f"run {n}") for n in (1, 2)]
        for n, one in enumerate(made):
            batch = Batch(points=(Point("auc", 0.7 + n / 10, 0, 1),), params=(("depth", str(n)),))
            workspace.tracking.runs.log(one.id, batch).result()
    listed = cli("runs", "ls", "--filter", "metrics.auc > 0.75", "--json").document["runs"]
    assert [run["name"] for run in listed] == ["run 2"]
    assert cli("runs", "show", made[0].id[:20], "--json").document["run"]["metrics"] == {"auc": 0.7}
    compared = cli("runs", "compare", made[0].id, made[1].id)
    assert "depth" in compared.out
    assert cli("runs", "ls", "--filter", "metrics.auc >").code == 2


def test_completion_knows_every_word(cli):
    """Each shell's script names nouns, verbs and options."""
    for shell in ("bash", "zsh", "fish"):
        script = cli("completion", shell).out
        for word in ("quarantine", "lineage", "rollback", "noted"):
            assert word in script, (shell, word)


def test_the_history_of_a_model_is_that_of_all_its_aliases_and_stages(registered, cli):
    """NAME lists every move, of removed aliases and old stages too; --at says what was where."""
    cli("models", "promote", "shop/1", "--why", "first")
    with open_workspace(registered / ".mainspring") as workspace:
        aliases, versions = workspace.registry.aliases, workspace.registry.versions
        aliases.move("shop", "trial", to=2, expected=None, because=Because(evidence={"auc": 0.7}))
        versions.transition("shop", 2, "Production")
        then = datetime.now(UTC)
        aliases.remove("shop", "trial", expected=2)
    told = cli("models", "history", "shop").out.splitlines()
    assert [line.split()[2:5] for line in told[1:]] == [
        ["@trial", "2", "-"],
        ["2", "stage", "None"],
        ["@trial", "-", "2"],
        ["@champion", "-", "1"],
    ]
    assert "auc=0.7" in told[3]
    at = then.isoformat(timespec="microseconds").removesuffix("+00:00")
    found = cli("models", "history", "shop", "--at", at, "--json").document["then"]
    assert found == {"@champion": 1, "@trial": 2, "2 stage": "Production"}
    assert cli("models", "history", "shop", "--at", "2020-01-01", "--json").document["then"] == {}
    assert "nothing" in cli("models", "history", "shop", "--at", "2020-01-01").out
