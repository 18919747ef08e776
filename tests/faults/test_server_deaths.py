"""The tracking server dies, by a kill or with the power: its clients find all that it said was done."""

from __future__ import annotations

import shutil
import threading
from functools import partial

import pytest
from fault_checks import until
from tests import needs
from tracking_server import HEALTHY_SECONDS, serving
from tracking_writers import Client, check_all, check_at_rest, eight

ANSWER_SECONDS = 60
KILLS, PARTS = 200, 4  # in parts, which machines with several cores run beside each other


def _prepared(host, writers):
    client = Client(host)
    for writer in writers:
        writer.prepare(client)
    client.connection.close()


def _killed(kills, folder, seed):
    """Eight writers through so many deaths of their server; the seconds that each start took.

    Every second death waits until each writer was answered once: a slow machine may take longer
    to that than the moment that was drawn.
    """
    writers, seconds = eight(), []
    for number in range(kills):
        with serving(folder) as server:
            seconds.append(server.seconds_to_start)
            if not number:
                _prepared(server.host, writers)
            before = [len(writer.acked) for writer in writers]
            for writer in writers:
                writer.begin(server.host)
            if number % 2 == 0:
                until(partial(_all_answered, writers, before), ANSWER_SECONDS)
            threading.Event().wait(seed.uniform(0.01, 0.5))
            server.kill()
            for writer in writers:
                writer.end()
    with serving(folder) as server:
        for writer in writers:
            assert writer.refused == []
            assert len(writer.acked) >= kills / 2
        check_all(server.host, writers)
    check_at_rest(folder, writers)
    return seconds


def _all_answered(writers, before):
    return all(len(one.acked) > count for one, count in zip(writers, before, strict=True))


def _is_soon_back(seconds):
    """Within five seconds of each death; on a slow machine within five times of a clean start."""
    clean, *after = seconds
    return max(after) < max(HEALTHY_SECONDS, 5 * clean)


def test_a_killed_server_loses_nothing_acknowledged(tmp_path, seed):
    """Three deaths under eight writers: acknowledged and missing 0, twice there 0, soon back."""
    seconds = _killed(3, tmp_path, seed)
    assert _is_soon_back(seconds), seconds


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_server_killed_two_hundred_times_loses_nothing_acknowledged(part, tmp_path, seed):
    """The same at two hundred random moments, fifty for each of four workspaces."""
    seconds = _killed(KILLS // PARTS, tmp_path, seed)
    assert _is_soon_back(seconds), seconds


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_with_the_power(tmp_path, seed):
    """The image of the workspace's disk, copied under load, is what a power cut leaves."""
    image, copy = needs.formatted(tmp_path / "image", 256), tmp_path / "copy"
    writers = eight()
    with (
        needs.mounted(tmp_path / "disk", "-o", "loop", str(image)) as folder,
        serving(folder) as server,
    ):
        clean = server.seconds_to_start
        _prepared(server.host, writers)
        for writer in writers:
            writer.begin(server.host)
        threading.Event().wait(seed.uniform(1.0, 3.0))
        server.freeze()
        shutil.copyfile(image, copy)
        server.kill()
        for writer in writers:
            writer.end()
    assert all(writer.acked for writer in writers)
    with needs.mounted(tmp_path / "after", "-o", "loop", str(copy)) as folder:
        with serving(folder) as server:
            assert _is_soon_back([clean, server.seconds_to_start])
            check_all(server.host, writers)
        check_at_rest(folder, writers)
