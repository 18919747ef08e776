"""Runs and the registry by the same methods, in a folder and on a server."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from packages import packed

import mainspring as ms
from mainspring._bootstrap.workspace import open_workspace
from mainspring.core.errors import Conflict, Invalid, NotFound, Unavailable
from mainspring.core.ids import new_id
from mainspring.registry import ANYTHING, Because, Clause, Details, Order, Query
from mainspring.tracking.active import PARENT_TAG


class Figure:
    def savefig(self, buffer, **_options):
        buffer.write(b"\x89PNG")


@pytest.fixture
def experiment() -> str:
    return f"e-{new_id()}"


def test_a_run_from_start_to_end(ws: ms.Workspace, experiment: str, tmp_path: Path) -> None:
    """All that a run can log is there afterwards, whatever numbers and whatever kind of file."""
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(range(256)) * 10_000)
    with ws.runs.start(
        "first", experiment=experiment, params={"rate": 0.1}, tags={"a": "b"}
    ) as run:
        for step in range(5):
            run.log({"loss": 1 / (step + 1)}, step=step)
        run.log({"nan": math.nan, "high": math.inf, "low": -math.inf})
        run.params({"depth": 3})
        run.tags({"owner": "ada"})
        run.note("good")
        run.artifact("notes/a b.txt", "hello")
        run.artifact("large.bin", file)
        run.figure("plot.png", Figure())
        run.table("t.json", {"x": [1, 2], "y": ["a", "b"]})
        run.dataset("orders", "abc", context="train")
        uri = run.model("classifier", {"model.txt": b"weights"}, params={"k": 1})
        with run.start("inner") as inner:
            inner.log({"x": 1})
    found = ws.runs.get(run.id)
    assert (found.name, found.status, found.params) == (
        "first",
        "FINISHED",
        {"rate": "0.1", "depth": "3"},
    )
    latest = {point.key: point.value for point in found.metrics}
    assert math.isnan(latest.pop("nan"))
    assert latest == {"loss": 0.2, "high": 1.7976931348623157e308, "low": -1.7976931348623157e308}
    assert (found.tags["owner"], found.tags["mlflow.note.content"]) == ("ada", "good")
    assert ws.runs.get(inner.id).tags[PARENT_TAG] == run.id
    assert [one.dataset.name for one in found.datasets] == ["orders"]
    points = ws.tracking.runs.history(run.id, "loss").items
    assert [(point.step, point.value) for point in points] == [(s, 1 / (s + 1)) for s in range(5)]
    root = found.artifact_uri.partition(":")[2].strip("/")
    names = [name for name, _ in ws.tracking.artifacts.tree(root)]
    assert names == ["large.bin", "notes/a b.txt", "plot.png", "t.json"]
    entry, stream = ws.tracking.artifacts.open(f"{root}/large.bin")
    with stream:
        assert (stream.read(), entry.size_bytes) == (file.read_bytes(), 2_560_000)
    model = ws.tracking.models.get(uri.removeprefix("models:/"))
    assert (model.status, model.name, model.run_id, model.params) == (
        "READY",
        "classifier",
        run.id,
        {"k": "1"},
    )
    assert [link.model_id for link in found.models] == [model.id]


def test_an_error_fails_the_run_and_goes_on(ws: ms.Workspace) -> None:
    """The exception is the caller's; the run says how it ended."""
    for error, status in ((ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        run = ws.runs.start()
        with pytest.raises(error), run:
            raise error
        assert ws.runs.get(run.id).status == status


def test_what_can_never_be_stored_is_told_where_it_was_logged(ws: ms.Workspace) -> None:
    """Bad names and values are errors at once, and the run goes on."""
    with ws.runs.start() as run:
        for wrong in ({"a//b": 1.0}, {"": 1.0}, {"m": "x"}):
            with pytest.raises(Invalid):
                run.log(wrong)
        with pytest.raises(Invalid):
            run.artifact("../up", b"")
        with pytest.raises(NotFound):
            run.artifact("x", Path("no-such-file"))
        run.log({"m": 1.0})
    assert [point.key for point in ws.runs.get(run.id).metrics] == ["m"]
    with pytest.raises(NotFound):
        ws.runs.get("0" * 32)
    with pytest.raises(NotFound):
        ws.runs.resume("0" * 32)


def test_resuming_goes_on_behind_the_last_step(ws: ms.Workspace) -> None:
    """The same run, RUNNING again; values without a step follow those there are."""
    with ws.runs.start("r") as run:
        for _ in range(3):
            run.log({"m": 1.0})
    with ws.runs.resume(run.id) as again:
        assert ws.runs.get(run.id).status == "RUNNING"
        again.log({"m": 2.0})
    points = ws.tracking.runs.history(run.id, "m").items
    assert [point.step for point in points] == [0, 1, 2, 3]
    assert ws.runs.get(run.id).status == "FINISHED"


def test_searching_by_text_and_by_expressions(ws: ms.Workspace, experiment: str) -> None:
    """Both find the same runs; orders, columns, rows and comparisons fit."""
    ids = []
    for i in range(6):
        with ws.runs.start(f"r{i}", experiment=experiment, params={"depth": i % 3}) as run:
            run.log({"auc": i / 10, "a b": i})
            if i == 5:
                run.tags({"owner": "o'neil"})
        ids.append(run.id)
    by_text = ws.runs.search(
        "metrics.auc > 0.15 AND params.depth = '2'",
        experiment=experiment,
        order_by=["metrics.auc DESC"],
    )
    auc = ms.metric("auc")
    by_words = ws.runs.search(
        (auc > 0.15) & (ms.param("depth") == 2), experiment=experiment, order_by=-auc
    )
    assert by_text["name"] == by_words["name"] == ["r5", "r2"]
    assert by_words["metrics.auc"] == [0.5, 0.2]
    assert [row["name"] for row in by_words.rows()] == ["r5", "r2"]
    assert by_words.select("name", "params.none").rows()[0] == {"name": "r5", "params.none": None}

    def names(condition):
        return ws.runs.search(condition, experiment=experiment, order_by=+auc).get("name", [])

    assert names(ms.metric("a b") >= 5) == ["r5"]
    assert names(ms.tag("owner") == "o'neil") == ["r5"]
    assert names(ms.param("depth") != "0") == [
        "r1",
        "r2",
        "r4",
        "r5",
    ]
    assert names(ms.attribute("run_name").like("r_")) == [f"r{i}" for i in range(6)]
    assert names(ms.attribute("run_id").one_of(*ids[:2])) == ["r0", "r1"]
    assert names(ms.tag("owner").missing()) == [f"r{i}" for i in range(5)]
    assert names(ms.attribute("start_time") > 0) == [f"r{i}" for i in range(6)]
    assert names(auc > 7) == []
    assert ws.runs.compare(ids[3], ids[1])["name"] == ["r3", "r1"]
    assert len(list(ws.runs.find(experiment=experiment, page_size=2))) == 6
    assert len(list(ws.runs.find(experiment=experiment, page_size=2, limit=3))) == 3
    for wrong in (lambda: auc > "x", lambda: (auc > 1) | (auc < 0), lambda: bool(auc > 1)):
        with pytest.raises(Invalid):
            wrong()
    with pytest.raises(Invalid):
        ws.runs.search("nonsense")
    with pytest.raises(NotFound):
        ws.runs.search(experiment="never-made")


def test_models_versions_and_aliases(ws: ms.Workspace) -> None:
    """Registered from a run's model; an alias moves only from where the caller thinks it is."""
    registry, name = ws.registry, f"churn-{new_id()}"
    registry.models.register(name, description="d", tags={"t": "1"})
    with pytest.raises(Conflict):
        registry.models.register(name)
    with ws.runs.start() as run:
        uri = run.model("m", {"model.txt": b"1"})
    for number in (1, 2, 3):
        made = registry.versions.create_from_source(name, Details(source=uri, run_id=run.id))
        assert (made.number, made.run_id) == (number, run.id)
    moved = registry.aliases.move(name, "champion", to=1, expected=None, because=Because("first"))
    assert (moved.before, moved.after, moved.why) == (None, 1, "first")
    before = registry.aliases.get(name, "champion")
    registry.aliases.move(name, "champion", to=2, expected=before)
    for expected in (1, None, before):
        with pytest.raises(Conflict):
            registry.aliases.move(name, "champion", to=3, expected=expected)
    registry.aliases.move(name, "champion", to=3, expected=ANYTHING)
    then = registry.aliases.history(name, "champion")[1].time
    assert registry.aliases.rollback(name, "champion", expected=3).after == 2
    assert [move.after for move in registry.aliases.history(name, "champion")] == [2, 3, 2, 1]
    assert len(registry.aliases.history(name, "champion", limit=2)) == 2
    assert registry.aliases.live_at(name, "champion", then) == 2
    long_ago = datetime.now(UTC) - timedelta(days=1)
    assert registry.aliases.live_at(name, "champion", long_ago) is None
    assert registry.aliases.resolve(f"{name}@champion").number == 2
    assert registry.aliases.resolve(name).number == 3
    assert registry.models.get(name).aliases == {"champion": 2}
    assert registry.aliases.remove(name, "champion", expected=2).after is None
    assert registry.aliases.remove(name, "champion", expected=None) is None
    registry.aliases.move(name, "trial", to=1, expected=None)
    moves = [(move.alias, move.after) for move in registry.aliases.moves(name)]
    assert moves[:2] == [("trial", 1), ("champion", None)]
    assert len(registry.aliases.moves(name, limit=3)) == 3
    registry.aliases.remove(name, "trial", expected=1)
    judged = registry.versions.judge(name, 1, "rejected", Because("bad"))
    assert (judged.status, judged.reason) == ("rejected", "bad")
    assert [change.after for change in registry.versions.changes(name, 1)] == ["rejected"]
    query = Query(clauses=(Clause("name", "=", name),), order=(Order("number"),), limit=2)
    page = registry.versions.search(query)
    assert [version.number for version in page.items] == [1, 2]
    assert page.next_token
    assert name in [model.name for model in registry.models.search(Query(limit=1000)).items]
    with pytest.raises(NotFound):
        registry.aliases.resolve("none@champion")


def test_packages_travel(ws: ms.Workspace, tmp_path: Path) -> None:
    """A portable file is registered once, checked, compared, and leaves whole as it came."""
    name = f"late-{new_id()}"
    transfers, packages = ws.registry.transfers, ws.registry.packages
    for number, size_bytes in ((1, 10), (2, 3_000_000)):
        archive = packed(tmp_path / "made", size_bytes)
        for _ in range(2):
            loaded = transfers.load(BytesIO(archive), name=name, because=Because("from elsewhere"))
            assert loaded.number == number
        assert packages.verify(name, number).ok
        out = BytesIO()
        assert transfers.export(name, number, out).number == number
        with open_workspace(tmp_path / f"third-{number}") as third:
            again = third.registry.transfers.load(out)
            assert again.package == loaded.package
            assert third.registry.packages.verify(again.name, again.number).ok
    assert {one.key for one in packages.diff(name, 1, 2)} == {"more.bin"}
    with pytest.raises(Invalid, match="archive"):
        transfers.load(BytesIO(b"no archive" * 100))
    with pytest.raises(NotFound):
        transfers.export(name, 9, BytesIO())


@pytest.mark.parametrize("ws", ["server"], indirect=True)
def test_what_takes_a_folder_says_so(ws: ms.Workspace) -> None:
    """Data, features and the like are refused by a clear error."""
    for use in (
        lambda: ws.datasets,
        lambda: ws.executions,
        lambda: ws.governance,
        lambda: ws.tracking.traces,
    ):
        with pytest.raises(Unavailable, match="folder"):
            use()


@pytest.mark.parametrize("ws", ["server"], indirect=True)
def test_a_wrong_token_is_told(ws: ms.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading with another token is denied."""
    monkeypatch.setenv("MAINSPRING_TOKEN", "another-token-0123456789")
    with ms.open(ws.setting("url")) as other, pytest.raises(PermissionError):
        other.registry.models.get("any")
