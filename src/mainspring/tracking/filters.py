"""The filter language of MLflow searches: conditions joined by AND, read in one linear pass.

::

    metrics.loss < 0.1 and params."learning rate" = '7' and attributes.run_id IN ('a', 'b')

Grammar as in MLflow's documentation of ``search_runs``: keys bare, in backticks or double quotes;
strings in single or double quotes (a quote inside is doubled). There is no OR and no nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean

Kind = Literal[
    "metric",
    "param",
    "tag",
    "attribute",
    "dataset",
    "metadata",
    "span",
    "feedback",
    "expectation",
]
Op = Literal[
    "=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]
Value = str | float | int | tuple[str, ...] | None

MAX_TEXT: Final = 16_384
MAX_CLAUSES: Final = 64
MAX_LIST: Final = 1_000
MAX_TOKENS: Final = 4_000
MAX_WILDCARDS: Final = 8
MAX_ORDERS: Final = 8
NUMERIC: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
TEXTUAL: Final = frozenset({"=", "!=", "LIKE", "ILIKE"})
LISTS: Final = frozenset({"IN", "NOT IN"})
NULLS: Final = frozenset({"IS NULL", "IS NOT NULL"})
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_TRACE_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "trace"), "attribute"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
}
_SPAN_KEYS: Final = frozenset({"name", "type", "status", "content"})
_SPAN_ATTRIBUTE: Final = "attributes."
_JUDGED: Final = frozenset({"feedback", "expectation"})


class Clause(msgspec.Struct, frozen=True):
    """One condition on one key."""

    kind: Kind
    key: str
    op: Op
    value: Value = None


class Order(msgspec.Struct, frozen=True):
    """One key to sort by."""

    kind: Kind
    key: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Grammar:
    """What one kind of search knows: attributes, their aliases, and which kinds of key."""

    text: frozenset[str]
    numbers: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset({"attribute", "tag"})
    aliases: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, Kind] = field(default_factory=lambda: _KINDS)
    patterns: frozenset[str] = frozenset()  # attributes that only LIKE and ILIKE may ask

    @property
    def attributes(self) -> frozenset[str]:
        return self.text | self.numbers


RUNS: Final = Grammar(
    text=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    numbers=frozenset({"start_time", "end_time"}),
    lists=frozenset({"run_id"}),
    kinds=frozenset({"metric", "param", "tag", "attribute", "dataset"}),
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)
EXPERIMENTS: Final = Grammar(
    text=frozenset({"name", "experiment_id"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    lists=frozenset({"experiment_id"}),
)
LOGGED_MODELS: Final = Grammar(
    text=frozenset(
        {
            "name",
            "model_id",
            "model_type",
            "status",
            "source_run_id",
            "experiment_id",
            "artifact_uri",
        }
    ),
    numbers=frozenset({"creation_timestamp", "last_updated_timestamp"}),
    lists=frozenset({"name", "model_id", "model_type", "status", "source_run_id"}),
    kinds=frozenset({"metric", "param", "tag", "attribute"}),
    aliases={
        "creation_time": "creation_timestamp",
        "last_updated_time": "last_updated_timestamp",
        "run_id": "source_run_id",
    },
)
TRACES: Final = Grammar(
    text=frozenset(
        {"request_id", "status", "client_request_id", "name", "run_id", "prompt", "text"}
    ),
    numbers=frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms", "experiment_id"}),
    lists=frozenset({"request_id", "status", "client_request_id", "name", "run_id"}),
    kinds=frozenset(_TRACE_KINDS.values()),
    aliases={
        "trace_id": "request_id",
        "timestamp": "timestamp_ms",
        "execution_time": "execution_time_ms",
        "end_time": "end_time_ms",
    },
    entities=_TRACE_KINDS,
    patterns=frozenset({"text"}),
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


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    start: int
    end: int


def bad_filter(fault: str, hint: str = "") -> Invalid:
    """The error for a filter or an order that can not be understood."""
    return Invalid("tracking.bad_filter", f"The filter {fault}.", hint=hint)


def parse(text: str, grammar: Grammar) -> tuple[Clause, ...]:
    """The conditions of a filter; none for an empty one.

    Errors: ``tracking.bad_filter``, in time linear in the text, for all that the grammar lacks.
    """
    if len(text) > MAX_TEXT:
        raise bad_filter(f"is longer than {MAX_TEXT} characters", "Search in several steps.")
    return tuple(_Parser(list(_tokens(text)), grammar).clauses())


def parse_order(text: str, grammar: Grammar) -> Order:
    """A key to sort by, with ``ASC`` or ``DESC`` after it. Errors: ``tracking.bad_filter``."""
    if len(text) > MAX_TEXT:
        raise bad_filter("has too long an order")
    parser = _Parser(list(_tokens(text)), grammar)
    kind, key = parser.identifier()
    descending = False
    if not parser.done():
        word = parser.take().text.upper()
        if word not in {"ASC", "DESC"} or not parser.done():
            raise bad_filter(f"cannot be sorted by {text[:80]!r}", "Use 'key ASC' or 'key DESC'.")
        descending = word == "DESC"
    if kind in {"dataset", "span", "feedback", "expectation"}:
        raise bad_filter(f"cannot be sorted by a {kind}")
    return Order(kind, key, descending)


def parse_orders(texts: Sequence[str], grammar: Grammar) -> tuple[Order, ...]:
    """The keys to sort by, the first counting most. Errors: ``tracking.bad_filter``."""
    if len(texts) > MAX_ORDERS:
        raise bad_filter(f"sorts by {len(texts)} keys, the limit is {MAX_ORDERS}")
    return tuple(parse_order(text, grammar) for text in texts)


def _tokens(text: str) -> Iterator[_Token]:
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
        yield _Token(kind, match[kind], match.start(kind), match.end())
        position = match.end()


def _unquote(text: str) -> str:
    mark = text[0]
    return text[1:-1] if mark == "`" else text[1:-1].replace(mark * 2, mark)


class _Parser:
    """A cursor over the tokens."""

    def __init__(self, tokens: list[_Token], grammar: Grammar) -> None:
        self._tokens = tokens
        self._grammar = grammar
        self._at = 0

    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def take(self) -> _Token:
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

    def clauses(self) -> Iterator[Clause]:
        count = 0
        while not self.done():
            count += 1
            if count > MAX_CLAUSES:
                raise bad_filter(f"has more than {MAX_CLAUSES} conditions")
            yield self._clause()
            if self.done():
                return
            if self.word("AND"):
                if self.done():
                    raise bad_filter("ends with AND")
                continue
            token = self.take()
            hint = "Join conditions with AND; OR and parentheses are not part of this language."
            raise bad_filter(f"has {token.text[:40]!r} where AND was expected", hint)

    def identifier(self) -> tuple[Kind, str]:
        """The kind and the key that the next tokens name."""
        token = self.take()
        if token.kind == "quoted":
            return self._attribute(_unquote(token.text))
        if token.kind != "word":
            raise bad_filter(
                f"has {token.text[:40]!r} where a key was expected",
                "Conditions look like: metrics.loss < 0.1; there is no OR and no nesting.",
            )
        entity, dot, key = token.text.partition(".")
        if not dot:
            return self._attribute(entity)
        entities = self._grammar.entities
        kind = entities.get(entity)
        if kind is None or kind not in self._grammar.kinds:
            known = [name for name, kind in entities.items() if kind in self._grammar.kinds]
            raise bad_filter(
                f"has an unknown kind of key, {entity[:40]!r}", did_you_mean(entity, known)
            )
        key += self._quoted_rest(token)
        if not key:
            raise bad_filter(f"has no key after {entity!r}")
        if kind == "attribute":
            return self._attribute(key)
        if kind == "dataset" and key not in {"name", "digest", "context"}:
            raise bad_filter(f"has an unknown dataset key {key[:40]!r}")
        if kind == "span" and key not in _SPAN_KEYS and not key.startswith(_SPAN_ATTRIBUTE):
            raise bad_filter(
                f"has an unknown span key {key[:40]!r}",
                "Spans have name, type, status, content and attributes.NAME.",
            )
        return kind, key

    def _quoted_rest(self, token: _Token) -> str:
        if self.done() or not token.text.endswith("."):
            return ""
        after = self._tokens[self._at]
        if after.kind in {"quoted", "string"} and after.start == token.end:
            self._at += 1
            return _unquote(after.text)
        return ""

    def _attribute(self, key: str) -> tuple[Kind, str]:
        key = self._grammar.aliases.get(key, key)
        if key not in self._grammar.attributes:
            raise bad_filter(
                f"has an unknown attribute {key[:40]!r}",
                did_you_mean(key[:40], self._grammar.attributes),
            )
        return "attribute", key

    def _clause(self) -> Clause:
        kind, key = self.identifier()
        op = self._operator()
        if op in NULLS:
            if kind in {"metric", "attribute", "dataset", "span"}:
                raise bad_filter(f"asks {op} of a {kind}", "Only tags and params may be asked.")
            return Clause(kind, key, op)
        searched = (kind == "attribute" and key in self._grammar.patterns) or (
            (kind, key) == ("span", "content")
        )
        if searched and op not in {"LIKE", "ILIKE"}:
            raise bad_filter(f"uses {op} on the text {key!r}", "It takes LIKE and ILIKE.")
        if op in LISTS:
            if kind not in {"dataset", "span"} and not (
                kind == "attribute" and key in self._grammar.lists
            ):
                raise bad_filter(f"compares {key[:40]!r} with a list")
            return Clause(kind, key, op, self._list())
        if kind == "metric" or (kind == "attribute" and key in self._grammar.numbers):
            return Clause(kind, key, op, self._number(kind, key, op))
        if kind in _JUDGED and op in NUMERIC - TEXTUAL:
            return Clause(kind, key, op, self._number(kind, key, op))
        return Clause(kind, key, op, self._string(key, op))

    def _operator(self) -> Op:
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

    def _number(self, kind: Kind, key: str, op: Op) -> float | int:
        token = self.take()
        if op not in NUMERIC:
            raise bad_filter(f"uses {op} on the number {key[:40]!r}")
        if token.kind != "number":
            raise bad_filter(f"compares {key[:40]!r} with {token.text[:40]!r}, not with a number")
        number = float(token.text)
        if number in {float("inf"), float("-inf")}:
            raise bad_filter("has a number out of range")
        if kind == "attribute" and token.text.lstrip("+-").isdigit():
            whole = int(token.text)
            return whole if abs(whole) < 2**63 else number
        return number

    def _string(self, key: str, op: Op) -> str:
        token = self.take()
        if op not in TEXTUAL:
            raise bad_filter(f"uses {op} on the text {key[:40]!r}")
        if token.kind not in {"string", "quoted"} or token.text[0] == "`":
            raise bad_filter(
                f"compares {key[:40]!r} with {token.text[:40]!r}, not with quoted text",
                "Put the text in single quotes.",
            )
        text = _checked(_unquote(token.text))
        if op in {"LIKE", "ILIKE"} and text.count("%") > MAX_WILDCARDS:
            raise bad_filter(f"has a pattern with more than {MAX_WILDCARDS} '%'")
        return text

    def _list(self) -> tuple[str, ...]:
        values: list[str] = []
        if not self.word("("):
            raise bad_filter("has IN without a list", "Lists look like ('a', 'b').")
        while True:
            token = self.take()
            if token.kind not in {"string", "quoted"}:
                raise bad_filter(f"has {token.text[:40]!r} in a list of quoted text")
            values.append(_checked(_unquote(token.text)))
            if len(values) > MAX_LIST:
                raise bad_filter(f"has a list of more than {MAX_LIST} values")
            if self.word(")"):
                return tuple(values)
            if not self.word(","):
                raise bad_filter("has a list that does not end")


def _checked(text: str) -> str:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise bad_filter("holds a character that cannot be stored")
    return text


def like_pattern(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """``%`` for any text and ``_`` for one character, as a regular expression."""
    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else 0)
    return re.compile("".join(parts) + r"\Z", flags)
