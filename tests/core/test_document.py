"""Positions of keys: every key that the standard reader yields is found where it stands."""

from __future__ import annotations

import time
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.document import (
    MAX_DEPTH,
    Document,
    Path,
    Position,
    dotted,
    parse_document,
)
from mainspring.core.errors import Invalid

SAMPLE = '''\
# a comment with [brackets] and = signs
title = "# no comment"
a.b . c = 1
"quoted.key" = { x = 1, "y z" = [1, { deep = true }] } # [not.a.table]
[table] # comment
text = """
[no.table]
key = "value"
a quote \\""" inside"""""
literal = \'\'\'
[[nothing]]
it''s'\'\'\'
list = [
  1, # ] one
  [ 2, 3 ],
]
[[rows]]
name = "first"
[rows.inner]
here = 1979-05-27 07:32:00
[[rows]]
name = "second"
[[rows.parts]]
n = 1
'''

SAMPLE_POSITIONS = {
    ("title",): (2, 1),
    ("a", "b"): (3, 3),
    ("a", "b", "c"): (3, 7),
    ("quoted.key", "y z"): (4, 25),
    ("quoted.key", "y z", 1, "deep"): (4, 39),
    ("table",): (5, 2),
    ("table", "text"): (6, 1),
    ("table", "literal"): (10, 1),
    ("table", "list", 1): (15, 3),
    ("table", "list", 1, 1): (15, 8),
    ("rows", 0, "name"): (18, 1),
    ("rows", 0, "inner", "here"): (20, 1),
    ("rows", 1): (21, 3),
    ("rows", 1, "parts", 0, "n"): (24, 1),
}

_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
_scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    _words,
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)
_tables = st.dictionaries(_words, _values, max_size=4)


