"""The disk under a tracking server is full, or fails: refused cleanly, and taken up by itself."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager

import pytest
from fault_checks import until
from tests import needs
from tracking_server import serving
from tracking_writers import (
    JSON,
    MLFLOW,
    Artifacts,
    Client,
    Metrics,
    OwnBatches,
    Refused,
    check_all,
    check_at_rest,
)


def _fill(client, run_id):
    """Logs parameters until the server refuses; their names, and the refusal."""
    for number in range(10_000):
        name = f"filling {number}"
        try:
            client.post("runs/log-parameter", run_id=run_id, key=name, value="x" * 6000)
        except Refused as refusal:
            return [f"filling {index}" for index in range(number)], refusal
    raise AssertionError("the disk never filled")


def _read(client, run_id):
    """Reads of every kind go on; the names of the run's parameters."""
    assert client.call("POST", f"{MLFLOW}/runs/search", {"experiment_ids": ["0"]})["runs"]
    assert client.call("GET", "/api/v1/runs?limit=10")
    assert client.steps(run_id, "m") == [0]
    return {pair["key"] for pair in client.run(run_id)["data"]["params"]}


def test_a_full_disk_is_refused_and_survived(tmp_path):
    """507 on both wires and for uploads; reads go on; with room again, so do writes, unaided."""
    with needs.tmpfs(tmp_path / "disk", 16) as disk, serving(disk / "work") as server:
        client, metrics, files = Client(server.host), Metrics(), Artifacts()
        for writer in (metrics, files):
            writer.prepare(client)
            writer.write(client, 0)
        run_id = metrics.run_id
        used = disk / "ballast"
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        used.write_bytes(bytes(free - 1_500_000))
        filled, refusal = _fill(client, run_id)
        assert (refusal.status, refusal.body["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        with pytest.raises(Refused) as own:
            client.call("POST", f"/api/v1/runs/{run_id}/batches", {"params": {"own": "x" * 6000}})
        assert (own.value.status, own.value.body["code"]) == (507, "database.full")
        uploading = Client(server.host)
        with pytest.raises(Refused) as upload:
            # On a connection of its own: whoever refuses a body half-way may hang up.
            uploading.send("PUT", files.path(1), bytes(2_000_000), JSON)
        uploading.connection.close()
        assert (upload.value.status, upload.value.body["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert _read(client, run_id) == set(filled)
        assert list((disk / "work" / "objects" / "incoming").iterdir()) == []

        used.unlink()
        client.send("PUT", files.path(1), files.content(1), JSON)
        client.post("runs/log-parameter", run_id=run_id, key="after", value="x" * 6000)
        files.sent, files.acked = 2, {0, 1}
        files.check(client)
        assert _read(client, run_id) == {*filled, "after"}
        client.connection.close()
        server.kill()
        check_at_rest(disk / "work", [])


@contextmanager
def _failing_sync(process):
    """From now on every fsync of a running process fails, for as long as the context lasts."""
    command = [needs.tracing(), "-f", "-p", str(process.pid), "-o", "/dev/null"]
    command += ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = tracer.stderr.readline()
        if "attached" not in line:
            needs.refused("to trace a running process", line)
        yield
    finally:
        tracer.terminate()
        tracer.communicate(timeout=30)


@pytest.mark.services
def test_failed_syncs_stop_the_writing_until_the_disk_is_sound_again(tmp_path):
    """While fsync fails: 503, nothing acknowledged, reads go on. After: verified, and all goes on.

    What was acknowledged before is there. What was refused is not, so that trying again, as
    clients do, makes it once.
    """
    with serving(tmp_path) as server:
        client = Client(server.host)
        writers = [Metrics(), Metrics(), OwnBatches()]
        for writer in writers:
            writer.prepare(client)
            writer.begin(server.host)
        until(lambda: all(len(writer.acked) > 20 for writer in writers))
        with _failing_sync(server.process):
            until(lambda: all(len(writer.refused) > 20 for writer in writers))
            acked = [set(writer.acked) for writer in writers]
            for number in range(5):
                with pytest.raises(Refused) as refused:
                    client.new_run(run_name=f"again {number}")
                assert refused.value.status == 503
                assert int(refused.value.headers["retry-after"]) > 0
            for writer in writers:
                assert client.run(writer.run_id)
            until(lambda: all(len(writer.refused) > 40 for writer in writers))
            assert [writer.acked for writer in writers] == acked
        before = [len(writer.acked) for writer in writers]
        until(lambda: all(len(w.acked) > n + 20 for w, n in zip(writers, before, strict=True)))
        for writer in writers:
            writer.end()
            assert {refusal.status for refusal in writer.refused} == {503}
        for number in range(5):
            client.new_run(run_name=f"again {number}")
        found = client.post("runs/search", experiment_ids=["0"], max_results=1000)["runs"]
        names = [run["info"]["run_name"] for run in found]
        assert sorted(name for name in names if "again" in name) == [f"again {n}" for n in range(5)]
        client.connection.close()
        check_all(server.host, writers)
    check_at_rest(tmp_path, writers)


@pytest.mark.slow
@pytest.mark.services
def test_one_failed_sync_at_a_time(tmp_path, seed):
    """Ten times, one short moment of failing syncs under load: resumed by itself each time."""
    with serving(tmp_path) as server:
        client = Client(server.host)
        writers = [Metrics(), OwnBatches(), Artifacts()]
        for writer in writers:
            writer.prepare(client)
            writer.begin(server.host)
        for _ in range(10):
            with _failing_sync(server.process):
                threading.Event().wait(seed.uniform(0.0, 0.3))
            before = [len(writer.acked) for writer in writers]
            until(lambda n=before: all(len(w.acked) > k for w, k in zip(writers, n, strict=True)))
        for writer in writers:
            writer.end()
        refusals = [str(refusal) for writer in writers for refusal in writer.refused]
        assert refusals, "the fault was never met"
        assert not [refusal for refusal in refusals if "mistake" in refusal]
        client.connection.close()
        check_all(server.host, writers)
    check_at_rest(tmp_path, writers)
