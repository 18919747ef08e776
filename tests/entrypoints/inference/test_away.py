"""The control plane and its database go away under a gateway: it answers, and keeps what it owes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from command_gateway import CommandGateway
from tests.postgres_server import running

import mainspring as ms
from mainspring._bootstrap.endpoints import FolderGateway
from mainspring.core.ids import new_id
from mainspring.ports.tables import TableVersion
from mainspring.serving.shipping import prediction_table

pytestmark = [pytest.mark.services, pytest.mark.slow]


class ControlPlane:
    """`mainspring server` over the workspace."""

    def __init__(self, workspace: Path) -> None:
        words = [sys.executable, "-m", "mainspring", "--workspace", str(workspace), "server"]
        self._process = subprocess.Popen([*words, "--port", "0"], stderr=subprocess.PIPE, text=True)
        assert any("http://" in line for line in self._process.stderr)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)
        self._process.stderr.close()


def asked(gateway: CommandGateway, count: int) -> list[str]:
    """Ids of answered questions whose records are on disk."""
    ids = [new_id() for _ in range(count)]
    for name in ids:
        body = {
            "inputs": [{"name": "miles", "shape": [1], "datatype": "FP64", "data": [1.0]}],
            "parameters": {"prediction_ids": [name], "durable": True},
        }
        status, said = gateway.send("POST", "/v2/models/late/infer", json.dumps(body).encode())
        assert status == 200, said
        assert json.loads(said)["outputs"][0]["data"] == [2.5]
    return ids


def shipped(workspace: Path) -> Counter[str]:
    """How often each prediction stands in the table, once all are shipped."""
    with ms.open(workspace) as ws:
        FolderGateway(ws).ship()
        table = {"p": TableVersion(prediction_table("late"))}
        found = ws.tables.query("select prediction_id from p", table)
    return Counter(found["prediction_id"].tolist())


@pytest.mark.parametrize("processes", [1, 2])
def test_it_goes_on_without_database_and_control_plane(tmp_path, monkeypatch, processes):
    """Both gone: answers and records go on, also after a restart; afterwards all is shipped once."""
    workspace = tmp_path / "work"
    with running() as postgres:
        monkeypatch.setenv("MAINSPRING_DATABASE", postgres.fresh())
        words = ("--processes", str(processes))
        gateway = CommandGateway(workspace, *words)
        control = ControlPlane(workspace)
        try:
            gateway.deploy(2.5)
            with ms.open(workspace) as ws:
                ws.registry.models.register("late")
            ids = asked(gateway, 10)
            assert set(shipped(workspace)) == set(ids)
            postgres.stop("immediate")
            control.stop()
            ids += asked(gateway, 20)
            assert gateway.send("GET", "/v2/health/ready")[0] == 200
            assert gateway.stop() == 0
            gateway = CommandGateway(workspace, *words)
            ids += asked(gateway, 20)
            gateway.deploy(2.5, version="2")
            ids += asked(gateway, 5)
            assert "mainspring_records_lost_rows_total 0" in gateway.metrics()
            postgres.start()
            assert shipped(workspace) == Counter(ids)
            ids += asked(gateway, 5)
            assert shipped(workspace) == Counter(ids)
        finally:
            gateway.stop()
