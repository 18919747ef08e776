"""The MLflow wire over a workspace in memory, spoken to by HTTP like any client would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

SERVER = Path(__file__).with_name("mlflow_server.py")


class Wire:
    """Calls as R and Java clients make them: raw JSON to a path."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=30)

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/api/2.0/mlflow/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.get(f"/api/2.0/mlflow/{path}", params=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.request(method, f"/api/2.0/mlflow/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
        """Status and error code of a call; a body of bytes is sent as it is."""
        kind = {"content-type": "application/json"}
        if isinstance(body, bytes):
            answer = self.http.request(
                method, f"/api/2.0/mlflow/{path}", content=body, headers=kind
            )
        else:
            answer = self.http.request(method, f"/api/2.0/mlflow/{path}", json=body)
        return answer.status_code, answer.json()["error_code"]

    def new_run(self, **fields: Any) -> str:
        fields = {"experiment_id": "0", "start_time": 1000, **fields}
        return self.post("runs/create", **fields)["run"]["info"]["run_id"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.get("runs/get", run_id=run_id)["run"]


@contextmanager
def serving(
    folder: Path, port: int = 0, token: str = "", *, database: str = ""
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own, once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(folder), str(port), token],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "MAINSPRING_DATABASE": database},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "ready at " in line, line + process.stderr.read()
        yield line.split("ready at ")[1].strip(), process
    finally:
        process.kill()
        process.communicate()
