"""The texts of a new project: mainspring.toml, features.py and PROBLEM.md. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from string import Template
from typing import Final

from mainspring.projects.starting.answers import QUESTIONS, Answers
from mainspring.projects.starting.table import MAX_CLASSES, ColumnSeen, TableSeen

MAX_EXPECTATIONS: Final = 40
_ROWS_PER_CLASS: Final = 5
ROW_NUMBER: Final = "row_number"


def literal(value: str | float | Iterable[str]) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        # JSON escapes all that TOML wants escaped, but for the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return "[" + ", ".join(literal(item) for item in value) + "]"


def sql_name(column: str) -> str:
    """A column's name as SQL."""
    return '"' + column.replace('"', '""') + '"'


def common_words(name: str, answers: Answers) -> dict[str, str]:
    """What every template is filled with."""
    return {
        "name": literal(name),
        "title": name,
        "objective": literal(answers["objective"]),
        "problem": literal(answers["problem"]),
        "questions": literal(answers.questions),
        "target": literal(answers["target"]),
        "data": literal(answers["data"]),
        "record": "\n".join(
            f"**{question.text}**\n\n{answers[question.key]}\n" for question in QUESTIONS
        ),
        "accurate": _comment(answers["accurate"]),
        "cleansing": _comment(answers["cleansing"]),
    }


def table_words(table: TableSeen, answers: Answers, path: str) -> dict[str, str]:
    """What the ``tabular`` template is filled with beside the common words."""
    target = answers["target"]
    key, time, telling = table.key(target), table.time(target), table.telling(target)
    ahead = [
        column.name
        for column in table.columns
        if column.name != target and column.name not in telling and column.kind != "empty"
    ]
    shown = [*key, *([time] if time else [])]
    inputs = [table.column(name) for name in ahead if name not in shown]
    task = task_of(table, answers)
    features = list(_features(inputs))
    return {
        "task": literal(task),
        **_target_words(table, answers),
        "path": literal(path),
        "source_extra": _source_extra(table),
        "key": literal(key or (ROW_NUMBER,)),
        "time": f"time = {literal(time)}\n" if time else "",
        "label": f"{_LABEL}\n" if time else "",
        "known_ahead": "".join(f"  {literal(name)},\n" for name in ahead),
        "telling": _telling(telling, target),
        "clean": "" if key else _cleaning(answers),
        "expectations": "\n".join(_expectations(table, key, inputs, answers)),
        "metric": _METRICS[task],
        "first_metric": literal(_WATCHED[task][0]),
        "drop": literal(_WATCHED[task][1]),
        "learner": literal("gradient_boosting"),
        "resample": literal("day" if time else "row"),
        "method": literal("time" if time else "hash"),
        "seen": f"{len(table.rows):,} rows of {_comment(table.file.name)}"
        + ("" if table.complete else " (the beginning of the file)"),
        "features": "".join(
            f"            {literal(name)}: {sql!r},\n" for name, sql, _ in features
        ),
        "categories": literal([name for name, _, is_category in features if is_category]),
    }


def task_of(table: TableSeen, answers: Answers) -> str:
    """Binary for two values, or for one of several that counts as yes; else regression."""
    column = table.column(answers["target"])
    two = column.distinct == 2  # noqa: PLR2004 - yes and no
    return "binary" if answers.yes is not None or column.kind == "boolean" or two else "regression"


_LABEL: Final = '# The label is known this long after the row\'s time. Say how long it truly takes.\nlabel_delay = "0s"'
_METRICS: Final = {
    "binary": '{ name = "auc", at_least = 0.5 }, { name = "log_loss" }',
    "regression": '{ name = "r2", at_least = 0 }, { name = "mae" }',
}

_WATCHED: Final = {"binary": ("auc", 0.05), "regression": ("r2", 0.1)}


def _target_words(table: TableSeen, answers: Answers) -> dict[str, str]:
    column, yes = answers["target"], answers.yes
    if yes is None:
        return {"target": literal(column), "target_sql": ""}
    number = table.column(column).kind in {"integer", "number"}
    value = yes if number else "'" + yes.replace("'", "''") + "'"
    return _defined(column, f"{sql_name(column)} = {value}", table)