def paths_of(value: Any, path: Path = ()) -> list[Path]:
    """Every path of a key or list element, from the outside in."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[Path] = []
    for key, item in items:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += paths_of(item, (*path, key))
    return found


def key_at(text: str, at: Position) -> str:
    """The key whose text starts at a position, read back by the standard library."""
    rest = text.split("\n")[at.line - 1][at.column - 1 :]
    for end in range(1, len(rest) + 1):
        if end < len(rest) and rest[end] not in "=.] \t":
            continue
        try:
            keys = tomllib.loads(f"{rest[:end]} = 0")
        except tomllib.TOMLDecodeError:
            continue
        return next(iter(keys))
    raise AssertionError(f"no key at {at}: {rest!r}")


def assert_located(text: str, document: Document) -> None:
    paths = paths_of(document.value)
    for path in paths:
        assert path in document.offsets, dotted(path)
        if isinstance(path[-1], str):
            assert key_at(text, document.position(path)) == path[-1]
    assert set(document.offsets) == set(paths)


def _string(draw: st.DrawFn, text: str) -> str:
    escaped = "".join(f"\\U{ord(c):08x}" if c in '"\\' or not c.isprintable() else c for c in text)
    styles = [f'"{escaped}"', f'"""{escaped}"""', f'"""\n{escaped}"""']
    if text.isprintable() and "'" not in text:
        styles += [f"'{text}'", f"'''{text}'''"]
    return draw(st.sampled_from(styles))


def _key(draw: st.DrawFn, name: str) -> str:
    if name and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum():
        return name
    escaped = "".join(f"\\U{ord(c):08x}" if c in '"\\' or not c.isprintable() else c for c in name)
    return f'"{escaped}"'


def _written(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(draw, value)
    if isinstance(value, list):
        gap = draw(st.sampled_from(["", " ", "\n", " # ] [x]\n  "]))
        return f"[{gap}" + f",{gap}".join(_written(draw, item) + gap for item in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{_key(draw, k)} = {_written(draw, v)}" for k, v in value.items()]
        return "{ " + ", ".join(pairs) + " }"
    return repr(value) if isinstance(value, int | float) else value.isoformat()


def _section(draw: st.DrawFn, header: str, table: dict[str, Any]) -> str:
    """A table as lines: values first, then tables and arrays of tables under their headers."""
    lines, below = "", ""
    for name, value in table.items():
        full = header + _key(draw, name)
        style = draw(st.sampled_from(["inline", "header", "dotted"]))
        if isinstance(value, dict) and style == "header":
            below += f"[ {full} ] # x = 1\n" + _section(draw, f"{full}.", value)
        elif isinstance(value, dict) and value and style == "dotted":
            for inner, item in value.items():
                key = f"{_key(draw, name)} . {_key(draw, inner)}"
                lines += f"{key} = {_written(draw, item)}\n"
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            for item in value:
                below += f"[[{full}]]\n" + _section(draw, f"{full}.", item)
        else:
            lines += f"  {_key(draw, name)} = {_written(draw, value)} # {{\n"
    return lines + below


@st.composite
def documents(draw: st.DrawFn) -> str:
    return _section(draw, "", draw(_tables))


@given(documents())
@settings(max_examples=150, deadline=None)
def test_every_key_is_located_where_it_stands(text: str) -> None:
    """Every key and element the standard reader yields has a position; its text is that key."""
    document = parse_document(text)
    assert_located(text, document)


@given(st.text(st.sampled_from("ab=.[]{}\"'#\\\n ,1-"), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_as_the_standard_library_reads_it(text: str) -> None:
    """A text is refused exactly when the standard reader refuses it, and all its keys are found."""
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(Invalid) as caught:
            parse_document(text)
        assert caught.value.code == "core.bad_toml"
        assert caught.value.facts["line"] in range(1, text.count("\n") + 2)
        return
    document = parse_document(text)
    assert document.value == expected
    assert set(document.offsets) == set(paths_of(document.value))


@pytest.mark.parametrize(("path", "at"), SAMPLE_POSITIONS.items())
def test_positions_in_a_file_with_every_kind_of_key(path: Path, at: tuple[int, int]) -> None:
    """Dotted, quoted, inline, nested and repeated keys are found behind strings and comments."""
    assert parse_document(SAMPLE).position(path) == at


def test_every_key_of_the_sample_is_located() -> None:
    """The sample has no key without a position and no position without a key."""
    assert_located(SAMPLE, parse_document(SAMPLE))


def test_a_missing_key_is_placed_at_the_table_that_lacks_it() -> None:
    """The place of a key that is not there is that of the nearest key around it."""
    document = parse_document(SAMPLE)
    assert document.position(("table", "absent", "deep")) == (5, 2)
    assert document.position(("absent",)) == (1, 1)


def test_windows_line_ends_and_a_byte_order_mark_do_not_shift_positions() -> None:
    """A file saved by a Windows editor has the same positions."""
    document = parse_document("\ufeff" + SAMPLE.replace("\n", "\r\n"))
    assert document.position(("rows", 1)) == SAMPLE_POSITIONS["rows", 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = " + "[" * 100_000, 1),
        ("\na" + ".a" * 400_000 + " = 1", 2),
        ("[" + "a." * 400_000 + "a]", 1),
        ("x = " + "{a=" * 1000, 1),
        ("\n\na = " + "9" * 5000, 3),
        ("a = [" + "1," * 400_000 + "]", 1),
        ("#" * 1_000_001, 1),
    ],
)
def test_a_text_that_would_make_the_reader_slow_or_deep_is_refused(text: str, line: int) -> None:
    """Nesting, dotted keys, long numbers and sheer size have limits, told with their line."""
    with pytest.raises(Invalid) as caught:
        parse_document(text)
    assert caught.value.facts["line"] == line


def test_the_deepest_allowed_nesting_is_read() -> None:
    """The limit itself still passes."""
    text = "a = " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert len(parse_document(text).offsets) == MAX_DEPTH - 1


@pytest.mark.parametrize(
    "unit", ["a.b = 1 # c\n", 'k = """\\"""x"""\n', "# [\n", "k = [ [ ], # x\n ]\n"]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(unit: str) -> None:
    """Eight times the text takes nowhere near sixty-four times as long."""

    def seconds(count: int) -> float:
        text = "".join(f"[t{i}]\n{unit}" for i in range(count))
        best = float("inf")
        for _ in range(3):
            start = time.thread_time()  # by the clock, others on the machine would count too
            parse_document(text)
            best = min(best, time.thread_time() - start)
        return best

    assert seconds(4000) < 30 * seconds(500) + 0.05


def test_paths_are_written_as_people_write_them() -> None:
    """Elements in brackets, odd keys in quotes."""
    assert dotted(("gates", 0, "a key", "metric")) == "gates[0].'a key'.metric"
