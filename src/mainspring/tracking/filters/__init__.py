"""The filter language of MLflow searches: conditions joined by AND, read in one linear pass.

::

    metrics.loss < 0.1 and params."learning rate" = '7' and attributes.run_id IN ('a', 'b')

Grammar as in MLflow's documentation of ``search_runs``: keys bare, in backticks or double quotes;
strings in single or double quotes (a quote inside is doubled). There is no OR and no nesting.
"""

from __future__ import annotations

from mainspring.tracking.filters.grammars import EXPERIMENTS, LOGGED_MODELS, RUNS, TRACES, Grammar
from mainspring.tracking.filters.meaning import parse, parse_order, parse_orders
from mainspring.tracking.filters.words import (
    Clause,
    Order,
    Value,
    bad_filter,
    like_pattern,
)

__all__ = [
    "EXPERIMENTS",
    "LOGGED_MODELS",
    "RUNS",
    "TRACES",
    "Clause",
    "Grammar",
    "Order",
    "Value",
    "bad_filter",
    "like_pattern",
    "parse",
    "parse_order",
    "parse_orders",
]
