"""Training goes on while its server is away, and nothing that it logged is missing afterwards."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.tracking.types import LOST_TAG
from serving import Server, plain_environment, served

STEPS = 3000
TRAINING = """
import sys, mainspring as ms
ws = ms.open()
with ws.runs.start("r", params={"a": 1}) as run:
    print(run.id, flush=True)
    for step in range(3000):
        run.log({"m": float(step)}, step=step)
    sys.stdin.readline()
    for step in range(3000, 6000):
        run.log({"m": float(step)}, step=step)
    run.artifact("late.txt", "late")
    run.dataset("orders", "d1")
    run.model("m", {"w.bin": b"1"})
    with run.start("inner", params={"b": 2}) as inner:
        inner.log({"x": 1.0})
print("trained", flush=True)
ws.close()
"""


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < end, "it never happened"
        pause.wait(0.02)


def training(code: str, folder: Path, **settings: str) -> subprocess.Popen[str]:
    settings = {"XDG_STATE_HOME": str(folder / "state"), "MAINSPRING_CAPTURE": "", **settings}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=plain_environment(**settings),
    )


def points(ws: ms.Workspace, run_id: str, key: str = "m") -> list[float]:
    return [point.value for point in ws.tracking.runs.history(run_id, key).items]


def waiting(folder: Path) -> list[Path]:
    return [path for path in (folder / "state").rglob("*") if path.is_file()]


def everything_is_there(ws: ms.Workspace, run_id: str) -> None:
    run = ws.runs.get(run_id)
    assert (run.status, run.params) == ("FINISHED", {"a": "1"})
    assert points(ws, run_id) == [float(step) for step in range(2 * STEPS)]
    assert [one.dataset.digest for one in run.datasets] == ["d1"]
    assert [ws.tracking.models.get(one.model_id).status for one in run.models] == ["READY"]
    root = run.artifact_uri.partition(":")[2].strip("/")
    assert [name for name, _ in ws.tracking.artifacts.tree(root)] == ["late.txt"]
    inner = ws.runs.search("attributes.run_name = 'inner'")
    assert (inner["status"], inner["metrics.x"], inner["params.b"]) == (["FINISHED"], [1.0], ["2"])


def test_a_server_that_is_killed_under_training_and_comes_back(tmp_path: Path) -> None:
    """One line when it goes, one when it is back, and every point, file and run once."""
    with served(tmp_path / "served") as server:
        process = training(TRAINING, tmp_path, MAINSPRING_URL=server.url)
        assert process.stdin
        assert process.stdout
        run_id = process.stdout.readline().strip()
        with ms.open(server.url) as ws:
            until(lambda: len(points(ws, run_id)) > 0)
        server.kill()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "trained\n"  # while nobody answers
        server.start()
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0
        with ms.open(server.url) as ws:
            if waiting(tmp_path):  # it closed before the server answered: the next one sends
                assert "nothing is lost" in told
                environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "MAINSPRING_CAPTURE": ""}
                done = subprocess.run(
                    [sys.executable, "-m", "mainspring", "--url", server.url, "runs", "sync"],
                    env=plain_environment(**environment),
                    check=True,
                    capture_output=True,
                    text=True,
                )
                assert done.stdout.startswith("Sent ")
            everything_is_there(ws, run_id)
        assert [line for line in told.splitlines() if "tracking is away" in line]
        assert len(told.splitlines()) <= 2
        assert waiting(tmp_path) == []


@pytest.mark.parametrize("settings", [{"MAINSPRING_MODE": "offline"}, {}], ids=["offline", "away"])
def test_a_run_without_any_server_is_sent_later_once(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """Begun, logged and ended with nobody there; sync sends all of it, and again nothing."""
    server = Server(tmp_path / "served")
    process = training(TRAINING, tmp_path, MAINSPRING_URL=server.url, **settings)
    out, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    run_id = out.split()[0]
    environment = plain_environment(XDG_STATE_HOME=str(tmp_path / "state"))
    sync = [sys.executable, "-m", "mainspring", "--url", server.url, "runs", "sync", "--json"]
    failed = subprocess.run(sync, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 5
    assert json.loads(failed.stdout)["error"]["code"] == "tracking.not_sent"
    server.start()
    try:
        counts = []
        for _ in range(2):
            done = subprocess.run(sync, env=environment, capture_output=True, text=True, check=True)
            counts.append(json.loads(done.stdout)["records"])
        assert counts[0] > 0
        assert counts[1] == 0
        with ms.open(server.url) as ws:
            everything_is_there(ws, run_id)
    finally:
        server.kill()
    assert waiting(tmp_path) == []


@contextmanager
def answering(status: int, *, hang: bool = False) -> Iterator[str]:
    """Something at an address that is no server of ours, or one that has no time."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            if hang:
                stop.wait(30)
                return
            body = b'{"code": "http.busy", "message": "Busy.", "hint": "", "facts": {}}'
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - the library's names

        def log_message(self, *_values: object) -> None:
            return

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        stop.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


