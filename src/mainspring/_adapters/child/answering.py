"""The child: loads one model and answers over its standard input and output until they close.

Run as a script by the Python of the model's own environment, so it imports nothing of Mainspring.
A message is four bytes of length, a JSON object, and the bytes that the object says follow it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

MOST_BYTES = 256_000_000
_LOOK_SECONDS = 0.5


def main() -> int:
    """0 when the parent closed the pipe."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    return answer(
        lambda: LOADERS[kind](folder, json.loads((folder / "signature.json").read_text("utf-8")))
    )


def answer(load: Callable[[], Any]) -> int:
    """Loads a model and answers for it; 0 when the parent closed the pipe.

    A model has ``predict``, and ``explain`` if it can.
    """
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # What a model prints must not get between the messages.
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    try:
        model = load()
    except Exception as error:  # noqa: BLE001 - a model's code may raise anything; it is told
        _say(wire, {"error": _told(error)})
        return 1
    _say(wire, {"ready": True, "explains": hasattr(model, "explain")})
    while (question := _hear(source)) is not None:
        what, rows = question
        try:
            answer = np.ascontiguousarray(getattr(model, what)(rows), dtype="<f8")
        except Exception as error:  # noqa: BLE001 - as above
            _say(wire, {"error": _told(error)})
            continue
        _say(wire, {"shape": answer.shape}, answer.tobytes())
    return 0


def _end_with(parent: int) -> None:
    """Ends the process once its parent is gone: a model that hangs never sees the pipe close."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _custom(folder: Path, signature: dict[str, Any]) -> Any:
    """An object of the class that ``custom.json`` names, made with folder and signature."""
    said = json.loads((folder / "custom.json").read_text("utf-8"))
    spec = importlib.util.spec_from_file_location("model_code", folder / said["file"])
    if spec is None or spec.loader is None:
        raise ImportError(said["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_code"] = module
    spec.loader.exec_module(module)
    model = getattr(module, said["class"])(folder, signature)
    # A column is as good as a line of numbers.
    here = SimpleNamespace(predict=lambda rows: np.asarray(model.predict(rows)).ravel())
    if hasattr(model, "explain"):
        here.explain = model.explain
    return here


def _mlflow(folder: Path, signature: dict[str, Any]) -> Any:
    """What MLflow loads, asked with data frames in the columns of the signature."""
    import pandas as pd
    from mlflow import pyfunc

    model = pyfunc.load_model(str(folder))
    inputs = signature["inputs"]

    def predict(rows: Any) -> Any:
        columns = {}
        for place, column in enumerate(inputs):
            values = rows[:, place]
            if column["type"] == "category":
                texts = np.array([*column["categories"], None], dtype=object)
                values = texts[values.astype(int)]
            columns[column["name"]] = values
        answer = np.asarray(model.predict(pd.DataFrame(columns)))
        return answer[:, -1] if answer.ndim > 1 else answer

    return SimpleNamespace(predict=predict)


LOADERS = {"custom": _custom, "mlflow": _mlflow}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _say(wire: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(head).encode()
    wire.write(struct.pack("<I", len(text)) + text + body)
    wire.flush()


def _hear(source: BinaryIO) -> tuple[str, Any] | None:
    """What is asked (``predict`` or ``explain``), and of which rows; None at the end."""
    size = source.read(4)
    if len(size) < 4:  # noqa: PLR2004 - the length of a length
        return None
    head = json.loads(source.read(struct.unpack("<I", size)[0]))
    rows, columns = head["shape"]
    body = source.read(rows * columns * 8)
    what = "explain" if head.get("ask") == "explain" else "predict"
    return what, np.frombuffer(body, dtype="<f8").reshape(rows, columns)


if __name__ == "__main__":
    raise SystemExit(main())
