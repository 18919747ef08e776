"""The command line: one file per noun, and nothing heavy before a command runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mainspring import __version__
from mainspring._entrypoints.cli.commands import COMMANDS, DESCRIPTION, overview
from mainspring._entrypoints.cli.examples import tell
from mainspring._entrypoints.cli.output import Output, report_error
from mainspring._entrypoints.cli.parser import Parser, below
from mainspring.core.errors import Conflict, Denied, Invalid, MainspringError, Unavailable
from mainspring.core.names import did_you_mean


def build_parser(noun: str | None) -> argparse.ArgumentParser:
    """The parser of the whole line; only the named noun's own arguments are loaded."""
    parser = Parser(
        prog="mainspring",
        usage="mainspring [--workspace DIR | --url URL] NOUN VERB ...",
        description=DESCRIPTION,
        epilog=overview(),
    )
    parser.add_argument("--version", action="version", version=f"mainspring {__version__}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workspace", metavar="DIR", help="the workspace folder")
    where.add_argument("--url", metavar="URL", help="a server to work against")
    if noun in COMMANDS:
        nouns = parser.add_subparsers(dest="noun", metavar="NOUN", required=True, prog="mainspring")
        module = importlib.import_module(f"mainspring._entrypoints.cli.{COMMANDS[noun].module}")
        told = COMMANDS[noun].help
        command = nouns.add_parser(
            noun, help=told, description=f"{told[:1].upper()}{told[1:]}.\n\n{_more(module.__doc__)}"
        )
        module.add(command, noun) if COMMANDS[noun].shared else module.add(command)
        tell(command, noun)
        for name, verb in below(command).items():
            tell(verb, f"{noun} {name}")
    return parser


def _more(documentation: str | None) -> str:
    """What a noun's file tells of it, below its first line."""
    return (documentation or "").partition("\n")[2].strip("\n").rstrip()


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
    if words[:1] == ["help"]:  # what many would type
        words = [*words[1:], "--help"]
    output = Output(as_json="--json" in words)
    try:
        code = _run(words, output)
        sys.stdout.flush()
    except MainspringError as error:
        return report_error(error, output)
    except BrokenPipeError:
        # Who read us has gone; nothing more is written, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return report_error(_system_error(error), output)
    except KeyboardInterrupt:
        output.note("\nInterrupted. The same command goes on where this one stopped.")
        return 130
    return code


def _run(words: Sequence[str], output: Output) -> int:
    noun = _noun(words)
    if noun is None and not {"-h", "--help", "--version"} & set(words):
        parser = build_parser(None)
        if not words:
            parser.print_help()
            return 0
        parser.parse_args(words)
        raise Invalid(
            "cli.wrong_use",
            "Say what to do: mainspring NOUN VERB.",
            hint="'mainspring --help' lists the nouns.",
        )
    if noun is not None and noun not in COMMANDS:
        raise Invalid(
            "cli.no_such_command",
            f"There is no command {noun[:80]!r}.",
            hint=f"{did_you_mean(noun[:128], COMMANDS)} 'mainspring --help' lists them.",
        )
    try:
        parsed = build_parser(noun).parse_args(words)
    except SystemExit as end:  # --help and --version print and end
        return int(end.code or 0)
    return int(parsed.run(parsed, output) or 0)


def _system_error(error: OSError) -> MainspringError:
    """What the operating system refused, as an error of ours."""
    name = f" ({error.filename})" if error.filename else ""
    message = f"{error.strerror or error}{name}."
    if isinstance(error, PermissionError):
        return Denied("cli.not_permitted", message, hint="Check who owns it and its permissions.")
    if isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError):
        return Conflict("cli.system", message, hint="Check the path.")
    return Unavailable(
        "cli.system", message, hint="Check the path and the free space ('mainspring doctor')."
    )