@pytest.mark.parametrize("status", [503, 507, 500, 502, 401, 504])
def test_whatever_a_server_answers_training_goes_on_and_all_is_kept(
    tmp_path: Path, status: int
) -> None:
    """No status ends training; what was logged waits, until a server takes it."""
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with answering(status) as url:
        process = training(TRAINING, tmp_path, MAINSPRING_URL=url)
        out, told = process.communicate("\n", timeout=60)
    assert (process.returncode, out.splitlines()[-1]) == (0, "trained")
    assert len(told.splitlines()) == 1
    assert "nothing is lost" in told
    port = int(url.rpartition(":")[2])
    server = Server(tmp_path / "served")
    server.port, server.url = port, url
    server.start()
    try:
        sync = [sys.executable, "-m", "mainspring", "--url", url, "runs", "sync"]
        subprocess.run(sync, env=plain_environment(**state), check=True, capture_output=True)
        with ms.open(url) as ws:
            everything_is_there(ws, out.split()[0])
    finally:
        server.kill()


@pytest.mark.slow
def test_a_server_that_never_answers_holds_training_up_for_seconds(tmp_path: Path) -> None:
    """Connected and silent: one wait, bounded, then training runs at its own speed."""
    with answering(200, hang=True) as url:
        began = time.monotonic()
        process = training(TRAINING, tmp_path, MAINSPRING_URL=url)
        out, told = process.communicate("\n", timeout=120)
        assert time.monotonic() - began < 60
    assert (process.returncode, out.splitlines()[-1]) == (0, "trained")
    assert "nothing is lost" in told


