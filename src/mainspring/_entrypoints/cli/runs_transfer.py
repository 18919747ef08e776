"""``mainspring runs export`` and ``import``: runs out of and into a workspace."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb
from mainspring._entrypoints.cli.run_words import whole_id
from mainspring.core.errors import Conflict

_SHOWN: Final = 50


def add(among: Any) -> None:
    """The verbs ``export`` and ``import``."""
    export = verb(among, "export", run_export, "a run as one portable file")
    export.add_argument("run_id", metavar="RUN", help="its id, or the beginning of it")
    export.add_argument("--output", "-o", metavar="FILE", help="RUN.zip unless named")
    import_ = verb(
        among,
        "import",
        run_import,
        "runs from a portable file, an mlruns folder or an MLflow server",
        more="Runs keep their ids, so an import that broke off goes on where it stopped. From a "
        "folder or a server the registry comes too. What differs is told.",
    )
    import_.add_argument("where", metavar="PATH_OR_URL", help="the file, the folder or the address")


def run_export(arguments: argparse.Namespace, output: Output) -> int:
    """Writes a run to a file."""
    from mainspring.tracking.archive import export_run

    with opened(arguments, anywhere=True) as workspace:
        run_id = whole_id(workspace, arguments.run_id)
        path = Path(arguments.output or f"{run_id}.zip").expanduser()
        partial = path.with_name(path.name + ".part")
        if path.exists():
            raise Conflict("cli.file_exists", f"{str(path)!r} exists.", hint="Name another file.")
        try:
            with partial.open("wb") as file:
                run = export_run(workspace.tracking, run_id, file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    if output.as_json:
        output.document({"run": run.id, "file": str(path), "size_bytes": path.stat().st_size})
    output.line(f"Run {run.name} is in {path}.")
    return 0


def run_import(arguments: argparse.Namespace, output: Output) -> int:
    """Takes runs in."""
    from mainspring._bootstrap.importing import import_runs

    with opened(arguments) as workspace:
        taken = import_runs(workspace, arguments.where, output.progress)
    output.progress("")
    if output.as_json:
        output.document(taken)
        return 0
    output.fields(
        [
            ("Experiments", taken.experiments),
            ("Runs", taken.runs),
            ("There already", taken.there_already or None),
            ("Points", taken.points),
            ("Files", taken.files),
            ("Logged models", taken.models or None),
            ("Models", taken.registered or None),
            ("New versions", taken.versions or None),
        ]
    )
    if taken.differences:
        output.heading("What differs")
        rows = [(one.where, one.what) for one in taken.differences[:_SHOWN]]
        output.table(("where", "what"), rows)
        if len(taken.differences) > _SHOWN:
            output.note(f"and {len(taken.differences) - _SHOWN:,} more; --json tells all")
    return 0
