"""The parser of a command line, whose complaints are errors like any other."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from mainspring._entrypoints.cli.output import Output
from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean

MOST_PORT = 65_535
MOST_SECONDS = 86_400.0
_PAGE_WIDTH = 99
Run = Callable[[argparse.Namespace, Output], int | None]


class Parser(argparse.ArgumentParser):
    """A parser that raises ``cli.wrong_use`` instead of ending the process."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        if message.endswith("required: VERB"):
            raise Invalid(
                "cli.wrong_use",
                f"Say what to do: {self.prog} VERB.",
                hint=f"There are {', '.join(self._verbs())}; '{self.prog} --help' tells of each.",
            )
        raise Invalid(
            "cli.wrong_use",
            f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?')) else '.'}",
            hint=f"{self._example()}See '{self.prog.partition(' [')[0]} --help'.",
        )

    def _example(self) -> str:
        lines = (self.description or "").splitlines()
        found = next((line.strip() for line in lines if line.startswith("  mainspring ")), "")
        return f"Such as: {found}\n  " if found else ""

    def _verbs(self) -> list[str]:
        found = (action.choices for action in self._actions if action.dest == "verb")
        return [str(verb) for choices in found for verb in choices or ()]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action, f"there is no {str(value)[:80]!r}. {did_you_mean(str(value)[:128], known)}"
            )


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the words that may follow."""
    for action in parser._actions:  # noqa: SLF001 - argparse tells of its parsers nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def verbs(parser: argparse.ArgumentParser) -> Any:
    """Where a noun's verbs are added."""
    return parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")


def verb(  # noqa: PLR0913 - a verb is as much
    among: Any,
    name: str,
    run: Run,
    told: str,
    *,
    more: str = "",
    as_json: bool = True,
) -> argparse.ArgumentParser:
    """A verb of a noun: its name, what it runs, and what it does in one line and in more."""
    parser: argparse.ArgumentParser = among.add_parser(
        name, help=told, description=f"{_sentence(told)}\n\n{_folded(more)}".strip()
    )
    common(parser, run, as_json=as_json)
    return parser


def common(parser: argparse.ArgumentParser, run: Run, *, as_json: bool = True) -> None:
    """What every verb takes, and what it runs."""
    parser.set_defaults(run=run)
    if as_json:
        parser.add_argument("--json", action="store_true", help="print one JSON document")
    # Taken behind the verb too; the first one on the line is the noun's own.
    parser.add_argument("--workspace", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def count(text: str) -> int:
    """A whole number from one on, as an argument's type."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds from zero on, as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def port(text: str) -> int:
    """A port, as an argument's type; 0 stands for any free one."""
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE``, as an argument's type."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not KEY=VALUE")
    return key, value


def past(text: str) -> datetime:
    """A moment as RFC 3339 writes it, or a day; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no moment; write it like 2024-05-01T12:00"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def version_number(text: str) -> int:
    """``3`` or ``NAME@3`` style numbers are whole and above zero."""
    return count(text.rpartition("@")[2])


def split_version(text: str) -> tuple[str, int | None]:
    """A name and the version behind its ``@``, if there is one.

    Errors: ``cli.wrong_use``.
    """
    name, at, number = text.rpartition("@")
    if not at:
        return text, None
    if not name or not number.isdigit() or not int(number):
        raise Invalid(
            "cli.wrong_use",
            f"{text[:80]!r} does not name a version.",
            hint="Write NAME, or NAME@NUMBER such as orders@3.",
        )
    return name, int(number)


def _folded(text: str) -> str:
    """The text with no line wider than a page; what was broken by hand stays as it is."""
    return "\n".join(
        line if len(line) <= _PAGE_WIDTH else textwrap.fill(line, _PAGE_WIDTH)
        for line in text.split("\n")
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
