"""A packaged model inside an application: a folder of bytes in, answers out, no gateway.

This module and what it imports is also the source that a wheel carries, so an application answers
with the very code that the gateway answers with. It must import nothing but numpy, msgspec and
what serving a model takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainspring.core.digest import Digest
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.serving.model import ServedModel, load_model
from mainspring.serving.ports import Runtime


class StandaloneModel:
    """A model that is loaded on first use, every byte checked and the golden sample replayed.

    Concurrency: may be shared between threads; they take turns.
    """

    def __init__(
        self, digest: str, read: Callable[[Digest], bytes], runtime: Callable[[], Runtime]
    ) -> None:
        self._digest = Digest(digest)
        self._read = read
        self._runtime = runtime
        self._turn = threading.Lock()
        self._model: ServedModel | None = None

    @property
    def signature(self) -> Signature:
        """The inputs in order with their categories, and what the output is."""
        with self._turn:
            return self._loaded().signature

    def predict(self, rows: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """``score`` per row, and ``decision`` where the model has a policy.

        ``rows`` maps each input to a sequence of one length: numbers (None or NaN is missing) or
        texts (None, or one that training never saw, is unknown). Errors: ``serving.bad_rows``;
        those of loading the package at the first call.
        """
        with self._turn:
            model = self._loaded()
            scores = model.predict(frame(rows, model.signature))
        answer: dict[str, NDArray[Any]] = {"score": scores.score}
        if scores.decision is not None:
            answer["decision"] = scores.decision
        return answer

    def _loaded(self) -> ServedModel:
        if self._model is None:
            runtime = self._runtime()
            self._model = load_model(self._digest, self._read, {runtime.name: runtime})
        return self._model


def frame(rows: Mapping[str, Any], signature: Signature) -> dict[str, NDArray[Any]]:
    """The inputs as columns of one length. Errors: ``serving.bad_rows``."""
    missing = [column.name for column in signature.inputs if column.name not in rows]
    if missing:
        raise _bad(f"the inputs {', '.join(missing[:5])} are not given")
    columns = {column.name: _column(column, rows[column.name]) for column in signature.inputs}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise _bad(f"their columns have {min(lengths)} to {max(lengths)} rows")
    return columns


def _column(column: InputColumn, values: Any) -> NDArray[Any]:
    kind = np.float64 if column.type == "number" else object
    try:
        found = np.asarray(values, dtype=kind)
    except (TypeError, ValueError) as error:
        raise _bad(f"{column.name} holds something that is no {column.type}") from error
    if found.ndim != 1:
        raise _bad(f"{column.name} is not one value per row")
    return found


def _bad(why: str) -> Invalid:
    return Invalid(
        "serving.bad_rows",
        f"The rows cannot be read: {why}.",
        hint="Give one sequence per input, all of one length.",
    )
