"""Clients that log without a pause and know of each call whether it was acknowledged.

A call whose answer never came is *unknown*. It is sent again to the next server, as clients do, if
its kind may be repeated; the stored state must then hold it exactly once.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from mainspring._bootstrap.workspace import open_workspace
from mainspring.registry.types import Move

MLFLOW = "/api/2.0/mlflow"
JSON = {"content-type": "application/json"}
BATCH = 20


class Refused(Exception):
    """An answer other than success: its status, body and headers."""

    def __init__(self, status: int, body: bytes, headers: http.client.HTTPMessage) -> None:
        super().__init__(f"{status} {body.decode()[:300]}")
        self.status = status
        self.body: dict[str, Any] = json.loads(body)
        self.headers = headers


class Client:
    """Raw HTTP on one connection."""

    def __init__(self, host: str) -> None:
        self.connection = http.client.HTTPConnection(host, timeout=60)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Refused(answer.status, data, answer.headers)
        return data

    def call(self, method: str, path: str, fields: dict[str, Any] | None = None) -> Any:
        body = None if fields is None else json.dumps(fields).encode()
        return json.loads(self.send(method, path, body, JSON) or b"null")

    def post(self, path: str, **fields: Any) -> Any:
        return self.call("POST", f"{MLFLOW}/{path}", fields)

    def new_run(self, **fields: Any) -> str:
        made = self.post("runs/create", experiment_id="0", start_time=1, **fields)
        return str(made["run"]["info"]["run_id"])

    def run(self, run_id: str) -> Any:
        return self.call("GET", f"{MLFLOW}/runs/get?run_id={run_id}")["run"]

    def steps(self, run_id: str, key: str) -> list[int]:
        """The stored steps of a metric, over all pages."""
        path = f"{MLFLOW}/metrics/get-history?run_id={run_id}&metric_key={key}&max_results=25000"
        found: list[int] = []
        token = ""
        while True:
            page = self.call("GET", path + (f"&page_token={token}" if token else ""))
            found += [metric["step"] for metric in page.get("metrics", [])]
            token = page.get("next_page_token", "")
            if not token:
                return found


class Writer:
    """One client's history: numbers 0 .. ``sent`` - 1 were sent, those in ``acked`` acknowledged.

    ``repeats``: a number whose fate is unknown is sent again, rather than left behind.
    """

    repeats = True

    def __init__(self) -> None:
        self.run_id = ""
        self.sent = 0
        self.acked: set[int] = set()
        self.refused: list[Refused] = []
        self.cut: Exception | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(self, client: Client) -> None:
        """Makes what the calls are about."""
        self.run_id = client.new_run()

    def write(self, client: Client, number: int) -> None:
        raise NotImplementedError

    def check(self, client: Client) -> None:
        """Fails unless all that was acknowledged is there once and nothing that was never sent."""
        raise NotImplementedError

    def begin(self, host: str) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, args=(Client(host),), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Waits for its last call: the server is gone, or the call will be answered."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _work(self, client: Client) -> None:
        try:
            while not self._stop.is_set():
                number = self.sent
                if self.repeats and number and number - 1 not in self.acked:
                    number -= 1
                self.sent = number + 1
                try:
                    self.write(client, number)
                except Refused as error:
                    self.refused.append(error)
                    self._stop.wait(0.02)
                    continue
                self.acked.add(number)
        except (OSError, http.client.HTTPException) as error:
            self.cut = error
        finally:
            client.connection.close()

    def compare(self, stored: list[int]) -> None:
        once = set(stored)
        assert len(stored) == len(once), Counter(stored).most_common(3)
        assert self.acked <= once, sorted(self.acked - once)[:9]
        assert once <= set(range(self.sent)), sorted(once)[-9:]


class Metrics(Writer):
    """``log_metric``, as the stock client sends it."""

    def write(self, client: Client, number: int) -> None:
        same = {"run_id": self.run_id, "run_uuid": self.run_id}
        client.post("runs/log-metric", **same, key="m", value=0.5, timestamp=1, step=number)

    def check(self, client: Client) -> None:
        self.compare(client.steps(self.run_id, "m"))


class Batches(Writer):
    """``log_batch`` of metrics, a parameter and a tag: stored whole or not at all."""

    def write(self, client: Client, number: int) -> None:
        point = {"value": 0.5, "timestamp": 1, "step": number}
        client.post(
            "runs/log-batch",
            run_id=self.run_id,
            metrics=[{"key": f"k{index}", **point} for index in range(BATCH)],
            params=[{"key": f"p{number}", "value": str(number)}],
            tags=[{"key": "last", "value": str(number)}],
        )

    def check(self, client: Client) -> None:
        data = client.run(self.run_id)["data"]
        params = {pair["key"]: pair["value"] for pair in data.get("params", [])}
        whole = [number for number in range(self.sent) if params.get(f"p{number}") == str(number)]
        assert len(whole) == len(params)
        self.compare(whole)
        for index in range(BATCH):
            assert sorted(client.steps(self.run_id, f"k{index}")) == whole
        tags = {pair["key"]: pair["value"] for pair in data.get("tags", [])}
        assert tags.get("last", "-1") == str(max(whole, default=-1))


class OwnBatches(Writer):
    """Batches over our own API."""

    def write(self, client: Client, number: int) -> None:
        points = [{"key": "own", "value": 0.5, "step": number, "time_ms": 1}]
        client.call("POST", f"/api/v1/runs/{self.run_id}/batches", {"points": points})

    def check(self, client: Client) -> None:
        self.compare(client.steps(self.run_id, "own"))


class Artifacts(Writer):
    """Uploads through the server: listed means whole."""

    def path(self, number: int) -> str:
        return f"/api/2.0/mlflow-artifacts/artifacts/0/{self.run_id}/artifacts/{number}.bin"

    def content(self, number: int) -> bytes:
        return f"{self.run_id} {number} ".encode() * 500

    def write(self, client: Client, number: int) -> None:
        kind = {"content-type": "application/octet-stream"}
        client.send("PUT", self.path(number), self.content(number), kind)

    def check(self, client: Client) -> None:
        folder = f"0/{self.run_id}/artifacts"
        found = client.call("GET", f"/api/2.0/mlflow-artifacts/artifacts?path={folder}")
        stored = [int(file["path"].removesuffix(".bin")) for file in found.get("files", [])]
        self.compare(stored)
        for number in stored:
            assert client.send("GET", self.path(number), None, {}) == self.content(number)


class Versions(Writer):
    """The registry: a version and a move of an alias to it, each with its place in the record."""

    repeats = False  # a repeated call would make a second version, as it does with MLflow

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[int, int] = {}
        self.moves: dict[str, int] = {}

    def prepare(self, client: Client) -> None:
        super().prepare(client)
        client.post("registered-models/create", name="killed")

    def write(self, client: Client, number: int) -> None:
        source = f"mlflow-artifacts:/0/{self.run_id}/artifacts/{number}"
        made = client.post("model-versions/create", name="killed", source=source)
        version = int(made["model_version"]["version"])
        self.versions[number] = version
        alias, key = "/api/v1/models/killed/aliases/live", f"move-{number}"
        try:
            expected = client.call("GET", alias)["version"]
        except Refused as error:
            if error.status != 404:
                raise
            expected = None
        move = {"version": version, "expected": expected, "why": key, "key": key}
        client.call("POST", f"{alias}/moves", move)
        self.moves[key] = version

    def check(self, client: Client) -> None:
        assert len(set(self.versions.values())) == len(self.versions)
        for number, version in self.versions.items():
            path = f"{MLFLOW}/model-versions/get?name=killed&version={version}"
            found = client.call("GET", path)["model_version"]
            assert found["source"].endswith(f"/{number}")

    def check_moves(self, moves: list[Move]) -> None:
        """The same for the alias, by its history."""
        told = {move.why: move.after for move in moves}
        assert len(told) == len(moves)
        assert self.moves.items() <= told.items()
        afters = [move.after for move in reversed(moves)]
        assert [move.before for move in reversed(moves)] == [None, *afters][: len(moves)]


def eight() -> list[Writer]:
    """Eight writers of all kinds."""
    return [
        *(Metrics() for _ in range(3)),
        *(Batches() for _ in range(2)),
        OwnBatches(),
        Artifacts(),
        Versions(),
    ]


def check_all(host: str, writers: list[Writer]) -> None:
    """Fails unless a server holds exactly what its clients may expect."""
    client = Client(host)
    for writer in writers:
        writer.check(client)
    client.connection.close()


def check_at_rest(folder: Path, writers: list[Writer], database: str = "") -> None:
    """The same for what no call shows: the record's chain, the aliases, the file, the objects."""
    with open_workspace(folder, given={"database": database or None}) as workspace:
        assert workspace.database.check() == []
        assert workspace.governance.verify().ok
        assert all(map(workspace.objects.verify, workspace.objects.list()))
        for writer in writers:
            if isinstance(writer, Versions):
                history = workspace.registry.aliases.history("killed", "live", limit=10**6)
                writer.check_moves(history)
