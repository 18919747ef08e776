"""A real gateway process on loopback, and packages to put behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from mainspring._adapters.files.objects import FileObjects
from mainspring.core.digest import Digest, canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving import GatewayClient, GatewayControl, Route, Variant

SIGNATURE = Signature(
    (
        InputColumn("miles", "number"),
        InputColumn("wind", "number"),
        InputColumn("carrier", "category", ("AA", "UA")),
    ),
    "probability",
)
LINEAR = {
    "version": 1,
    "link": "identity",
    "intercept": 0.25,
    "numbers": {"miles": {"weight": 0.125, "missing_weight": 0.5}, "wind": {"weight": 0.0}},
    "categories": {"carrier": {"weights": [0.0, 0.0625], "unknown": 0.03125}},
}


class RunningGateway:
    """The process, and what a test needs to talk to it."""

    def __init__(self, root: Path, *, flush_seconds: float = 0.2, manner: str = "") -> None:
        self.folder = root / "serving"
        self.objects = FileObjects(root / "objects")
        self._root = root
        self._flush_seconds = flush_seconds
        self._more = [manner] if manner else []
        self.start()

    def start(self) -> None:
        script = Path(__file__).with_name("gateway_process.py")
        words = [self.folder, self._root / "objects", 0, self._flush_seconds, *self._more]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *map(str, words)], stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:")
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self.control = GatewayControl(self.folder)
        self.client = GatewayClient(self.url)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.http.close()
        self.control.close()
        self.client.close()
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code

    def linear(self) -> Digest:
        return self._package("linear", LINEAR)

    def constant(self, value: float) -> Digest:
        return self._package("constant", {"value": value})

    def trouble(self, how: str, **more: float) -> Digest:
        return self._package("trouble", {"how": how, **more})

    def _package(self, runtime: str, content: object) -> Digest:
        manifest = Manifest(
            name="late",
            task="binary",
            runtime=runtime,
            signature=SIGNATURE,
            files={f"{runtime}.json": self.objects.put(msgspec.json.encode(content))},
            decision=Decision(threshold=0.5),
        )
        return self.objects.put(canonical_json(manifest))

    def deploy(self, endpoint: str, *variants: Variant) -> None:
        self.control.deploy(endpoint, Route(variants=variants))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    running = RunningGateway(tmp_path_factory.mktemp("gateway"))
    running.deploy("late", Variant(name="champion", model=running.linear(), version="3"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway that a test may kill."""
    running = RunningGateway(tmp_path, flush_seconds=0.05)
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture
def patient_gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with the limits that one has by default, which a test may kill."""
    running = RunningGateway(tmp_path, manner="patient")
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture
def isolated_gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway whose champions too have processes of their own."""
    running = RunningGateway(tmp_path, manner="isolated")
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def guarded_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One that asks for tokens; its champion says 0.25, a canary that nobody is sent to 0.75."""
    running = RunningGateway(tmp_path_factory.mktemp("guarded"), manner="guarded")
    running.deploy(
        "late",
        Variant(name="champion", model=running.constant(0.25), version="1"),
        Variant(name="next", model=running.constant(0.75), version="2", role="canary", share=0.0),
    )
    yield running
    assert running.stop() == 0
