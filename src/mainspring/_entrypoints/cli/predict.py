"""``mainspring predict``: predicts the rows of a file or of a dataset, without a gateway.

The file looks like the source of the problem's dataset; the target and whatever else is not known
ahead may be missing. Features are those of the project, the model is the stored package.

  mainspring predict churn --input new.csv --output scores.csv
  mainspring predict churn@candidate --input new.csv
  mainspring predict churn --input customers@3 --output churn-scores
  mainspring predict churn --input customers --output churn-scores --workers 8 --on ray

A dataset is scored part by part, however large it is; run again, a scoring that was cut off goes
on where it was. Its output is a dataset too: the key, the score, the decision, the version.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common, count

if TYPE_CHECKING:
    from mainspring.projects.scoring import Predictions


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``predict``."""
    parser.add_argument(
        "model", metavar="MODEL", help="NAME (its champion), NAME@alias or NAME/VERSION"
    )
    parser.add_argument(
        "--input", "-i", metavar="FILE|DATASET", required=True, help="the rows to predict"
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="where to write; standard output")
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="score a dataset in N processes; else by the threads of this one",
    )
    parser.add_argument(
        "--on", choices=("local", "ray"), help="where they are (the setting compute)"
    )
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Predicts the rows of a file, or of a dataset when no file has that name."""
    if not Path(arguments.input).expanduser().exists() and _is_dataset(arguments):
        return _score(arguments, output)
    from mainspring._bootstrap.projecting import predictions

    with opened(arguments) as workspace:
        found = predictions(workspace, arguments.model, Path(arguments.input).expanduser())
    if found.missing:
        names = ", ".join(found.missing)
        output.note(f"Taken as unknown in every row, because the file has no such column: {names}.")
    if found.left_out:
        output.note(f"{found.left_out:,} rows were left out by the dataset's cleaning.")
    if arguments.output is not None:
        _write(Path(arguments.output).expanduser(), found)
        output.note(f"{len(found):,} predictions by {found.version.address} in {arguments.output}.")
    if output.as_json:
        _document(found, arguments, output)
    elif arguments.output is None:
        sys.stdout.write(_as_csv(found))
    return 0


def _is_dataset(arguments: argparse.Namespace) -> bool:
    with opened(arguments) as workspace:
        return str(arguments.input).partition("@")[0] in workspace.datasets.names()


def _score(arguments: argparse.Namespace, output: Output) -> int:
    """Scores a whole dataset into another."""
    from mainspring._bootstrap.scoring import Manner, score_dataset
    from mainspring.core.errors import Invalid

    if arguments.output is None:
        raise Invalid(
            "serving.no_output",
            "The scores of a dataset are stored, not printed.",
            hint="Name the dataset that they go to: --output NAME.",
        )
    with opened(arguments) as workspace:
        found = score_dataset(
            workspace,
            arguments.model,
            arguments.input,
            arguments.output,
            lambda progress: output.progress(
                f"scoring: part {progress.parts_done} of {progress.parts}, {progress.rows:,} rows"
            ),
            how=Manner(workers=arguments.workers or 0, on=arguments.on or ""),
        )
        output.progress("")
    if output.as_json:
        output.document(
            {
                "model": found.version.address,
                "input": found.source.name,
                "output": found.output.name,
                "table": found.output.table,
                "rows": found.output.rows,
                "scored_now": found.rows,
                "parts": found.parts,
            }
        )
        return 0
    output.line(
        f"{found.output.name}: {found.output.rows:,} rows of {found.source.name} scored by "
        f"{found.version.address} ({found.rows:,} now)."
    )
    return 0


def _document(found: Predictions, arguments: argparse.Namespace, output: Output) -> None:
    document: dict[str, Any] = {"model": found.version.address, "rows": len(found)}
    if arguments.output is None:
        document["predictions"] = _records(found)
    else:
        document["output"] = arguments.output
    output.document({**document, "missing": found.missing, "left_out": found.left_out})


def _records(found: Predictions) -> list[dict[str, Any]]:
    lists = {name: values.tolist() for name, values in found.columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _as_csv(found: Predictions) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.columns)
    columns = [_words(values.tolist()) for values in found.columns.values()]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _words(values: list[Any]) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in values]


def _write(file: Path, found: Predictions) -> None:
    """The whole file or none: what is there is replaced at once."""
    from mainspring.serving.routes import replace_file

    replace_file(file.absolute(), _as_csv(found).encode(), mode=0o644)
