"""``mainspring predict`` on a dataset, as a person meets it."""

from __future__ import annotations

import pytest


@pytest.fixture
def trained(ingested, cli):
    cli("run", "train")  # too few orders for its gates, but there is a version
    return ingested


def test_a_dataset_becomes_a_dataset_of_scores(trained, cli):
    """Every row once, as the file of the same rows is scored; again it changes nothing."""
    first = cli("predict", "shop/1", "--input", "rows", "--output", "scores", "--json")
    assert first.code == 0, first.err
    said = first.document
    assert (said["output"], said["scored_now"]) == ("scores@1", said["rows"])
    again = cli("predict", "shop/1", "--input", "rows@1", "--output", "scores", "--json")
    assert (again.document["output"], again.document["scored_now"]) == ("scores@1", 0)
    shown = cli("data", "show", "scores", "--json")
    assert shown.code == 0, shown.err


def test_scores_need_a_name_of_their_own(trained, cli):
    """They are neither printed nor put among rows that were ingested."""
    assert cli("predict", "shop/1", "--input", "rows").code == 2
    assert cli("predict", "shop/1", "--input", "rows", "--output", "rows").code == 1