KILLED = """
import os, signal, mainspring as ms
ws = ms.open()
run = ws.runs.start("r")
for step in range(100):
    run.log({"m": float(step)})
run.flush()
print(run.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("where", ["folder", "server"])
def test_a_killed_process_s_run_is_lost_and_not_running_for_ever(
    tmp_path: Path, where: str
) -> None:
    """Kill -9 leaves a run RUNNING; silence ends it as FAILED, with a tag that says why."""
    if where == "folder":
        process = training(KILLED, tmp_path, MAINSPRING_WORKSPACE=str(tmp_path / "ws"))
        out, _ = process.communicate(timeout=60)
    else:
        with served(tmp_path / "ws") as server:
            process = training(KILLED, tmp_path, MAINSPRING_URL=server.url)
            out, _ = process.communicate(timeout=60)
    assert process.returncode == -9
    run_id = out.strip()
    with ms.open(tmp_path / "ws") as ws:
        assert ws.runs.get(run_id).status == "RUNNING"  # it was alive a moment ago
        until(lambda: ws.tracking.runs.end_lost(silent_seconds=0.05) == [run_id])
        run = ws.runs.get(run_id)
        assert (run.status, LOST_TAG in run.tags, len(points(ws, run_id))) == ("FAILED", True, 100)
        with ws.runs.resume(run_id) as again:
            assert LOST_TAG not in ws.runs.get(run_id).tags
            again.log({"m": 100.0})
        assert ws.runs.get(run_id).status == "FINISHED"
        assert ws.runs.search("tags.`mainspring.lost` LIKE '%'") == {}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", "server"])
def test_a_killed_process_s_run_is_lost_within_a_minute(tmp_path: Path, where: str) -> None:
    """By the clock of the wall, with nobody asking but a reader."""
    with served(tmp_path / "ws") as server:
        address = {
            "folder": {"MAINSPRING_WORKSPACE": str(tmp_path / "alone")},
            "server": {"MAINSPRING_URL": server.url},
        }[where]
        process = training(KILLED, tmp_path, **address)
        out, _ = process.communicate(timeout=60)
        began = time.monotonic()
        with ms.open(tmp_path / "alone" if where == "folder" else server.url) as ws:
            until(lambda: ws.runs.get(out.strip()).status == "FAILED", seconds=60)
    assert time.monotonic() - began < 60


DIES_AWAY = """
import os, signal, sys, time, mainspring as ms
ws = ms.open()
run = ws.runs.start("r")
for step in range(100):
    run.log({"m": float(step)}, step=step)
end = time.monotonic() + 10
while ws.runs.recorder._lines[run.id].calls and time.monotonic() < end:
    time.sleep(.01)
time.sleep(.1)
print(run.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_spooled_is_sent_by_the_next(tmp_path: Path) -> None:
    """With the server away and the process killed, the next process of this machine sends it."""
    server = Server(tmp_path / "served")
    process = training(DIES_AWAY, tmp_path, MAINSPRING_URL=server.url)
    out, _ = process.communicate(timeout=60)
    run_id = out.strip()
    server.start()
    try:
        another = "import mainspring as ms\nwith ms.open() as ws:\n    ws.runs.start('next').end()"
        process = training(another, tmp_path, MAINSPRING_URL=server.url)
        _, told = process.communicate(timeout=60)
        assert (process.returncode, told) == (0, "")
        with ms.open(server.url) as ws:
            assert points(ws, run_id) == [float(step) for step in range(100)]
    finally:
        server.kill()
    assert waiting(tmp_path) == []


FULL = """
import resource, signal, mainspring as ms
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ws = ms.open()
run = ws.runs.start("r")
run.log({"m": -1.0}, step=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
for step in range(20000):
    run.log({"m": float(step)}, step=step + 1)
run.artifact("big.bin", b"x" * 100_000)
print(run.id, flush=True)
input()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run.end()
ws.close()
"""


def test_a_full_disk_under_the_spool_neither_blocks_nor_ends_training(tmp_path: Path) -> None:
    """With no server and no room, values wait in memory; a file that fits nowhere is told."""
    server = Server(tmp_path / "served")
    process = training(FULL, tmp_path, MAINSPRING_URL=server.url)
    assert process.stdout
    run_id = process.stdout.readline().strip()
    server.start()
    try:
        _, told = process.communicate("\n", timeout=60)
        assert process.returncode == 0, told
        assert "waits in memory" in told
        assert "big.bin is not kept" in told
        with ms.open(server.url) as ws:
            assert points(ws, run_id) == [float(step) for step in range(-1, 20_000)]
            assert "big.bin" in ws.runs.get(run_id).tags["mainspring.incomplete"]
    finally:
        server.kill()


def test_nobody_listens_at_a_port_that_is_only_bound(tmp_path: Path) -> None:
    """A port that refuses is told as a server that is away, at once and with the next step."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", "--url", url, "runs", "ls"],
            env=plain_environment(XDG_STATE_HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 5
    assert "[remote.away]" in done.stderr