def _defined(column: str, sql: str, table: TableSeen) -> dict[str, str]:
    name = _identifier(f"is_{column}", {each.lower() for each in table.header})
    return {"target": literal(name), "target_sql": f"target_sql = {literal(sql)}\n"}


def _source_extra(table: TableSeen) -> str:
    lines = ""
    if table.file.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        lines += 'format = "csv"\n'
    if table.delimiter != ",":
        lines += f"delimiter = {literal(table.delimiter)}\n"
    if table.null_words:
        lines += f"null_values = {literal(('', 'NA', *table.null_words))}\n"
    return lines


def _telling(columns: Iterable[str], target: str) -> str:
    names = ", ".join(_comment(name) for name in columns)
    if not names:
        return ""
    return (
        f"# Left out, because they settle {_comment(target)} in every row seen and are likely known\n"
        f"# only afterwards: {names}.\n"
    )


def _cleaning(answers: Answers) -> str:
    why = f"No column names a row. Cleansing: {answers['cleansing']}"
    return (
        "[[datasets.rows.clean]]\n"
        f'set = {{ {ROW_NUMBER} = "row_number() OVER ()" }}\n'
        f"why = {literal(why)}\n"
    )


def _expectations(
    table: TableSeen, key: tuple[str, ...], inputs: Iterable[ColumnSeen], answers: Answers
) -> Iterator[str]:
    why = literal(f"Seen in {len(table.rows):,} rows. Accurate? {answers['accurate']}")
    found: list[str] = ['check = "row_count"\nmin = 1\nseverity = "fail"\n']
    if key:
        found.append(f'check = "unique"\ncolumns = {literal(key)}\nseverity = "fail"\n')
    inputs = list(inputs)
    for column in inputs:
        bounds = _range(column) or _classes(column, len(table.rows))
        if bounds:
            found.append(bounds)
    found += [
        f'check = "not_null"\ncolumn = {literal(column.name)}\n'
        for column in inputs
        if column.nulls == 0
    ]
    for each in found[:MAX_EXPECTATIONS]:
        yield f"[[datasets.rows.expect]]\n{each}why = {why}\n"


def _range(column: ColumnSeen) -> str:
    if column.low is None or column.high is None or column.low == column.high:
        return ""
    bounds = f"min = {literal(column.low)}\nmax = {literal(column.high)}\n"
    return f'check = "in_range"\ncolumn = {literal(column.name)}\n{bounds}'


def _classes(column: ColumnSeen, rows: int) -> str:
    few = 0 < len(column.classes) <= MAX_CLASSES and rows >= _ROWS_PER_CLASS * column.distinct
    if column.kind != "text" or not few:
        return ""
    values = literal(sorted(column.classes))
    return f'check = "in_set"\ncolumn = {literal(column.name)}\nvalues = {values}\n'


def _features(inputs: Iterable[ColumnSeen]) -> Iterator[tuple[str, str, bool]]:
    """Name, SQL and whether it is a category, for each column that is a number or a few words."""
    taken: set[str] = set()
    for column in inputs:
        if column.kind in {"date", "timestamp"} or (column.kind == "text" and not column.classes):
            continue
        name = _identifier(column.name, taken)
        taken.add(name)
        yield name, sql_name(column.name), column.kind == "text"


def _identifier(text: str, taken: set[str]) -> str:
    """A lower-case name of letters, digits and ``_`` that is not taken yet."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "column"
    name = name if name[0].isalpha() else f"column_{name}"
    if name not in taken:
        return name
    return next(f"{name}_{n}" for n in range(2, len(taken) + 3) if f"{name}_{n}" not in taken)


def _comment(text: str) -> str:
    """A text that fits behind a ``#``, on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fill(template: str, words: dict[str, str]) -> str:
    """A template with its words put in."""
    return Template(template).substitute(words)
