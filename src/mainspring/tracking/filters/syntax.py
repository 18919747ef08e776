"""A filter's text as tokens, and a cursor that takes keys, operators and literals from them.

What a key means, and which operators it allows, is said by :mod:`.meaning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from mainspring.tracking.filters.words import (
    MAX_LIST,
    MAX_TEXT,
    MAX_TOKENS,
    NUMERIC,
    Op,
    bad_filter,
    storable,
)

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
    | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<op><=|>=|!=|<>|==|=|<|>)
    | (?P<punct>[(),])
    | (?P<word>[^\W\d][\w./:\-]*)
    )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"\s*\Z")


class Token(msgspec.Struct, frozen=True):
    """One word, sign or literal, and where it stands."""

    kind: str
    text: str
    start: int
    end: int


class Name(msgspec.Struct, frozen=True):
    """A key as it is written: ``entity.key``, or a bare name without an entity."""

    entity: str
    key: str


def _tokens(text: str) -> Iterator[Token]:
    position = count = 0
    while not _SPACE.match(text, position):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise bad_filter(
                f"cannot be read at {text[position : position + 40]!r}",
                "Conditions look like: metrics.loss < 0.1 and params.rate = '7'.",
            )
        count += 1
        if count > MAX_TOKENS:
            raise bad_filter(f"has more than {MAX_TOKENS} words and signs")
        kind = match.lastgroup
        yield Token(kind, match[kind], match.start(kind), match.end())
        position = match.end()


def unquote(text: str) -> str:
    """What stands between quotes; inside, a doubled quote is one."""
    mark = text[0]
    return text[1:-1] if mark == "`" else text[1:-1].replace(mark * 2, mark)


class Cursor:
    """Takes one part of a filter after the other. Errors: ``tracking.bad_filter``, linear in time.

    The text is read to its end at once: one that is no sequence of tokens is refused first.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise bad_filter(f"is longer than {MAX_TEXT} characters", "Search in several steps.")
        self._tokens = list(_tokens(text))
        self._at = 0

    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def take(self) -> Token:
        if self.done():
            raise bad_filter("ends too early", "Conditions look like: metrics.loss < 0.1.")
        self._at += 1
        return self._tokens[self._at - 1]

    def word(self, *words: str) -> bool:
        """Whether the next token is one of these words; it is taken then."""
        if self.done():
            return False
        token = self._tokens[self._at]
        if token.kind in {"word", "punct"} and token.text.upper() in words:
            self._at += 1
            return True
        return False

    def name(self) -> Name:
        """The next key."""
        token = self.take()
        if token.kind == "quoted":
            return Name("", storable(unquote(token.text)))
        if token.kind != "word":
            raise bad_filter(
                f"has {token.text[:40]!r} where a key was expected",
                "Conditions look like: metrics.loss < 0.1; there is no OR and no nesting.",
            )
        entity, dot, key = token.text.partition(".")
        return Name(entity, key + self._quoted_rest(token)) if dot else Name("", entity)

    def _quoted_rest(self, token: Token) -> str:
        if self.done() or not token.text.endswith("."):
            return ""
        after = self._tokens[self._at]
        if after.kind in {"quoted", "string"} and after.start == token.end:
            self._at += 1
            return storable(unquote(after.text))
        return ""

    def operator(self) -> Op:
        """The next comparison."""
        token = self.take()
        text = token.text.upper()
        if token.kind == "op" and token.text in NUMERIC:
            return token.text  # type: ignore[return-value]
        if token.kind == "word" and text in {"LIKE", "ILIKE", "IN"}:
            return text  # type: ignore[return-value]
        if token.kind == "word" and text == "NOT" and self.word("IN"):
            return "NOT IN"
        if token.kind == "word" and text == "IS":
            negated = self.word("NOT")
            if self.word("NULL"):
                return "IS NOT NULL" if negated else "IS NULL"
        raise bad_filter(
            f"has {token.text[:40]!r} where a comparison was expected",
            "Comparisons are = != < <= > >= LIKE ILIKE IN, NOT IN and IS [NOT] NULL.",
        )

    def texts(self) -> tuple[str, ...]:
        """The next list of quoted texts, in parentheses."""
        values: list[str] = []
        if not self.word("("):
            raise bad_filter("has IN without a list", "Lists look like ('a', 'b').")
        while True:
            token = self.take()
            if token.kind not in {"string", "quoted"}:
                raise bad_filter(f"has {token.text[:40]!r} in a list of quoted text")
            values.append(storable(unquote(token.text)))
            if len(values) > MAX_LIST:
                raise bad_filter(f"has a list of more than {MAX_LIST} values")
            if self.word(")"):
                return tuple(values)
            if not self.word(","):
                raise bad_filter("has a list that does not end")
