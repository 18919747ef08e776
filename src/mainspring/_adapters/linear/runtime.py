"""The runtimes ``linear`` and ``constant``: JSON coefficients, answered by numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring._adapters.linear.model import ConstantModel, LinearModel
from mainspring.core.schema import Signature
from mainspring.registry.plan import Plan
from mainspring.serving.refusals import unreadable

Array = NDArray[np.float64]
_Stored = TypeVar("_Stored", LinearModel, ConstantModel)

LINEAR_FILE: Final = "linear.json"
CONSTANT_FILE: Final = "constant.json"
_LINKS: Final = ("logit", "identity")


class LinearRuntime:
    """Reads ``linear.json``."""

    name = "linear"
    steady = True

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Linear:
        """The model with its weights laid out in the order of the signature.

        Errors: ``serving.package_unreadable`` when the file is missing, malformed, or does not
        fit the signature.
        """
        return Linear(_read(files, LINEAR_FILE, LinearModel), signature)


class ConstantRuntime:
    """Reads ``constant.json``."""

    name = "constant"
    steady = True

    def load(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        plan: Plan | None = None,  # noqa: ARG002 - nothing in this file needs trust
    ) -> Constant:
        """The model. Errors: ``serving.package_unreadable``."""
        del signature
        return Constant(_read(files, CONSTANT_FILE, ConstantModel).value)


class Constant:
    """The same number for every row."""

    def __init__(self, value: float) -> None:
        self._value = value

    def predict(self, inputs: Array) -> Array:
        """``value``, once per row."""
        return np.full(len(inputs), self._value, dtype=np.float64)


class Linear:
    """A weighted sum through a link; weights lie in arrays by position of the input."""

    def __init__(self, model: LinearModel, signature: Signature) -> None:
        _check(model, signature)
        self._logit = model.link == "logit"
        self._intercept = model.intercept
        places = {column.name: place for place, column in enumerate(signature.inputs)}
        self._numbers = np.array([places[name] for name in model.numbers], dtype=np.intp)
        numbers = model.numbers.values()
        slopes = [number.weight / number.scale for number in numbers]
        self._slopes = np.array(slopes, dtype=np.float64)
        self._means = np.array([number.mean for number in numbers], dtype=np.float64)
        self._missing = np.array(
            [
                slope * (number.fill - number.mean) + number.missing_weight
                for slope, number in zip(slopes, numbers, strict=True)
            ],
            dtype=np.float64,
        )
        # One more weight at the end: code -1 picks the last one, which is the unknown's.
        self._categories = [
            (places[name], np.array([*category.weights, category.unknown], dtype=np.float64))
            for name, category in model.categories.items()
        ]

    def predict(self, inputs: Array) -> Array:
        """The sum, or its logistic. Shapes: (n, inputs) in, (n,) out."""
        total: Array = self._intercept + self._parts(inputs).sum(axis=1)
        for place, weights in self._categories:
            total += weights[inputs[:, place].astype(np.intp)]
        return _logistic(total) if self._logit else total

    def explain(self, inputs: Array) -> Array:
        """What each input adds to the sum before its link: exact; the base is the intercept."""
        answer = np.zeros((len(inputs), inputs.shape[1] + 1), dtype=np.float64)
        answer[:, self._numbers] = self._parts(inputs)
        for place, weights in self._categories:
            answer[:, place] = weights[inputs[:, place].astype(np.intp)]
        answer[:, -1] = self._intercept
        return answer

    def _parts(self, inputs: Array) -> Array:
        values = inputs[:, self._numbers]
        missing = np.isnan(values)
        parts: Array = np.where(missing, self._missing, self._slopes * (values - self._means))
        return parts


def _logistic(total: Array) -> Array:
    # exp of minus the absolute value never overflows, whichever side the sum lies on.
    tail = np.exp(-np.abs(total))
    result: Array = np.where(total >= 0, 1.0, tail) / (1.0 + tail)
    return result


def _check(model: LinearModel, signature: Signature) -> None:
    if model.version != 1 or model.link not in _LINKS:
        _unreadable(LINEAR_FILE, f"version {model.version} with link {model.link!r} is not known")
    categories = {c.name: len(c.categories) for c in signature.inputs if c.type == "category"}
    numbers = {c.name for c in signature.inputs if c.type == "number"}
    if set(model.numbers) != numbers:
        _unreadable(LINEAR_FILE, "its numbers are not the numeric inputs of the signature")
    if {name: len(c.weights) for name, c in model.categories.items()} != categories:
        _unreadable(LINEAR_FILE, "its categories are not those of the signature")
    if any(number.scale == 0 for number in model.numbers.values()):
        _unreadable(LINEAR_FILE, "a scale is zero")


def _read(files: Mapping[str, bytes], name: str, kind: type[_Stored]) -> _Stored:
    if name not in files:
        _unreadable(name, "it is not in the package")
    try:
        return msgspec.json.decode(files[name], type=kind)
    except msgspec.MsgspecError as error:
        _unreadable(name, str(error))


def _unreadable(name: str, why: str) -> NoReturn:
    raise unreadable(name, why)
