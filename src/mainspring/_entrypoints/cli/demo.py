"""``mainspring demo``: an example project played through the whole loop."""

from __future__ import annotations

import argparse
from pathlib import Path

from mainspring._entrypoints.cli.output import Output


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``demo``."""
    parser.add_argument("example", nargs="?", default="flights", help="which example (flights)")
    parser.add_argument("--dir", metavar="DIR", help="where to put it (demo/EXAMPLE)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Copies the example and plays it; run again, it goes on where it stopped."""
    from mainspring._bootstrap.examples import copy_example
    from mainspring._entrypoints.cli.replaying import play

    folder = Path(arguments.dir or Path("demo") / arguments.example).absolute()
    copy_example(arguments.example, folder)
    return play(arguments.workspace or folder / ".mainspring", output)
