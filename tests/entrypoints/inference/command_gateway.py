"""`mainspring gateway` as a person starts it, over a workspace of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

import mainspring as ms
from mainspring.core.digest import Digest, canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Manifest
from mainspring.serving import GatewayControl, Route, Variant
from mainspring.serving.policy import POLICY_FILE, Policy

BODY = {"instances": [[1.0]]}


class CommandGateway:
    """The process, what it said, and clients to it."""

    def __init__(self, workspace: Path, *words: str, **environment: str) -> None:
        self.workspace = workspace
        self.folder = workspace / "serving"
        with ms.open(workspace):
            pass
        command = [sys.executable, "-m", "mainspring", "--workspace", str(workspace)]
        self.process = subprocess.Popen(
            [*command, "gateway", "--port", "0", *words],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._ready = threading.Event()
        self._reader.start()
        self._ready.wait(60)
        if not any("http://" in line for line in self.said):
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
            raise RuntimeError(f"it did not start: {self.said}")
        self.url = next(line for line in self.said if "http://" in line).split()[-1]
        self.control = GatewayControl(self.folder)

    def _read(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.strip())
            if "http://" in line:
                self._ready.set()
        self._ready.set()

    def constant(self, value: float, policy: Policy | None = None) -> Digest:
        with ms.open(self.workspace) as ws:
            put = ws.objects.put
            files = {"constant.json": put(msgspec.json.encode({"value": value}))}
            if policy is not None:
                files[POLICY_FILE] = put(canonical_json(policy))
            manifest = Manifest(
                name="late",
                task="regression",
                runtime="constant",
                signature=Signature((InputColumn("miles", "number"),), "value"),
                files=files,
            )
            return put(canonical_json(manifest))

    def deploy(self, value: float, version: str = "1") -> None:
        champion = Variant(name="champion", model=self.constant(value), version=version)
        self.control.deploy("late", Route(variants=(champion,)))

    def ask(self) -> float:
        """The score, asked on a connection of its own, so that any of several may answer."""
        status, data = self.send("POST", "/invocations", json.dumps(BODY).encode())
        assert status == 200, data
        return json.loads(data)["predictions"][0]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """The status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"content-type": "application/json", **given})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def read(self, path: str) -> Any:
        """The JSON at an address."""
        return json.loads(self.send("GET", path)[1])

    def metrics(self) -> str:
        return self.send("GET", "/metrics")[1].decode()

    def children(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def wait_for_line(self, words: str) -> None:
        """Until it says so; its own exit is waited for as well."""
        for _ in range(1500):
            if any(words in line for line in list(self.said)):
                return
            assert self._reader.is_alive(), self.said
            self._reader.join(0.02)
        raise AssertionError(self.said)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.control.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        self.process.stderr.close()
        return code
