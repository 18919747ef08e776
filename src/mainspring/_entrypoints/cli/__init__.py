"""The command line: one file per noun, and nothing heavy before a command runs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from mainspring import __version__
from mainspring._entrypoints.cli.commands import COMMANDS, DESCRIPTION, overview
from mainspring._entrypoints.cli.output import Output, report_error
from mainspring.core.errors import MainspringError


def build_parser(noun: str | None) -> argparse.ArgumentParser:
    """The parser of the whole line; only the named noun's own arguments are loaded."""
    parser = argparse.ArgumentParser(
        prog="mainspring",
        usage="mainspring [--workspace DIR | --url URL] NOUN VERB ...",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=overview(),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mainspring {__version__}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workspace", metavar="DIR", help="the workspace folder")
    where.add_argument("--url", metavar="URL", help="a server to work against")
    if noun in COMMANDS:
        nouns = parser.add_subparsers(dest="noun", metavar="NOUN", required=True)
        module = importlib.import_module(f"mainspring._entrypoints.cli.{COMMANDS[noun].module}")
        command = nouns.add_parser(
            noun,
            help=COMMANDS[noun].help,
            description=COMMANDS[noun].help,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add(command, noun) if COMMANDS[noun].shared else module.add(command)
    return parser


def _noun(arguments: Sequence[str]) -> str | None:
    """The first word that is not an option or an option's value."""
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word in {"--workspace", "--url"}:
            skip = True
        elif not word.startswith("-"):
            return word
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code says what became of it (0 done ... 5 unavailable)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    noun = _noun(words)
    output = Output(as_json="--json" in words)
    if noun is None and "--version" not in words:
        build_parser(None).print_help()
        return 0 if not words or {"-h", "--help"} & set(words) else 2
    if noun is not None and noun not in COMMANDS:
        return _unknown_noun(noun)
    parsed = build_parser(noun).parse_args(words)
    try:
        return int(parsed.run(parsed, output) or 0)
    except MainspringError as error:
        return report_error(error, output)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


def _unknown_noun(noun: str) -> int:
    from mainspring.core.names import did_you_mean

    print(
        f"mainspring: there is no command {noun!r}. {did_you_mean(noun, COMMANDS)}", file=sys.stderr
    )
    return 2
