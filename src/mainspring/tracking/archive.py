"""A run as one portable file: a ZIP that any tool opens, and that is an origin to take runs from.

::

    run.json            format, experiment, and the run without its points
    metrics.jsonl       one point per line: [key, value, step, time in milliseconds]; null is NaN
    artifacts/...       the files
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final

import msgspec
from msgspec.structs import replace

from mainspring.core.errors import Invalid
from mainspring.tracking import Tracking
from mainspring.tracking.artifacts import check_path
from mainspring.tracking.origin import Files
from mainspring.tracking.types import Experiment, LoggedModel, Point, Run

FORMAT: Final = "mainspring-run/1"
MAX_FILES: Final = 100_000
MAX_DOCUMENT_BYTES: Final = 64_000_000
_FILES: Final = "artifacts/"
_BLOCK_BYTES: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_NAN: Final = float("nan")
_encode = msgspec.json.Encoder(order="deterministic").encode


class _Document(msgspec.Struct):
    format: str
    experiment: Experiment
    run: Run


_point = msgspec.json.Decoder(tuple[str, float | None, int, int])
_document = msgspec.json.Decoder(_Document)


def export_run(tracking: Tracking, run_id: str, target: BinaryIO) -> Run:
    """Writes a run with every point and artifact to a file; the same run gives the same bytes.

    Errors: ``tracking.run_not_found``, ``objects.corrupt``.
    """
    run = tracking.runs.get(run_id)
    experiment = tracking.experiments.get(run.experiment_id)
    keys = sorted({point.key for point in run.metrics})
    # The names of the metrics stay, their values are in their own entry.
    bare = replace(run, metrics=tuple(Point(key, 0.0, 0, 0) for key in keys))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_info("run.json"), "w") as file:
            file.write(msgspec.json.format(_encode(_Document(FORMAT, experiment, bare))))
        with archive.open(_info("metrics.jsonl"), "w", force_zip64=True) as file:
            for key in keys:
                for point in _history(tracking, run, key):
                    file.write(_encode(point) + b"\n")
        tree = run.artifact_uri.partition(":")[2].strip("/")
        ours = run.artifact_uri.startswith("mlflow-artifacts:")
        for path, _ in sorted(tracking.artifacts.tree(tree)) if ours else ():
            _, stream = tracking.artifacts.open(f"{tree}/{path}")
            with stream, archive.open(_info(_FILES + path), "w", force_zip64=True) as file:
                while block := stream.read(_BLOCK_BYTES):
                    file.write(block)
    return run


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, on every system, so that the bytes are the same
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _history(tracking: Tracking, run: Run, key: str) -> Iterator[Point]:
    token = None
    while True:
        page = tracking.runs.history(run.id, key, token=token)
        yield from page.items
        token = page.next_token
        if token is None:
            return


class RunFile:
    """A portable file as an origin: one experiment, one run.

    Nothing in it is trusted: names are checked, and only as much is read as is declared.
    Errors: ``tracking.bad_archive``.
    """

    name = "file"

    def __init__(self, source: BinaryIO) -> None:
        try:
            self._archive = zipfile.ZipFile(source)
            self._check()
            with self._archive.open("run.json") as file:
                found = _document.decode(file.read(MAX_DOCUMENT_BYTES))
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
            raise _bad(str(error)) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _bad(f"run.json does not fit ({error})") from error
        if found.format != FORMAT:
            raise _bad(f"its format is {found.format[:40]!r}, not {FORMAT!r}")
        self._found = found

    def _check(self) -> None:
        names = self._archive.namelist()
        if len(names) > MAX_FILES or len(set(names)) < len(names):
            raise _bad("it holds too many files, or one twice")
        for info in self._archive.infolist():
            if info.filename.startswith(_FILES):
                check_path(info.filename.removeprefix(_FILES))
            elif info.filename not in {"run.json", "metrics.jsonl"}:
                raise _bad(f"{info.filename[:80]!a} does not belong in it")
            if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
                raise _bad(f"{info.filename[:80]!a} is not a regular file")

    def experiments(self) -> Iterator[Experiment]:
        yield self._found.experiment

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        assert experiment is self._found.experiment  # noqa: S101 - there is but one
        yield self._found.run

    def history(self, run: Run, key: str) -> Iterator[Point]:
        del run
        with self._archive.open("metrics.jsonl") as file:
            for line in io.BufferedReader(file):  # type: ignore[type-var]
                try:
                    name, value, step, time_ms = _point.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise _bad(f"a point does not fit ({error})") from error
                if name == key:
                    yield Point(name, _NAN if value is None else value, step, time_ms)

    def files(self, run: Run) -> Files:
        del run
        for name in self._archive.namelist():
            if name.startswith(_FILES):
                yield name.removeprefix(_FILES), partial(self._blocks, name)

    def models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        del experiment
        yield from ()

    def model_files(self, model: LoggedModel) -> Files:
        del model
        yield from ()

    def left_out(self) -> Iterator[tuple[str, str]]:
        yield from ()

    def _blocks(self, name: str) -> Iterator[bytes]:
        try:
            with self._archive.open(name) as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise _bad(f"{name[:80]!a} is damaged ({error})") from error


def _bad(why: str) -> Invalid:
    return Invalid(
        "tracking.bad_archive",
        f"This is not the file of a run: {why}.",
        hint="Make one with 'mainspring runs export RUN --output FILE'.",
    )
