"""A capacity holds for all processes of an endpoint together, and over restarts."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Unavailable
from mainspring.serving.capacity import SharedHands
from mainspring.serving.policy import WINDOWS_KEPT, Capacity, Hands

TAKER = """
import sys
from pathlib import Path
import numpy as np
from mainspring.serving.capacity import SharedHands
from mainspring.serving.policy import Capacity

policy = Capacity(threshold=0.0, most=500, window_micros=10**6)
hands = SharedHands(Path(sys.argv[1]), "late", policy.window_micros)
sys.stdin.readline()
one = np.ones(1, dtype=bool), np.ones(1), np.full(1, 5, dtype=np.int64)
print(sum(int(hands.take(*one, policy)[0]) for _ in range(300)))
"""


def ask(hands, policy, rows):
    score = np.array([r[0] for r in rows])
    times = np.array([r[1] for r in rows], np.int64)
    return hands.take(score >= policy.threshold, score, times, policy).tolist()


REQUESTS = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 100 * 90)), min_size=1, max_size=20),
    max_size=12,
)


@given(requests=REQUESTS, most=st.integers(0, 5), turns=st.lists(st.integers(0, 2), min_size=12))
def test_several_count_as_one(tmp_path_factory, requests, most, turns):
    """Whoever of three is asked, and however often one starts anew: the answers of one alone."""
    policy, folder = (
        Capacity(threshold=0.3, most=most, window_micros=100),
        tmp_path_factory.mktemp("c"),
    )
    alone, several = Hands(), [SharedHands(folder, "late", 100) for _ in range(3)]
    for rows, turn in zip(requests, turns, strict=False):
        if turn == 2:
            several[2] = SharedHands(folder, "late", 100)
        assert ask(several[turn], policy, rows) == ask(alone, policy, rows)
    assert len(list(folder.iterdir())) == 1


def test_processes_that_race_give_no_hand_twice(tmp_path):
    """Four processes ask 300 times each, at once, for 500 hands: 500 are given."""
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in takers:
        one.stdin.write("\n")
        one.stdin.flush()
    assert sum(int(one.communicate(timeout=60)[0]) for one in takers) == 500


def test_endpoints_and_lengths_of_windows_count_apart(tmp_path):
    """A day of one endpoint is no hour of it, and no day of another."""
    policy = Capacity(threshold=0.0, most=1, window_micros=100)
    for endpoint, window in (("late", 100), ("late", 1000), ("lost", 100)):
        hands = SharedHands(tmp_path, endpoint, window)
        assert ask(hands, policy, [(1.0, 5)]) == [True]
        assert ask(hands, policy, [(1.0, 5)]) == [False]


def test_rows_of_the_far_future_push_nothing_out(tmp_path):
    """They get no hand, so the present keeps its own."""
    policy = Capacity(threshold=0.0, most=1, window_micros=100)
    hands = SharedHands(tmp_path, "late", 100)
    far = [(1.0, 10**17 + 100 * n) for n in range(2 * WINDOWS_KEPT)]
    assert not any(ask(hands, policy, far))
    assert ask(hands, policy, [(1.0, 5)]) == [True]


def test_a_torn_file_counts_anew_and_a_closed_one_gives_nothing(tmp_path):
    """After a power cut the endpoint answers; where it cannot count, it says so."""
    policy = Capacity(threshold=0.0, most=1, window_micros=100)
    hands = SharedHands(tmp_path, "late", 100)
    assert ask(hands, policy, [(1.0, 5)]) == [True]
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[30] ^= 255
    file.write_bytes(data)
    assert ask(hands, policy, [(1.0, 5)]) == [True]
    file.write_bytes(b"")
    assert ask(hands, policy, [(1.0, 5)]) == [True]
    assert ask(hands, policy, [(1.0, 5)]) == [False]
    read_only = os.open(file, os.O_RDONLY)
    os.dup2(read_only, hands._file)
    os.close(read_only)
    with pytest.raises(Unavailable) as raised:
        ask(hands, policy, [(1.0, 5_000)])
    assert raised.value.code == "serving.capacity_not_counted"
