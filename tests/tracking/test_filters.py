from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.tracking.filters import (
    EXPERIMENTS,
    LOGGED_MODELS,
    RUNS,
    Clause,
    Order,
    parse,
    parse_order,
    parse_orders,
)


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("metrics.loss < 0.5", Clause("metric", "loss", "<", 0.5)),
        ("metric.a>-1e3", Clause("metric", "a", ">", -1000.0)),
        ("params.rate = '7'", Clause("param", "rate", "=", "7")),
        ('parameter.rate != "7"', Clause("param", "rate", "!=", "7")),
        ("tags.`a b` LIKE 'x%'", Clause("tag", "a b", "LIKE", "x%")),
        ("tags.\"mlflow.source\" ilike 'X'", Clause("tag", "mlflow.source", "ILIKE", "X")),
        ("tags.mlflow.parentRunId = 'x'", Clause("tag", "mlflow.parentRunId", "=", "x")),
        ("params.x IS NULL", Clause("param", "x", "IS NULL")),
        ("tags.x is not null", Clause("tag", "x", "IS NOT NULL")),
        ("run_id IN ('a','b')", Clause("attribute", "run_id", "IN", ("a", "b"))),
        ("attributes.run_id not in ('a')", Clause("attribute", "run_id", "NOT IN", ("a",))),
        ("attr.Created >= 5", Clause("attribute", "start_time", ">=", 5)),
        ("attributes.\"Run name\" = 'x'", Clause("attribute", "run_name", "=", "x")),
        ("datasets.name = 'x'", Clause("dataset", "name", "=", "x")),
        ("params.q = 'it''s'", Clause("param", "q", "=", "it's")),
    ],
)
def test_every_form_of_a_condition(text: str, clause: Clause) -> None:
    """The forms that MLflow's clients send are all understood."""
    assert parse(text, RUNS) == (clause,)


def test_conditions_join_by_and() -> None:
    """AND in any case joins; nothing at all is no condition."""
    assert len(parse("metrics.a > 1 and metrics.b > 2 AND tags.c = 'AND'", RUNS)) == 3
    assert parse("", RUNS) == parse("  \n ", RUNS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a > 1 OR metrics.a < 0",
        "(metrics.a > 1)",
        "metrics.a > 'x'",
        "metrics.a LIKE 'x'",
        "metrics.a > 1e999",
        "metrics.a IS NULL",
        "metrics.a",
        "metrics.a >",
        "metrics. > 1",
        "params.a = 1",
        "params.a = b",
        "params.a > 'b'",
        "params.a IN ('b')",
        "status IN ('a')",
        "user__password = 'x'",
        "attributes.nothing = 'x'",
        "things.a = 'x'",
        "params.a = 'x",
        "params.a = 'x' and",
        "params.a = 'x' params.b = 'y'",
        "run_id IN ()",
        "run_id IN ('a'",
        "run_id IN ('a' 'b')",
        "datasets.size = '1'",
        "start_time LIKE '1'",
        "params.a = '\x00'",
        "'; DROP TABLE runs; --",
        "params.a = 'x' -- rest",
        "params.a = \u2018x\u2019",
        "params.a LIKE '%a%a%a%a%a%a%a%a%a%'",
    ],
)
def test_what_is_not_in_the_language_is_refused(text: str) -> None:
    """OR, nesting, wrong types, unknown keys and tricks with quotes are one kind of error."""
    with pytest.raises(Invalid) as caught:
        parse(text, RUNS)
    assert caught.value.code == "tracking.bad_filter"


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(["metrics.a > 1"] * 500),
        " and ".join(["metrics.a > 1"] * 20_000),
        "(" * 100_000,
        "metrics.a > 1 and " + "(" * 10_000,
        "params.a = '" + "x" * 1_000_000,
        "`" * 10_000,
        "'" * 9_999,
        "run_id IN (" + "'a'," * 4000,
        "-" * 10_000,
        "1." * 5_000,
        " " * 16_000 + "x",
    ],
)
def test_hostile_filters_are_refused_at_once(text: str) -> None:
    """However a filter is built, it is refused in time linear in what is read."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        with pytest.raises(Invalid):
            parse(text, RUNS)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text brings another error than the one for bad filters."""
    for grammar in (RUNS, EXPERIMENTS, LOGGED_MODELS):
        with contextlib.suppress(Invalid):
            parse(text, grammar)


def test_orders() -> None:
    """Directions come after the key, in any case; the default is ascending."""
    assert parse_order("metrics.`a b` DESC", RUNS) == Order("metric", "a b", descending=True)
    assert parse_order("start_time asc", RUNS) == Order("attribute", "start_time")
    assert parse_order('"Run name"', RUNS) == Order("attribute", "run_name")
    for text in ("metrics.a UP", "metrics.a DESC x", "", "datasets.name", "nothing", "1"):
        with pytest.raises(Invalid):
            parse_order(text, RUNS)
    with pytest.raises(Invalid, match="sorts by 9 keys"):
        parse_orders(["start_time"] * 9, RUNS)
