"""Runs out of one workspace and into another: portable files, mlruns folders."""

from __future__ import annotations

import doctest
import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mainspring._adapters.mlruns import flat_yaml
from mainspring._adapters.mlruns.flat_yaml import parse_flat
from mainspring._bootstrap.importing import import_runs
from mainspring._bootstrap.workspace import Workspace, open_workspace
from mainspring.core.errors import Invalid, NotFound
from mainspring.registry.types import Because
from mainspring.tracking import Batch, DatasetInput, Point, Run
from mainspring.tracking.archive import RunFile, export_run
from mainspring.tracking.intake import TAKEN_TAG, Intake
from mainspring.tracking.origin import Origin
from mainspring.tracking.types import Dataset, Experiment


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "here") as workspace:
        yield workspace


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "there") as workspace:
        yield workspace


def whole(workspace: Workspace) -> Run:
    """A run with something of everything."""
    tracking = workspace.tracking
    experiment = tracking.experiments.create("flights ü", tags={"owner": "me"})
    run = tracking.runs.create(experiment.id, name="whole", user="u", start_ms=5, tags={"a": "b"})
    points = [Point("loss", 1 / (s + 1), s, 10 + s) for s in range(300)]
    points.append(Point("odd/nan", math.nan, 0, 10))
    batch = Batch(points=tuple(points), params=(("rate", "0.1"),))
    tracking.runs.log(run.id, batch).result()
    dataset = Dataset(name="orders", digest="abc", source="s")
    tracking.runs.link(run.id, datasets=[DatasetInput(dataset, {"k": "v"})])
    tree = run.artifact_uri.removeprefix("mlflow-artifacts:/")
    tracking.artifacts.put(f"{tree}/plots/a b.txt", b"hello")
    tracking.artifacts.put(f"{tree}/empty", b"")
    tracking.runs.update(run.id, status="FINISHED", end_ms=99).result()
    return tracking.runs.get(run.id)


def packed(workspace: Workspace, run: Run) -> io.BytesIO:
    target = io.BytesIO()
    export_run(workspace.tracking, run.id, target)
    return target


def test_a_run_is_the_same_after_the_journey(here: Workspace, there: Workspace) -> None:
    """Everything about a run arrives; only the place of its artifacts is new."""
    run = whole(there)
    taken = Intake(here.tracking).take(RunFile(packed(there, run)))
    assert (taken.runs, taken.points, taken.files, taken.differences) == (1, 301, 2, [])
    found = here.tracking.runs.get(run.id)
    for field in ("id", "name", "user", "status", "start_ms", "end_ms", "params", "datasets"):
        assert getattr(found, field) == getattr(run, field)
    assert {k: v for k, v in found.tags.items() if k != TAKEN_TAG} == run.tags
    assert repr(sorted(found.metrics)) == repr(sorted(run.metrics))
    histories = [repr(ws.tracking.runs.history(run.id, "loss").items) for ws in (here, there)]
    assert histories[0] == histories[1]
    tree = found.artifact_uri.removeprefix("mlflow-artifacts:/")
    assert [path for path, _ in here.tracking.artifacts.tree(tree)] == ["empty", "plots/a b.txt"]
    assert here.tracking.experiments.get(found.experiment_id).tags == {"owner": "me"}


def test_the_same_run_gives_the_same_bytes(there: Workspace) -> None:
    """A file can be compared, and signed, by its digest."""
    run = whole(there)
    assert packed(there, run).getvalue() == packed(there, run).getvalue()


def test_taking_in_again_changes_nothing(here: Workspace, there: Workspace) -> None:
    """A second import finds the run there."""
    run = whole(there)
    for expected in ((1, 0), (0, 1)):
        taken = Intake(here.tracking).take(RunFile(packed(there, run)))
        assert (taken.runs, taken.there_already) == expected
    assert len(here.tracking.runs.history(run.id, "loss").items) == 300


