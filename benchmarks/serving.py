"""The gateway beside its peers: same models, same machine, one worker each, one run.

``python -m benchmarks serving``, or ``python benchmarks/serving.py [--peers NAMES] [--seconds S]
[--rounds N]``. Each server is started as its documentation says, asked the same rows, its answers
compared with the model's own, then loaded by ``wrk`` on the same two cores. One server runs at a
time; ours is measured again after its peers, and the middle of all its rounds counts.

What is unfair: ours validates, records every prediction and counts metrics, its peers predict and
nothing else. Each peer gets the body that is natural to it. Servers that learn their speed over
minutes, or that a team has tuned, do better than here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 -- threads are counted at its import
from load import Load, load, loaded, middle  # noqa: E402
from processes import Case, Server, ask, free_port, started  # noqa: E402
from scripts.environments import python_of  # noqa: E402
from serving_models import NAMES, booster, pipeline, rows_of  # noqa: E402
from serving_ours import Ours, prepared  # noqa: E402
from serving_peers import ALL, Peer, Rows  # noqa: E402

ROWS_TO_COMPARE = 200
PAIRS = 30  # of seconds with records and without
AGAINST = ("FastAPI", "MLServer")


@dataclass(frozen=True)
class Work:
    """One kind of load; ``binary`` is how ours takes it, where it can."""

    title: str
    kind: str
    connections: int
    rows: int = 1
    binary: bool = False


WORKS = (
    Work("LightGBM, 1 row, 1 connection", "lightgbm", 1),
    Work("LightGBM, 1 row, 64 connections", "lightgbm", 64),
    Work("LightGBM, 1,000 rows, 4 connections", "lightgbm", 4, 1000, binary=True),
    Work("pipeline, 1 row, 1 connection", "pipeline", 1),
    Work("pipeline, 1 row, 16 connections", "pipeline", 16),
)
MAKERS = {"lightgbm": (booster, "model.txt"), "pipeline": (pipeline, "model.joblib")}
WAYS = {"lightgbm": ("native",), "pipeline": ("onnx", "original")}


@dataclass
class Subject:
    """One server with one model: how to start and ask it, and what it did."""

    name: str
    kind: str
    ours: Ours | None
    peer: Peer | None
    rounds: dict[str, list[Load]] = field(default_factory=dict)
    seconds_to_answer: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True)
class Bench:
    folder: Path
    seconds: int
    rounds: int

    def measure(self, subject: Subject, rows: Rows, expected: list[float]) -> None:
        """Starts the server, compares its answers, and loads it with each work of its kind."""
        port = free_port()
        command, environment = self.command(subject, port)
        first = self.case(subject, port, rows[:1], binary=False)
        with started(command, first, cwd=self.folder, environment=environment) as server:
            subject.seconds_to_answer = server.seconds_to_answer
            self.compare(subject, port, rows[:ROWS_TO_COMPARE], expected)
            for work in WORKS:
                if work.kind == subject.kind:
                    self.load(subject, server, work, port, rows)
            subject.memory_mb = server.memory_mb()

    def command(self, subject: Subject, port: int) -> tuple[list[str], dict[str, str]]:
        if subject.ours:
            return subject.ours.command(port), subject.ours.environment()
        assert subject.peer is not None
        model = self.folder / MAKERS[subject.kind][1]
        python = python_of(subject.peer.environment)
        return subject.peer.start(python, subject.kind, model, self.folder, port)

    def case(self, subject: Subject, port: int, rows: Rows, *, binary: bool) -> Case:
        if subject.ours:
            return subject.ours.case(port, subject.kind, rows, binary=binary)
        assert subject.peer is not None
        return subject.peer.case(port, subject.kind, rows)

    def compare(self, subject: Subject, port: int, rows: Rows, expected: list[float]) -> None:
        """Errors: ``AssertionError`` when an answer is not the model's."""
        for binary in (False, True) if subject.ours and subject.kind == "lightgbm" else (False,):
            case = self.case(subject, port, rows, binary=binary)
            body, headers = ask(case)
            if subject.ours:
                scores = subject.ours.scores(body, headers, len(rows))
            else:
                assert subject.peer is not None
                scores = subject.peer.scores(body)
            off = float(np.abs(np.array(scores) - expected[: len(rows)]).max())
            if off > 1e-6:
                raise AssertionError(f"{subject.name}: answers are off by {off}")

    def cost_of_records(self, work: Work, bare: Subject, rows: Rows) -> float:
        """The share of throughput that records take, of the middle pairs of seconds.

        One process under one load, in which they are turned on and off by turns: two processes of
        one program differ by more than that, and so does one from minute to minute.
        """
        port = free_port()
        case = self.case(bare, port, rows[: work.rows], binary=work.binary)
        command, environment = self.command(bare, port)
        shares = []
        with (
            started(command, case, cwd=self.folder, environment=environment) as server,
            loaded(case, self.folder, connections=work.connections, seconds=2 * PAIRS + 4),
        ):
            for pair in range(PAIRS):
                answered = {}
                for records in (True, False) if pair % 2 else (False, True):
                    os.kill(server.process.pid, signal.SIGUSR1 if records else signal.SIGUSR2)
                    begun, before = time.perf_counter(), answers(port)
                    time.sleep(1)
                    after = answers(port)
                    answered[records] = (after - before) / (time.perf_counter() - begun)
                shares.append(1 - answered[True] / answered[False])
        return fmean(sorted(shares)[PAIRS // 5 : -PAIRS // 5])

    def load(self, subject: Subject, server: Server, work: Work, port: int, rows: Rows) -> None:
        case = self.case(subject, port, rows[: work.rows], binary=work.binary)
        found = subject.rounds.setdefault(work.title, [])
        for _ in range(self.rounds):
            one = load(
                server, case, self.folder, connections=work.connections, seconds=self.seconds
            )
            found.append(one)


def answers(port: int) -> float:
    """How many rows a gateway has answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    found = [one for one in lines if one.startswith("mainspring_predicted_rows_total{")]
    return sum(float(one.rpartition(" ")[2]) for one in found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=",".join(peer.name for peer in ALL), help="which; all")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        print("serving: left out, since wrk is not installed (apt-get install wrk).")
        return 1
    peers = [peer for peer in ALL if peer.name in chosen.peers.split(",")]
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), chosen.seconds, chosen.rounds)
        for kind in MAKERS:
            subjects = list(compete(bench, kind, peers))
            for work in WORKS:
                if work.kind == kind:
                    show(work, subjects)
            show_starts(subjects)
            if kind == "lightgbm":
                rows, _ = rows_of(kind)
                for work in WORKS[1:3]:
                    share = bench.cost_of_records(work, subjects[2], rows)
                    print(f"Records take {share:.1%} of the throughput: {work.title}")
    return 0


def compete(bench: Bench, kind: str, peers: list[Peer]) -> Iterator[Subject]:
    """Ours in each form, the peers, and ours again."""
    rows, target = rows_of(kind)
    make, file = MAKERS[kind]
    model = make(rows, target, bench.folder / file)
    expected = answers_of(kind, model, rows[:ROWS_TO_COMPARE])
    mine = []
    for way in WAYS[kind]:
        ours = prepared(f"ours, {way}", model, rows, way, bench.folder / f"{kind}-{way}")
        mine.append(Subject(ours.name, kind, ours, None))
        if way == "native":
            compiled = ours.otherwise("compiled", compiled=True)
            bare = ours.otherwise("no records", records=False)
            mine += [Subject(one.name, kind, one, None) for one in (compiled, bare)]
    others = [Subject(peer.name, kind, None, peer) for peer in peers]
    for subject in (*mine, *others, *mine):
        try:
            bench.measure(subject, rows, expected)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            if subject.ours:
                raise
            print(f"{subject.name} is left out: {str(error)[-400:]}", flush=True)
    yield from (one for one in (*mine, *others) if one.rounds)


def answers_of(kind: str, model, rows: Rows) -> list[float]:
    if kind == "lightgbm":
        return model.predict(np.array(rows)).tolist()
    import pandas as pd

    return model.predict_proba(pd.DataFrame(rows, columns=NAMES))[:, 1].tolist()


def show(work: Work, subjects: list[Subject]) -> None:
    rates = {
        one.name: middle(one.rounds[work.title]).requests_per_second for one in subjects if one.peer
    }
    peers = [name for name in AGAINST if name in rates]
    print(f"\n{work.title}")
    heads = "".join(f"{'x ' + name:>11}" for name in ["best", *peers] if rates)
    print(f"  {'':16} {'req/s':>8} {'rows/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu us':>8} {heads}")
    for one in subjects:
        found = middle(one.rounds[work.title])
        rate = found.requests_per_second
        against = [max(rates.values()), *(rates[name] for name in peers)] if rates else []
        shares = "".join(f"{rate / other:11.1f}" for other in against)
        print(
            f"  {one.name:16} {rate:8.0f} {rate * work.rows:9.0f} {found.p50_ms:8.2f} "
            f"{found.p99_ms:8.2f} {found.cpu_us:8.0f} {shares}"
        )


def show_starts(subjects: list[Subject]) -> None:
    print("\nFrom start to the first answer, and memory after the load (PSS, all processes)")
    for one in subjects:
        print(f"  {one.name:16} {one.seconds_to_answer:6.2f} s {one.memory_mb:8.0f} MB")


if __name__ == "__main__":
    raise SystemExit(main())
