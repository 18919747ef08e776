"""The gateway as a user starts it: a workspace, a saved model, an endpoint, one command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from processes import Case
from serving_models import NAMES
from serving_peers import JSON, Rows, v2_rows, v2_scores

PROGRAM = str(Path(sys.executable).with_name("mainspring"))
UNRECORDED = str(Path(__file__).with_name("unrecorded.py"))
NAME = "bench"


@dataclass(frozen=True)
class Ours:
    """A workspace that serves one form of one model; records, metrics and validation are on."""

    name: str
    folder: Path
    records: bool = True
    compiled: bool = False

    def command(self, port: int) -> list[str]:
        program = [PROGRAM] if self.records else [sys.executable, UNRECORDED]
        return [*program, "--workspace", str(self.folder), "gateway", "--port", str(port)]

    def environment(self) -> dict[str, str]:
        return {"MAINSPRING_COMPILED": "true"} if self.compiled else {}

    def otherwise(self, name: str, **how: bool) -> Ours:
        """The same workspace, served in another manner."""
        return replace(self, name=f"ours, {name}", **how)

    def case(self, port: int, kind: str, rows: Rows, *, binary: bool = False) -> Case:
        path, document = v2_rows(kind, rows)
        document.pop("outputs", None)
        url = f"http://127.0.0.1:{port}{path}"
        if not binary:
            return Case(url, json.dumps(document).encode(), JSON)
        raw = np.array(rows, dtype="<f8").tobytes()
        one = {"name": "rows", "shape": [len(rows), len(rows[0])], "datatype": "FP64"}
        one["parameters"] = {"binary_data_size": len(raw)}
        asked = {"inputs": [one], "parameters": {"binary_data_output": True}}
        head = json.dumps(asked).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        return Case(url, head + raw, {"Content-Type": "application/octet-stream", **length})

    def scores(self, body: bytes, headers: dict[str, str], count: int) -> list[float]:
        length = headers.get("inference-header-content-length")
        if length is None:
            return v2_scores(json.loads(body))
        return np.frombuffer(body[int(length) :], "<f8", count=count).tolist()


def prepared(name: str, model: object, rows: Rows, way: str, folder: Path) -> Ours:
    """The model saved in that form and deployed. Errors: ``RuntimeError`` when its gate said no."""
    import mainspring

    home = folder / ".mainspring"
    home.mkdir(parents=True)
    columns = zip(*rows[:2000], strict=True)
    sample = {key: np.array(cells) for key, cells in zip(NAMES, columns, strict=True)}
    workspace = mainspring.open(home)
    try:
        version = workspace.models.save(NAME, model, sample=sample, prefer=way)
        plan = workspace.registry.packages.open(NAME, version.number).manifest.plan
    finally:
        workspace.close()
    if plan is None or plan.way != way:
        raise RuntimeError(f"{name} is not served as {way}: {plan and plan.why}")
    deploy = [PROGRAM, "--workspace", str(home), "endpoints", "deploy", "--endpoint", NAME]
    subprocess.run([*deploy, f"{NAME}/{version.number}"], check=True, capture_output=True)
    return Ours(name, home)
