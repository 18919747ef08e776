"""Runtimes: reading safe files, and answering as the library that wrote them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests import needs

from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
from mainspring._adapters.linear.runtime import ConstantRuntime, LinearRuntime
from mainspring._adapters.onnx.runtime import OnnxRuntime
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature

CATEGORIES = tuple(f"c{n}" for n in range(12))
SIGNATURE = Signature(
    (
        InputColumn("a", "number"),
        InputColumn("b", "number"),
        InputColumn("k", "category", CATEGORIES),
    ),
    "probability",
)


@pytest.fixture(scope="module")
def booster():
    lightgbm = needs.module("lightgbm")
    random = np.random.default_rng(7)
    rows = random.normal(size=(2000, 3))
    rows[:, 2] = random.integers(-1, 12, 2000)
    rows[random.random(2000) < 0.1, 0] = np.nan
    target = (np.nan_to_num(rows[:, 0]) + (rows[:, 2] > 5) > 0.3).astype(float)
    data = lightgbm.Dataset(rows, target, categorical_feature=[2])
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings, data, 20), rows


@pytest.mark.parametrize("count", [1, 2, 2000])
def test_lightgbm_answers_as_the_library_does(booster, count):
    """Through the C interface the answers are the library's own, bit for bit."""
    model, rows = booster
    loaded = LightgbmRuntime().load({"model.txt": model.model_to_string().encode()}, SIGNATURE)
    inputs = np.ascontiguousarray(rows[:count])
    assert loaded.predict(inputs).tolist() == model.predict(inputs).tolist()


def test_a_spoilt_lightgbm_file_is_refused_not_crashed_on(booster):
    """The library reads past the end of a shortened file; we never hand it one."""
    text = booster[0].model_to_string().encode()
    for spoilt in (b"", b"tree", text[: len(text) // 2], text.replace(b"Tree=3\n", b"Tree=33\n")):
        with pytest.raises(Invalid) as raised:
            LightgbmRuntime().load({"model.txt": spoilt}, SIGNATURE)
        assert raised.value.code == "serving.package_unreadable"


def test_lightgbm_must_fit_the_signature(booster):
    """A booster of three inputs is not served with a signature of two."""
    text = booster[0].model_to_string().encode()
    with pytest.raises(Invalid, match="takes 3 inputs, the signature has 2"):
        LightgbmRuntime().load({"model.txt": text}, Signature(SIGNATURE.inputs[:2], "probability"))


def linear(**changed):
    model = {
        "version": 1,
        "link": "identity",
        "intercept": 1.0,
        "numbers": {
            "a": {"weight": 2.0, "mean": 1.0, "scale": 4.0, "fill": 3.0},
            "b": {"weight": 1.0},
        },
        "categories": {"k": {"weights": [0.5] * 12, "unknown": -1.0}},
        **changed,
    }
    return {"linear.json": msgspec.json.encode(model)}


def test_linear_adds_what_its_file_says():
    """Standardized numbers, the fill for missing ones, a weight per code, one for unknown."""
    loaded = LinearRuntime().load(linear(), SIGNATURE)
    rows = np.array([[5.0, 1.0, 0.0], [np.nan, 0.0, -1.0]])
    assert loaded.predict(rows).tolist() == [1 + 2.0 + 1 + 0.5, 1 + 1.0 + 0 - 1.0]


def test_the_logistic_link_never_overflows():
    """However far the sum lies from zero, the answer is a probability, without a warning."""
    loaded = LinearRuntime().load(linear(link="logit"), SIGNATURE)
    rows = np.array([[1e9, 0.0, 0.0], [-1e9, 0.0, 0.0], [1.0, -1.5, 0.0]])
    assert loaded.predict(rows).tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"link": "probit"},
        {"numbers": {"a": {"weight": 1.0}}},
        {"categories": {"k": {"weights": [0.5] * 11}}},
        {"numbers": {"a": {"weight": 1.0, "scale": 0.0}, "b": {"weight": 1.0}}},
        {"weights": []},
    ],
)
def test_a_linear_file_that_does_not_fit_is_refused(changed):
    """Nothing is guessed: not a missing weight, not an unknown version."""
    with pytest.raises(Invalid) as raised:
        LinearRuntime().load(linear(**changed), SIGNATURE)
    assert raised.value.code == "serving.package_unreadable"


def test_a_constant_is_constant():
    """One number for every row; no file, no model."""
    loaded = ConstantRuntime().load({"constant.json": b'{"value": 0.25}'}, SIGNATURE)
    assert loaded.predict(np.zeros((3, 3))).tolist() == [0.25] * 3
    with pytest.raises(Invalid):
        ConstantRuntime().load({}, SIGNATURE)


def test_a_spoilt_onnx_file_is_refused():
    """Bytes that are no graph are an error of the package."""
    needs.module("onnxruntime")
    with pytest.raises(Invalid) as raised:
        OnnxRuntime().load({"model.onnx": b"not a graph"}, SIGNATURE)
    assert raised.value.code == "serving.package_unreadable"
