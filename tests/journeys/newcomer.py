"""What a newcomer has at hand: a table, a gateway that runs beside, a request."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = ["customer_id", "tenure_months", "monthly_charge", "contract", "calls", "region"]


@dataclass
class Answer:
    """What a command said: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """A gateway for the project in a folder, as a process of its own; its address."""
    command = [sys.executable, "-m", "mainspring", "gateway", "--port", "0", "--until-stdin-closes"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAINSPRING_")}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
        try:
            yield _address(folder, process)
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    said = folder / ".mainspring" / "serving" / "gateway.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if said.exists() and json.loads(said.read_bytes())["pid"] == process.pid:
            return str(json.loads(said.read_bytes())["url"])
        time.sleep(0.02)
    raise AssertionError((folder / "gateway.log").read_text())


def ask(url: str, endpoint: str, columns: dict[str, Sequence[Any]], ids: Sequence[str]) -> dict:
    """The outputs of a request in the JSON of the Open Inference Protocol."""
    inputs = [
        {
            "name": name,
            "shape": [len(values)],
            "datatype": "BYTES" if any(isinstance(v, str) for v in values) else "FP64",
            "data": list(values),
        }
        for name, values in columns.items()
    ]
    body = json.dumps({"inputs": inputs, "parameters": {"prediction_ids": list(ids)}}).encode()
    request = urllib.request.Request(
        f"{url}/v2/models/{endpoint}/infer", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    return {one["name"]: one["data"] for one in answer["outputs"]}


def customers(count: int, *, first: int = 0, dearer: float = 0.0, seed: int = 3) -> list[list[Any]]:
    """Customers and whether they left: newcomers with monthly contracts who call often leave."""
    draw = random.Random(seed)
    rows = []
    for number in range(first, first + count):
        tenure, calls = draw.randint(0, 72), min(9, int(draw.expovariate(0.7)))
        charge = round(draw.uniform(15, 120) + dearer, 2)
        contract = draw.choice(["month", "year", "two years"])
        region = draw.choice(["north", "south", ""])
        leaning = -1.2 - 0.04 * tenure + 0.02 * (charge - 60) + 0.5 * calls
        leaning += 1.3 if contract == "month" else 0.0
        left = draw.random() < 1 / (1 + math.exp(-leaning))
        name = f"c{number:06d}"
        rows.append([name, tenure, charge, contract, calls, region, "yes" if left else "no"])
    return rows


def write_csv(file: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """The rows as a CSV file."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return file


def read_csv(text: str) -> list[dict[str, str]]:
    """The rows of a CSV text."""
    return list(csv.DictReader(text.splitlines()))
