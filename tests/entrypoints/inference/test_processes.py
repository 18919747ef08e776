"""Several gateway processes behind one port act as one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command_gateway import BODY, CommandGateway
from tests import needs

import mainspring as ms
from mainspring._entrypoints.inference.metrics import Snapshot
from mainspring._entrypoints.inference.server import alone
from mainspring._entrypoints.inference.siblings import _ask
from mainspring.core.errors import Conflict
from mainspring.serving import GatewayControl, Route, Variant
from mainspring.serving.policy import Capacity

PROCESSES = 3


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    running = CommandGateway(
        tmp_path_factory.mktemp("many"), "--processes", str(PROCESSES), "--grpc-port", "0"
    )
    running.deploy(1.0)
    yield running
    assert running.stop() == 0


def sample(text: str, name: str) -> float:
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


def answers(gateway, times=60) -> set[float]:
    return {gateway.ask() for _ in range(times)}


def test_all_of_them_answer(gateway):
    """Connections are shared out: every process has counted some requests, the sum is right."""
    assert len(gateway.children()) == PROCESSES
    gateway.ask()
    before = sample(gateway.metrics(), 'mainspring_predicted_rows_total{endpoint="late"')
    assert answers(gateway, 100) == {1.0}
    after = gateway.metrics()
    assert sample(after, "mainspring_gateway_processes") == PROCESSES
    assert sample(after, 'mainspring_predicted_rows_total{endpoint="late"') == before + 100
    shares = [one.requests for one in per_process(gateway)]
    assert len(shares) == PROCESSES
    assert all(shares)


def per_process(gateway):
    """What each process counted, asked over its own socket."""
    found = []
    for pid in gateway.children():
        (path,) = Path(tempfile.gettempdir()).glob(f"mainspring-*/{pid}.socket")
        found += msgspec.convert(_ask(path, "snapshot"), Snapshot).counts
    return found


def test_a_change_is_in_service_everywhere_once_it_is_answered(gateway):
    """Twenty changes, each followed by questions to all: never an answer of the model before."""
    for turn in range(20):
        gateway.deploy(float(turn), version=str(turn))
        assert answers(gateway, 12) == {float(turn)}
    gateway.deploy(1.0)
    assert sample(gateway.metrics(), "mainspring_gateway_routes_revision") >= 20


def test_a_rollback_is_in_service_everywhere_once_it_is_answered(gateway):
    """Back and forth: every process follows each time, not only the one that was told."""
    gateway.deploy(1.0, version="1")
    gateway.deploy(2.0, version="2")
    for expected in (1.0, 2.0) * 5:
        gateway.control.roll_back("late")
        assert answers(gateway, 12) == {expected}
    gateway.deploy(1.0)


def test_changes_through_different_processes_do_not_undo_each_other(gateway):
    """Concurrent changes of different endpoints all stay, whichever process takes them."""
    model = gateway.constant(7.0)

    def deploy(name):
        control = GatewayControl(gateway.folder)
        control.deploy(name, Route(variants=(Variant(name="champion", model=model, version="1"),)))
        control.close()

    threads = [threading.Thread(target=deploy, args=(f"e{n}",)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    index = gateway.read("/v2/repository/index")
    assert {f"e{n}" for n in range(8)} <= {one["name"] for one in index}
    for n in range(8):
        gateway.control.remove(f"e{n}")
    index = gateway.read("/v2/repository/index")
    assert [one["name"] for one in index] == ["late"]


def test_the_records_of_all_are_sealed_and_counted(gateway):
    """Sealing through one process seals the segments of all; the figures are of all."""
    stored = sample(gateway.metrics(), "mainspring_records_stored_rows_total")
    answers(gateway, 30)
    gateway.control.seal_records()
    assert sample(gateway.metrics(), "mainspring_records_stored_rows_total") >= stored + 30
    assert not list((gateway.folder / "records").glob("*.open"))


def test_statistics_are_of_all(gateway):
    """Triton's statistics tell every process's requests."""
    before = gateway.read("/v2/models/late/stats")["model_stats"]
    answers(gateway, 20)
    after = gateway.read("/v2/models/late/stats")["model_stats"]
    count = sum(one["execution_count"] for one in after)
    assert count == sum(one["execution_count"] for one in before) + 20


def test_a_killed_process_is_replaced_and_the_others_never_notice(gateway):
    """Kill -9 of one: what it said is visible, and a new one serves the routes of now."""
    gateway.deploy(3.0, version="9")
    gone = gateway.children()[0]
    os.kill(gone, signal.SIGKILL)
    gateway.wait_for_line("another takes its place")
    assert gone not in gateway.children()
    while sample(gateway.metrics(), "mainspring_gateway_processes") < PROCESSES:
        assert answers(gateway, 5) == {3.0}
    assert answers(gateway, 30) == {3.0}
    gateway.deploy(1.0)


def yes(gateway, times):
    """How many of some rows, each asked on a connection of its own, were decided with yes."""
    found = [
        gateway.send("POST", "/endpoints/capped/invocations", json.dumps(BODY).encode())
        for _ in range(times)
    ]
    assert {status for status, _ in found} == {200}
    return sum(json.loads(data)["decisions"] == [True] for _, data in found)


def test_a_capacity_is_of_all_and_outlives_them(tmp_path):
    """Whichever process is asked, one that was killed included, and over a restart: 40, no more."""
    policy = Capacity(threshold=0.4, most=40, window_micros=10**18)
    running = CommandGateway(tmp_path, "--processes", "3")
    capped = Variant(name="champion", model=running.constant(0.5, policy), version="1")
    running.control.deploy("capped", Route(variants=(capped,)))
    assert yes(running, 30) == 30
    os.kill(running.children()[0], signal.SIGKILL)
    running.wait_for_line("another takes its place")
    assert yes(running, 30) == 10
    assert running.stop() == 0
    running = CommandGateway(tmp_path, "--processes", "2")
    assert yes(running, 10) == 0
    assert running.stop() == 0


def test_as_many_processes_as_there_are_cores_each_with_one_thread(tmp_path):
    """``--processes auto`` counts usable cores; no library of theirs starts threads of its own."""
    running = CommandGateway(tmp_path, "--processes", "auto")
    children = running.children()
    with ms.open(tmp_path) as workspace:
        assert len(children) == (workspace.cores if workspace.cores > 1 else 0)
    for pid in children:
        said = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {b"OMP_NUM_THREADS=1", b"OPENBLAS_NUM_THREADS=1"} <= set(said)
    assert running.stop() == 0


def test_a_second_gateway_of_the_folder_is_refused(gateway):
    """The folder is held for all of them."""
    with pytest.raises(Conflict), alone(gateway.folder):
        pass


@pytest.mark.services
def test_grpc_is_shared_too(gateway):
    """The gRPC port is one for all processes."""
    triton = needs.module("tritonclient.grpc")
    address = json.loads((gateway.folder / "gateway.json").read_bytes())["grpc"]
    seen = triton.InferInput("miles", [1], "FP64")
    seen.set_data_from_numpy(np.array([1.0]))
    for _ in range(6):
        with triton.InferenceServerClient(address) as client:
            assert client.infer("late", [seen]).as_numpy("score").tolist() == [1.0]


def test_sigterm_answers_what_is_under_way_in_every_process(tmp_path):
    """Half-sent requests in all processes are answered after SIGTERM; then all have ended."""
    running = CommandGateway(tmp_path, "--processes", "2")
    running.deploy(1.0)
    body = json.dumps(BODY).encode()
    head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(running.url.rpartition(":")[2])
    half = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
    for one in half:
        one.sendall(head.encode() + body[:5])
    # Answered requests prove that the connections before them were taken in, by every process:
    # that one of two got none of 32 does not happen.
    assert answers(running, 32) == {1.0}
    children = running.children()
    running.process.send_signal(signal.SIGTERM)
    for one in half:
        one.sendall(body[5:])
        assert one.recv(4096).startswith(b"HTTP/1.1 200")
        one.close()
    assert running.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not (running.folder / "gateway.json").exists()


def test_processes_that_cannot_start_end_the_whole(tmp_path):
    """A port that somebody else has is said, and nothing is left running."""
    with ms.open(tmp_path):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = [sys.executable, "-m", "mainspring", "--workspace", str(tmp_path), "gateway"]
        done = subprocess.run(
            [*words, "--processes", "2", "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 5
    assert "Cannot listen" in done.stderr
