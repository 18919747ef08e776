"""Models with code of their own: off by default, in a process of their own, bounded and mortal."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mainspring._adapters.child.process import SCRIPT, Child
from mainspring._adapters.child.runtime import CustomRuntime, MlflowRuntime
from mainspring.core.errors import Broken, Denied, Invalid, TimedOut
from mainspring.core.schema import InputColumn, Signature

SIGNATURE = Signature((InputColumn("a", "number"), InputColumn("b", "number")), "value")
HANGS = """
import os
from mainspring._adapters.child.answering import answer

def load():
    os.write(2, b"%d" % os.getpid())
    while True:
        pass

answer(load)
"""
SOURCE = """
import os, sys, time
import numpy as np

class Model:
    def __init__(self, folder, signature):
        print("a model may talk")
        self.weight = float((folder / "weight.txt").read_text())
        self.names = [one["name"] for one in signature["inputs"]]

    def predict(self, rows):
        what = rows[0, 0]
        if what == 1: raise KeyError("no such thing")
        if what == 2: time.sleep(60)
        if what == 3: os._exit(3)
        if what == 4: return np.zeros(len(rows) + 1)
        if what == 5: return np.full(len(rows), float("MAINSPRING_TOKEN" in os.environ))
        if what == 6: self.__dict__.setdefault("kept", []).append(np.ones(500_000))
        print("and talk")
        return rows.sum(axis=1) * self.weight
"""
FILES = {
    "custom.json": b'{"file": "code/model.py", "class": "Model"}',
    "code/model.py": SOURCE.encode(),
    "weight.txt": b"2.5",
}


def load(files=FILES, **how):
    return CustomRuntime(allowed=True, **how).load(files, SIGNATURE)


def child(**how):
    command = [sys.executable, "-I", str(SCRIPT), "custom"]
    return Child(command, FILES, SIGNATURE, **how)


def test_neither_runs_unless_a_setting_allows_it():
    """The package cannot allow itself."""
    for runtime, files in ((CustomRuntime(), FILES), (MlflowRuntime(), {"MLmodel": b""})):
        with pytest.raises(Denied) as raised:
            runtime.load(files, SIGNATURE)
        assert raised.value.code == "serving.code_not_allowed"


def test_a_class_of_ones_own_answers_from_its_process(monkeypatch):
    """Rows go over a pipe and come back as numbers; what it prints and our secrets stay apart."""
    monkeypatch.setenv("MAINSPRING_TOKEN", "secret")
    model = load()
    rows = np.arange(20_000.0).reshape(-1, 2) + 10
    assert model.predict(rows).tolist() == (rows.sum(axis=1) * 2.5).tolist()
    assert model.predict(np.array([[5.0, 0.0]])).tolist() == [0.0]
    assert "model_code" not in sys.modules


def test_an_error_of_the_model_is_told_and_it_goes_on():
    """A bad row is that request's error; the next one is answered."""
    model = load()
    for what, told in ((1.0, "KeyError"), (4.0, "to 1 rows")):
        with pytest.raises(Broken, match=told) as raised:
            model.predict(np.array([[what, 0.0]]))
        assert raised.value.code == "serving.prediction_failed"
    assert model.predict(np.array([[10.0, 0.0]])).tolist() == [25.0]


def test_one_that_hangs_is_ended():
    """It gets its seconds, not more; then its process is gone, and with the model its folder."""
    model = load(answer_seconds=1.0)
    process, folder = model.pid, model._folder
    start = time.monotonic()
    with pytest.raises(TimedOut) as raised:
        model.predict(np.array([[2.0, 0.0]]))
    assert raised.value.code == "serving.model_hangs"
    assert time.monotonic() - start < 20
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(Broken):
        model.predict(np.array([[10.0, 0.0]]))
    del model, raised
    gc.collect()
    assert not folder.exists()


def test_one_that_dies_is_told_and_comes_back_after_a_rest():
    """The gateway lives on and takes the variant out; it is started again, but not at once."""
    model = child(rest_seconds=2.0)
    first = model.pid
    for what, code in ((3.0, "ended"), (10.0, "ended")):
        with pytest.raises(Broken) as raised:
            model.predict(np.array([[what, 0.0]]))
        assert raised.value.code == f"serving.model_{code}"
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = model.predict(np.array([[10.0, 0.0]]))
            break
        except Broken:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert answer.tolist() == [25.0]
    assert model.pid != first


def test_one_that_hangs_does_not_outlive_its_parent(tmp_path):
    """When the parent is killed, a model that hangs ends too: nobody is left to stop it."""
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, {str(script)!r}])"
    running = subprocess.Popen([sys.executable, "-c", parent], stderr=subprocess.PIPE)
    pid = int(os.read(running.stderr.fileno(), 20))
    running.kill()
    running.wait()
    running.stderr.close()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_is_held_back_has_bounded_memory_and_runs_last():
    """What leaks finds its end at its room, and is told as the model's error."""
    model = child(room_bytes=48 << 20)
    status = Path(f"/proc/{model.pid}/status")
    assert os.sched_getscheduler(model.pid) == os.SCHED_IDLE
    assert Path(f"/proc/{model.pid}/oom_score_adj").read_text().strip() == "1000"
    before = resident_bytes(status)

    def leak() -> None:
        for _ in range(100):
            model.predict(np.array([[6.0, 0.0]]))  # four megabytes more each time

    with pytest.raises(Broken, match="MemoryError") as raised:
        leak()
    assert raised.value.code == "serving.prediction_failed"
    assert resident_bytes(status) - before < 64 << 20


def resident_bytes(status: Path) -> int:
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "custom.json": b"{}"},
        {**FILES, "custom.json": b'{"file": "../model.py", "class": "Model"}'},
        {**FILES, "custom.json": b'{"file": "code/model.py", "class": "Other"}'},
        {**FILES, "code/model.py": b"raise SystemError('no')"},
        {**FILES, "weight.txt": b"heavy"},
    ],
)
def test_code_that_does_not_start_is_refused_with_its_reason(files):
    """A file outside the package, no such class, an error at import or while it is made."""
    with pytest.raises(Invalid) as raised:
        load(files)
    assert raised.value.code == "serving.package_unreadable"


@pytest.mark.services
def test_an_mlflow_package_answers_from_its_own_environment(tmp_path):
    """A model that MLflow saved, pickle and all, is opened by its MLflow in another process."""
    import subprocess

    sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
    from environments import python_of

    python = python_of("mlflow")
    made = """
import sys, numpy as np, pandas as pd, mlflow.sklearn
from sklearn.linear_model import LinearRegression
rows = pd.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [0.0, 1.0, 0.0, 2.0]})
model = LinearRegression().fit(rows, 2 * rows["a"] + rows["b"])
mlflow.sklearn.save_model(model, sys.argv[1], serialization_format="cloudpickle")
"""
    folder = tmp_path / "model"
    subprocess.run([python, "-c", made, str(folder)], check=True, timeout=300, capture_output=True)
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert any(name.endswith(".pkl") for name in files)
    model = MlflowRuntime(str(python), answer_seconds=60).load(files, SIGNATURE)
    assert model.predict(np.array([[1.0, 1.0], [4.0, 0.5]])) == pytest.approx([3.0, 8.5])