class Breaking:
    """An origin whose connection breaks at the last metric."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __getattr__(self, name: str) -> object:
        return getattr(self._origin, name)

    def history(self, run: Run, key: str) -> Iterator[Point]:
        if key == "odd/nan":
            raise ConnectionResetError
        yield from self._origin.history(run, key)


def test_an_import_that_broke_off_goes_on(here: Workspace, there: Workspace) -> None:
    """What was taken before the break stays once; the rest comes with the next try."""
    run = whole(there)
    file = RunFile(packed(there, run))
    with pytest.raises(ConnectionResetError):
        Intake(here.tracking).take(Breaking(file))  # type: ignore[arg-type]
    assert TAKEN_TAG not in here.tracking.runs.get(run.id).tags
    assert Intake(here.tracking).take(file).runs == 1
    assert len(here.tracking.runs.history(run.id, "loss").items) == 300
    assert math.isnan(here.tracking.runs.history(run.id, "odd/nan").items[0].value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("../escape", b""),
        ("artifacts/../../x", b""),
        ("artifacts//x", b""),
        ("extra.txt", b""),
        ("run.json", b'{"format": "other"}'),
        ("run.json", b"[1]"),
    ],
)
def test_a_file_that_is_no_run_is_refused(there: Workspace, name: str, data: bytes) -> None:
    """Names that lead elsewhere, unknown entries and other formats are errors, never used."""
    source = packed(there, whole(there))
    target = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
        new.writestr(name, data)
    with pytest.raises(Invalid):
        RunFile(target)
    with pytest.raises(Invalid):
        RunFile(io.BytesIO(b"no zip"))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    """A folder as MLflow's file store leaves it."""
    root = tmp_path / "mlruns"
    run = f"7/{RUN}"
    write(
        root,
        {
            "7/meta.yaml": "artifact_location: /old/mlruns/7\ncreation_time: 1\n"
            "experiment_id: '7'\nlast_update_time: 2\nlifecycle_stage: active\n"
            "name: 'exp: it''s one'\n",
            "7/tags/team": "a",
            f"{run}/meta.yaml": f"artifact_uri: /old/mlruns/{run}/artifacts\nend_time: 2000\n"
            f"experiment_id: '7'\nlifecycle_stage: active\nrun_id: {RUN}\nrun_name: able-fish\n"
            "start_time: 1000\nstatus: 3\ntags: []\nuser_id: me\n",
            f"{run}/params/depth": "6",
            f"{run}/params/long": "x" * 7000,
            f"{run}/tags/mlflow.runName": "able-fish",
            f"{run}/metrics/loss": "1000 0.5 0\n1001 0.25 1\n1002 nan 2\n",
            f"{run}/metrics/val/auc": "1000 0.75 0\n",
            f"{run}/artifacts/model/MLmodel": "flavors: {}\n",
            "7/ffffffffffffffffffffffffffffffff/meta.yaml": "lifecycle_stage: deleted\nstatus: 3\n",
            "7/models/m-abc/meta.yaml": "model_id: m-abc\nname: model\nmodel_type: ''\n"
            f"creation_timestamp: 5\nlast_updated_timestamp: 6\nsource_run_id: {RUN}\nstatus: 3\n",
            "7/models/m-abc/metrics/auc": f"1000 0.75 0 {RUN} d ad6f\nbroken\n",
            "7/datasets/1a/meta.yaml": "digest: ad6f\nname: 'd: 1'\nprofile: null\n"
            'source: \'{"url": "https://x/y.csv"}\'\nsource_type: http\n',
            f"{run}/inputs/2b/meta.yaml": "source_id: 1a\nsource_type: DATASET\ntags:\n"
            "  mlflow.data.context: training\n",
            f"{run}/inputs/3c/meta.yaml": "source_id: none\nsource_type: DATASET\ntags: {}\n",
            f"{run}/outputs/4d/meta.yaml": "destination_id: m-abc\n"
            "destination_type: MODEL_OUTPUT\nsource_type: RUN_OUTPUT\nstep: 7\ntags: {}\n",
            "7/models/m-abc/artifacts/MLmodel": "flavors: {}\n",
            "models/churn/meta.yaml": "name: churn\ndescription: about\n",
            "models/churn/aliases/champion": "2",
            "models/churn/tags/k": "v",
            "models/churn/version-1/meta.yaml": f"name: churn\nversion: 1\nrun_id: {RUN}\n"
            f"source: file:///old/mlruns/{run}/artifacts/model\ncurrent_stage: Production\n",
            "models/churn/version-2/meta.yaml": "name: churn\nversion: 2\nrun_id: ''\n"
            "source: /old/mlruns/7/models/m-abc/artifacts\ncurrent_stage: None\n",
            ".trash/9/meta.yaml": "name: gone\n",
        },
    )
    return root


def test_an_mlruns_folder_comes_in_whole(here: Workspace, mlruns: Path) -> None:
    """Runs, histories, artifacts, logged models and the registry; what differs is told."""
    taken = import_runs(here, str(mlruns))
    assert (taken.runs, taken.points, taken.files, taken.models) == (1, 4, 2, 1)
    assert (taken.registered, taken.versions) == (1, 2)
    assert [one.what for one in taken.differences] == [
        "the parameter 'long' was cut to 6000 characters",
        "deleted runs left out: 1",
        "left out: it was deleted there",
    ]
    run = here.tracking.runs.get(RUN)
    assert (run.name, run.status, run.start_ms, run.end_ms, run.user) == (
        "able-fish",
        "FINISHED",
        1000,
        2000,
        "me",
    )
    assert here.tracking.experiments.get(run.experiment_id).name == "exp: it's one"
    loss = here.tracking.runs.history(RUN, "loss").items
    assert [point.value for point in loss[:2]] == [0.5, 0.25]
    assert math.isnan(loss[2].value)
    first = here.registry.versions.get("churn", 1)
    assert (first.source, first.stage, first.run_id) == (f"runs:/{RUN}/model", "Production", RUN)
    assert here.registry.aliases.resolve("churn@champion").source == "models:/m-abc"
    assert [(one.dataset.name, one.dataset.digest, one.tags) for one in run.datasets] == [
        ("d: 1", "ad6f", {"mlflow.data.context": "training"})
    ]
    assert [(one.model_id, one.role, one.step) for one in run.models] == [("m-abc", "output", 7)]
    model = here.tracking.models.get("m-abc")
    assert (model.run_id, model.status) == (RUN, "UPLOAD_FAILED")
    assert [(one.point.key, one.point.value, one.dataset_name) for one in model.metrics] == [
        ("auc", 0.75, "d")
    ]


