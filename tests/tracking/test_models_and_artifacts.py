from __future__ import annotations

import pytest

from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Batch, Point, Tracking
from mainspring.tracking.filters import Order
from mainspring.tracking.types import ModelPoint


def test_a_logged_model_lives_until_it_is_deleted(tracking: Tracking) -> None:
    """Created pending, finished, tagged, measured, found, deleted."""
    models = tracking.models
    made = models.create("0", name="net", run_id="r", params={"depth": "3"})
    assert made.status == "PENDING"
    assert made.artifact_uri == f"mlflow-artifacts:/0/models/{made.id}/artifacts"
    models.finish(made.id, "READY")
    models.tag(made.id, {"a": "b"})
    run = tracking.runs.create("0")
    entry = ModelPoint(made.id, Point("acc", 0.9, 1, 5), run.id, "data", "d1")
    tracking.runs.log(run.id, Batch(points=(entry.point,), model_points=(entry,))).result()
    found = models.get(made.id)
    assert (found.status, found.tags, found.metrics) == ("READY", {"a": "b"}, (entry,))
    models.untag(made.id, "a")
    models.delete(made.id)
    with pytest.raises(NotFound):
        models.get(made.id)
    assert models.search(["0"]).items == ()
    with pytest.raises(Invalid):
        models.create("0", name="a/b")


def test_models_are_found_by_status_metric_and_dataset(
    tracking: Tracking, clock: FakeClock
) -> None:
    """``status = 'READY'`` finds what is ready; metrics may be narrowed to a dataset."""
    ids = []
    for i in range(5):
        clock.advance(1)
        model = tracking.models.create("0", name=f"n{i}")
        ids.append(model.id)
        if i % 2 == 0:
            tracking.models.finish(model.id, "READY")
        points = [
            ModelPoint(model.id, Point("acc", i / 10, 0, 0), "r", "train", "x"),
            ModelPoint(model.id, Point("acc", 1 - i / 10, 0, 0), "r", "test", "y"),
        ]
        tracking.runs.database.write(lambda tx, p=points: tracking.models.store.measure(tx, p))
    search = tracking.models.search
    assert [m.name for m in search(["0"], "status = 'READY'").items] == ["n4", "n2", "n0"]
    on_train = search(["0"], "metrics.acc > 0.25", datasets=[("train", "")]).items
    assert [m.name for m in on_train] == ["n4", "n3"]
    best = search(
        ["0"], orders=(Order("metric", "acc", descending=True),), datasets=[("test", "y")]
    )
    assert [m.name for m in best.items] == ["n0", "n1", "n2", "n3", "n4"]
    page = search(["0"], limit=2)
    rest = search(["0"], limit=100, token=page.next_token)
    assert [m.id for m in (*page.items, *rest.items)] == ids[::-1]
    with pytest.raises(Invalid, match="unknown attribute"):
        search(["0"], "nothing = 'x'")


def test_the_tree_of_artifacts(tracking: Tracking) -> None:
    """Files make their folders; names keep what they hold; empty files have a size."""
    tree = tracking.artifacts
    tree.put("0/r/artifacts/a b/per%20cent.txt", b"x")
    tree.put("0/r/artifacts/empty", iter([]))
    tree.put("0/r/artifacts/empty", iter([b"now ", b"full"]))
    entries = tree.entries("0/r/artifacts")
    assert [(e.name, e.is_folder, e.size_bytes) for e in entries] == [
        ("a b", True, 0),
        ("empty", False, 8),
    ]
    entry, stream = tree.open("0/r/artifacts/a b/per%20cent.txt")
    assert (entry.name, stream.read()) == ("per%20cent.txt", b"x")
    assert [path for path, _ in tree.tree("0/r")] == [
        "artifacts/a b/per%20cent.txt",
        "artifacts/empty",
    ]
    with pytest.raises(Conflict):
        tree.put("0/r/artifacts", b"")
    with pytest.raises(Conflict):
        tree.put("0/r/artifacts/empty/below", b"")
    assert tree.remove("0/r/artifacts") == 2
    assert tree.entries("0/r/artifacts") == []
    assert tree.remove("0/r/artifacts") == 0
    with pytest.raises(NotFound):
        tree.find("0/r/artifacts/empty")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "../x",
        "a/../b",
        "a//b",
        "/a",
        "a/",
        "a/./b",
        "a\\..\\b",
        "C:\\x",
        "a\x00b",
        "a\nb",
        " a",
        "a/" * 70 + "b",
        "x" * 2001,
    ],
)
def test_paths_that_could_mean_another_are_refused(tracking: Tracking, path: str) -> None:
    """One path, one file: nothing climbs, hides or repeats."""
    for attempt in (
        lambda: tracking.artifacts.put(path, b"x"),
        lambda: tracking.artifacts.find(path),
        lambda: tracking.artifacts.remove(path),
    ):
        with pytest.raises(Invalid):
            attempt()
