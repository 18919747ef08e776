"""``mainspring outcomes``: what became of predictions, from a file, a stream or a dataset.

A row names its prediction (column prediction_id) or its entity (column entity: its newest
prediction up to that moment), its outcome (a number, or true and false), and since when that is
known (known_at). A row without an outcome is not known yet, and left out.

  mainspring outcomes import churn --file outcomes.jsonl
  tail -f events.jsonl | mainspring outcomes import churn --file -
  mainspring outcomes import churn --dataset returns@3 --prediction order_id --outcome returned

What is stored already is not stored again: an import that was cut off is completed by running it
again, from the start.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import past, seconds, verb, verbs
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring._bootstrap.outcomes import OutcomeReports
    from mainspring.serving.outcome_import import Imported
    from mainspring.serving.outcome_reading import Naming

_FORMATS = ("jsonl", "csv", "parquet")


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``outcomes``."""
    among = verbs(parser)
    take = verb(among, "import", run_import, "take in outcomes from a file, a stream or a dataset")
    take.add_argument("endpoint", metavar="ENDPOINT", help="whose predictions they are of")
    source = take.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--file", metavar="FILE", help=".jsonl, .csv or .parquet; - reads standard input"
    )
    source.add_argument("--dataset", metavar="NAME[@VERSION]", help="a dataset of the workspace")
    take.add_argument(
        "--prediction", metavar="COLUMN", help="holds the prediction's id (prediction_id)"
    )
    take.add_argument("--entity", metavar="COLUMN", help="holds the entity's key (entity)")
    take.add_argument(
        "--outcome", metavar="COLUMN", default="outcome", help="holds the outcome (outcome)"
    )
    take.add_argument(
        "--known-at", metavar="COLUMN", default="known_at", help="holds the moment (known_at)"
    )
    take.add_argument(
        "--at", type=past, metavar="MOMENT", help="the moment of rows that do not tell theirs"
    )
    take.add_argument("--format", choices=_FORMATS, help="of a file; by its name unless said")
    take.add_argument(
        "--pause",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="after which what came over standard input is stored (1)",
    )


def run_import(arguments: argparse.Namespace, output: Output) -> int:
    """Takes outcomes in."""
    with opened(arguments) as workspace:
        found = _import(workspace.outcomes, arguments, output)
    output.progress("")
    if output.as_json:
        output.document(
            {
                "endpoint": arguments.endpoint,
                "rows": found.rows,
                "stored": found.stored,
                "known": found.known,
                "waiting": found.waiting,
            }
        )
        return 0
    output.line(
        f"{arguments.endpoint}: {found.stored:,} outcomes stored, of {found.rows:,} rows "
        f"({found.known:,} were known, {found.waiting:,} have none yet)."
    )
    return 0


def _import(reports: OutcomeReports, arguments: argparse.Namespace, output: Output) -> Imported:
    naming = _naming(arguments)

    def told(so_far: Imported) -> None:
        output.progress(f"outcomes: {so_far.rows:,} rows, {so_far.stored:,} stored")

    if arguments.dataset is not None:
        return reports.from_dataset(arguments.endpoint, arguments.dataset, naming)
    if arguments.file != "-":
        return reports.from_file(
            arguments.endpoint, arguments.file, naming, format_=arguments.format, report=told
        )
    if arguments.format == "parquet":
        raise Invalid(
            "cli.wrong_use",
            "Parquet cannot be read from standard input.",
            hint="Store it in a file and name that, or send lines of JSON.",
        )
    from mainspring.serving.outcome_reading import lines_of

    lines = lines_of(sys.stdin.fileno(), arguments.pause)
    return reports.stream(
        arguments.endpoint, lines, arguments.format or "jsonl", naming, report=told
    )


def _naming(arguments: argparse.Namespace) -> Naming:
    """The columns. Who names one for predictions or entities alone wants the other not read."""
    from mainspring.serving.outcome_reading import Naming

    either = arguments.prediction is None and arguments.entity is None
    return Naming(
        prediction="prediction_id" if either else arguments.prediction,
        entity="entity" if either else arguments.entity,
        outcome=arguments.outcome,
        known_at=arguments.known_at,
        at=arguments.at,
    )
