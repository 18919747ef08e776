"""``mainspring demo``: an example project played through the whole loop."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Final

from mainspring._entrypoints.cli.output import Output

_NEXT: Final = {
    "Look around:": "status",
    "In a browser:": "server",
    "Ask it:": "gateway",
}


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
    code = play(arguments.workspace or folder / ".mainspring", output)
    where = shlex.quote(str(arguments.workspace or folder))
    for what, words in _NEXT.items():
        output.note(f"{what:<14}mainspring --workspace {where} {words}")
    return code
