"""The tracking server dies, by a kill or with the power: its clients find all that it said was done."""

from __future__ import annotations

import shutil
import threading

import pytest
from tests import needs
from tracking_server import HEALTHY_SECONDS, serving
from tracking_writers import Client, check_all, check_at_rest, eight

KILLS, PARTS = 200, 4  # in parts, which machines with several cores run beside each other


def _prepared(host, writers):
    client = Client(host)
    for writer in writers:
        writer.prepare(client)
    client.connection.close()


def _killed(kills, folder, seed):
    """Eight writers through so many deaths of their server; the seconds that each start took."""
    writers, seconds = eight(), []
    for number in range(kills):
        with serving(folder) as server:
            seconds.append(server.seconds_to_start)
            if not number:
                _prepared(server.host, writers)
            for writer in writers:
                writer.begin(server.host)
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


def test_a_killed_server_loses_nothing_acknowledged(tmp_path, seed):
    """Three deaths under eight writers: acknowledged and missing 0, twice there 0, soon back."""
    assert max(_killed(3, tmp_path, seed)) < HEALTHY_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_server_killed_two_hundred_times_loses_nothing_acknowledged(part, tmp_path, seed):
    """The same at two hundred random moments, fifty for each of four workspaces."""
    assert max(_killed(KILLS // PARTS, tmp_path, seed)) < HEALTHY_SECONDS


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_with_the_power(tmp_path, seed):
    """The image of the workspace's disk, copied under load, is what a power cut leaves."""
    image, copy = needs.formatted(tmp_path / "image", 256), tmp_path / "copy"
    writers = eight()
    with (
        needs.mounted(tmp_path / "disk", "-o", "loop", str(image)) as folder,
        serving(folder) as server,
    ):
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
            assert server.seconds_to_start < HEALTHY_SECONDS
            check_all(server.host, writers)
        check_at_rest(folder, writers)
