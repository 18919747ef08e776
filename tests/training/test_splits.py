"""Nothing of the future reaches training, and no row is in two parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mainspring.core.errors import Invalid
from mainspring.training.splits import Split, split_by_hash, split_by_time

START = np.datetime64("2013-01-01T00:00", "us")
HOUR = np.timedelta64(1, "h")


def together(split: Split) -> list[int]:
    """All positions of all parts."""
    parts = (split.train, split.validation, split.test, split.embargoed, split.unlabelled)
    return sorted(np.concatenate(parts).tolist())


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(30, 150),
    st.integers(20, 100),
    st.integers(20, 100),
    st.one_of(st.none(), st.integers(300, 600)),
)
def test_a_split_by_time_never_sees_the_future(
    seed: int, n: int, validation: int, test: int, until: int | None
) -> None:
    """Each label learned from was known before the first prediction that judges it."""
    random = np.random.default_rng(seed)
    predicted = START + random.integers(0, 500, n) * HOUR
    known = predicted + random.integers(0, 60, n) * HOUR
    known[random.random(n) < 0.2] = np.datetime64("NaT")
    end = None if until is None else datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=until)
    lengths = {"validation": timedelta(hours=validation), "test": timedelta(hours=test)}
    try:
        split = split_by_time(predicted, known, until=end, **lengths)
    except Invalid:  # every row of a part may fall to chance; the promise is about real splits
        reject()
    assert together(split) == list(range(n))
    assert known[split.train].max() < predicted[split.validation].min()
    assert known[split.train].max() < predicted[split.test].min()
    assert known[split.validation].max() < predicted[split.test].min()
    assert predicted[split.validation].max() < predicted[split.test].min()
    assert not np.isnat(known[np.concatenate([split.train, split.validation, split.test])]).any()
    if until is not None:
        assert known[split.test].max() <= START + until * HOUR


def test_a_split_by_time_by_hand() -> None:
    """Ten hourly rows, labels known 90 minutes later: two rows are under embargo, one unknown."""
    predicted = START + np.arange(10) * HOUR
    known = predicted + np.timedelta64(90, "m")
    known[9] = np.datetime64("NaT")
    split = split_by_time(
        predicted,
        known,
        validation=timedelta(hours=3),
        test=timedelta(hours=3),
        until=datetime(2013, 1, 1, 10, tzinfo=UTC),
    )
    assert split.train.tolist() == [0, 1, 2]
    assert split.validation.tolist() == [4, 5]
    assert split.test.tolist() == [7, 8]
    assert split.embargoed.tolist() == [3, 6]
    assert split.unlabelled.tolist() == [9]
    assert split.summary.validation_from == datetime(2013, 1, 1, 4, tzinfo=UTC)
    assert split.summary.test_from == datetime(2013, 1, 1, 7, tzinfo=UTC)
    assert (split.summary.train, split.summary.embargoed) == (3, 2)


def test_no_test_stretch_means_no_embargo_before_it() -> None:
    """With a length of zero the validation runs to the end."""
    predicted = START + np.arange(10) * HOUR
    split = split_by_time(
        predicted, predicted + HOUR, validation=timedelta(hours=3), test=timedelta(0)
    )
    assert split.test.size == 0
    assert split.validation.tolist() == [7, 8, 9]
    assert split.summary.test_from is None


@pytest.mark.parametrize(
    ("validation", "until", "code"),
    [
        (timedelta(days=9), None, "training.split_empty"),
        (timedelta(days=-1), None, "training.bad_stretch"),
        (timedelta(hours=1), datetime(2013, 1, 1), "training.naive_time"),  # noqa: DTZ001
    ],
)
def test_an_impossible_split_by_time_is_refused(
    validation: timedelta, until: datetime | None, code: str
) -> None:
    """An empty part, a negative stretch and a time without a zone are typed errors."""
    predicted = START + np.arange(10) * HOUR
    with pytest.raises(Invalid) as caught:
        split_by_time(
            predicted, predicted, validation=validation, test=timedelta(hours=1), until=until
        )
    assert caught.value.code == code


def test_a_missing_prediction_time_is_refused() -> None:
    """A row without a time has no place in time."""
    with pytest.raises(Invalid, match="one is missing"):
        split_by_time(
            np.array(["NaT"], dtype="datetime64[us]"),
            np.array(["NaT"], dtype="datetime64[us]"),
            validation=timedelta(1),
            test=timedelta(1),
        )


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=30))
def test_a_key_keeps_its_part(extra: list[str]) -> None:
    """The part of a key does not depend on which other rows exist, and repeats stay together."""
    keys = [f"key-{n}" for n in range(100)]
    split = split_by_hash(keys, validation_share=0.2, test_share=0.2)
    larger = split_by_hash([*keys, *extra, *keys], validation_share=0.2, test_share=0.2)
    assert set(split.test.tolist()) == {place for place in larger.test.tolist() if place < 100}
    assert {p + 100 + len(extra) for p in split.train.tolist()} <= set(larger.train.tolist())
    assert together(larger) == list(range(200 + len(extra)))


def test_shares_are_met_and_only_grow() -> None:
    """Of 20,000 keys the shares are met within 1 %; a larger test share keeps all test rows."""
    keys = range(20_000)
    small = split_by_hash(keys, validation_share=0.2, test_share=0.1)
    large = split_by_hash(keys, validation_share=0.2, test_share=0.3)
    assert small.test.size == pytest.approx(2_000, abs=200)
    assert small.validation.size == pytest.approx(4_000, abs=200)
    assert set(small.test.tolist()) <= set(large.test.tolist())
    other = split_by_hash(keys, validation_share=0.2, test_share=0.1, salt="other")
    assert set(other.test.tolist()) != set(small.test.tolist())


def test_the_place_of_a_key_is_frozen() -> None:
    """The hash is a stored promise: these parts must never change with a version."""
    split = split_by_hash(list("abcdefghij"), validation_share=0.3, test_share=0.3)
    assert (split.validation.tolist(), split.test.tolist()) == ([1, 3, 6], [0, 2, 8])


def test_shares_that_leave_nothing_are_refused() -> None:
    """Half and half leaves no row to learn from."""
    with pytest.raises(Invalid, match="nothing to learn"):
        split_by_hash(["a"], validation_share=0.5, test_share=0.5)