def test_the_folder_again_brings_nothing_new(here: Workspace, mlruns: Path) -> None:
    """A repeated import leaves one run, two versions; a new version comes by itself."""
    import_runs(here, str(mlruns))
    taken = import_runs(here, str(mlruns))
    assert (taken.runs, taken.there_already, taken.models, taken.versions) == (0, 1, 0, 0)
    here.registry.versions.describe("churn", 1, "mine", Because())
    write(mlruns, {"models/churn/version-4/meta.yaml": "name: churn\nsource: s3://b/m\n"})
    taken = import_runs(here, str(mlruns))
    assert taken.versions == 1
    assert [one.what for one in taken.differences] == [
        "deleted runs left out: 1",
        "left out: it was deleted there",
        "is version 3 here",
    ]


def test_links_in_a_folder_are_not_followed(here: Workspace, mlruns: Path, tmp_path: Path) -> None:
    """An artifact that is a link to a file outside does not come in."""
    (tmp_path / "secret").write_text("secret")
    (mlruns / "7" / RUN / "artifacts" / "link").symlink_to(tmp_path / "secret")
    (mlruns / "7" / RUN / "artifacts" / "way").symlink_to(tmp_path)
    assert import_runs(here, str(mlruns)).files == 2


def test_an_origin_must_be_one(here: Workspace, tmp_path: Path) -> None:
    """A folder without runs, a missing path and a strange address are said."""
    (tmp_path / "empty").mkdir()
    for where in (str(tmp_path / "empty"), str(tmp_path / "nothing")):
        with pytest.raises(NotFound):
            import_runs(here, where)
    with pytest.raises(Invalid):
        import_runs(here, "http://")


def test_yaml_as_it_is_written() -> None:
    """Quoted, escaped and folded values; nested ones do no harm."""
    text = (
        "a: \"x\\n \\u00e4 \\\n  y\"\nb: 'it''s\n\n  key: two'\nc: plain\n  more\n"
        "d: null\ntags: []\nlist:\n- one\ne: ''\n"
    )
    found = parse_flat(text)
    assert found["a"] == "x\n ä y"
    assert found["b"] == "it's\nkey: two"
    assert (found["c"], found["d"], found["e"]) == ("plain more", None, "")
    assert doctest.testmod(flat_yaml).failed == 0


@given(st.text(max_size=200))
def test_any_text_is_parsed_to_the_end(text: str) -> None:
    """A damaged file gives some mapping, never a crash."""
    assert isinstance(parse_flat(text), dict)


class Dirty:
    """An origin that holds what this workspace refuses: names, a user, a dataset, a tag."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __getattr__(self, name: str) -> object:
        return getattr(self._origin, name)

    def experiments(self) -> Iterator[Experiment]:
        for one in self._origin.experiments():
            yield replace(one, name="fli\u202eghts", tags={**one.tags, "a//b": "1"})

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        [one] = self._origin.experiments()
        assert experiment.id == one.id
        for run in self._origin.runs(one):
            nameless = DatasetInput(Dataset(name="", digest="", source="s"), {})
            datasets = (nameless, *run.datasets)
            yield replace(run, name="two\nlines", user="m\x1be", datasets=datasets)


def test_one_thing_that_cannot_be_stored_does_not_cost_the_run(
    here: Workspace, there: Workspace
) -> None:
    """What is refused is left out or cleaned and reported; metrics, files and the rest arrive."""
    run = whole(there)
    taken = Intake(here.tracking).take(Dirty(RunFile(packed(there, run))))  # type: ignore[arg-type]
    assert (taken.runs, taken.points, taken.files) == (1, 301, 2)
    found = here.tracking.runs.get(run.id)
    assert (found.name, found.user, found.status) == ("twolines", "me", "FINISHED")
    assert [entry.dataset.name for entry in found.datasets] == ["orders"]
    experiment = here.tracking.experiments.get(found.experiment_id)
    assert (experiment.name, experiment.tags) == ("flights", {"owner": "me"})
    told = [difference.what for difference in taken.differences]
    assert len(told) == 5
    for words in ("its name", "its user", "left out the dataset", "left out the tag"):
        assert any(words in one for one in told)
