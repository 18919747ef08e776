"""Real models taken out: answers to the bit beside the gateway's, where no Mainspring is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from tests import needs

import mainspring as ms
from mainspring._bootstrap.taking_out import take_container, take_onnx, take_wheel
from mainspring.core.errors import Invalid

ROWS = 400
PREDICT = """
import importlib.util, json, sys
from late_model import predict
assert importlib.util.find_spec("mainspring") is None
rows = json.load(open("rows.json"))
print(json.dumps(predict(rows)["score"].tolist()))
"""


@pytest.fixture
def ws(tmp_path):
    with ms.open(tmp_path / "ws") as workspace:
        yield workspace


def rows():
    """Amounts with their cents, some missing, and small whole numbers."""
    random = np.random.default_rng(5)
    money = np.round(random.uniform(0, 5e6, ROWS), 2)
    items = random.integers(0, 9, ROWS).astype(np.float64)
    money[::17] = np.nan
    target = (np.nan_to_num(money) * items % 10 > 5).astype(int)
    return {"money": money, "items": items}, target


def booster(ws):
    lightgbm = needs.module("lightgbm")
    sample, target = rows()
    matrix = np.column_stack(list(sample.values()))
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    trained = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 40)
    ws.models.save("late", trained, sample=sample)
    return sample


def plain(sample):
    """The rows as JSON carries them: null for a missing number."""
    return {
        name: [None if value != value else value for value in column.tolist()]  # noqa: PLR0124
        for name, column in sample.items()
    }


@pytest.mark.slow
@pytest.mark.services
def test_a_wheel_in_a_clean_environment_answers_as_the_gateway_does(ws, tmp_path):
    """A booster over money: pip takes the wheel and its pinned needs, and every bit is the same."""
    sample = booster(ws)
    wheel = take_wheel(ws, "late/1", tmp_path / "out").path
    context = take_container(ws, "late/1", tmp_path / "context", None, None).path
    clean = tmp_path / "clean"
    subprocess.run([sys.executable, "-m", "venv", str(clean)], check=True, timeout=120)
    pip = [str(clean / "bin" / "python"), "-m", "pip", "install", "-q", str(wheel)]
    subprocess.run(pip, check=True, timeout=400)
    (tmp_path / "rows.json").write_text(json.dumps(plain(sample)))
    done = subprocess.run(
        [str(clean / "bin" / "python"), "-c", PREDICT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == from_the_gateway(context / "model", plain(sample))


def from_the_gateway(model, given):
    """The scores that a gateway over the packaged model answers with."""
    words = [sys.executable, "-m", "mainspring", "serve", str(model), "--host", "127.0.0.1"]
    process = subprocess.Popen([*words, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        line, ends = "", time.monotonic() + 60
        while "answers at" not in line:
            line = process.stderr.readline()
            assert line
            assert time.monotonic() < ends
        request = urllib.request.Request(  # noqa: S310 - our own process
            line.split()[-1] + "/invocations",
            data=json.dumps({"inputs": given}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())["predictions"]
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


def test_a_graph_leaves_with_its_check(ws, tmp_path):
    """What was accepted as a graph is written with how far it is off its stored answers."""
    needs.module("skl2onnx")
    runtime = needs.module("onnxruntime")
    from sklearn.ensemble import HistGradientBoostingClassifier

    sample, target = rows()
    small = {"items": sample["items"], "half": sample["items"] / 2}
    matrix = np.column_stack(list(small.values()))
    model = HistGradientBoostingClassifier(max_iter=10).fit(matrix, target)
    ws.models.save("late", model, sample=small)
    folder = take_onnx(ws, "late/1", tmp_path / "graph").path
    check = json.loads((folder / "check.json").read_text())
    assert check["rows"] > 0
    assert check["largest_gap"] <= check["tolerance"]
    assert [one["name"] for one in json.loads((folder / "signature.json").read_text())["inputs"]]
    session = runtime.InferenceSession((folder / "model.onnx").read_bytes())
    assert session.get_outputs()


def test_a_graph_that_was_refused_does_not_leave(ws, tmp_path):
    """The reason is the one that was found at registration; nothing is written."""
    needs.module("onnxmltools")
    sample = booster(ws)
    with pytest.raises(Invalid, match="has no ONNX graph"):
        take_onnx(ws, "late/1", tmp_path / "graph")
    assert sample
    assert not (tmp_path / "graph").exists()
