"""What each input added to a score: the parts add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring._adapters.lightgbm.learner import GradientBoosting
from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
from mainspring.core.errors import Conflict
from mainspring.core.schema import InputColumn, Signature
from mainspring.serving.model import load_model

COLUMNS = (
    InputColumn("miles", "number"),
    InputColumn("wind", "number"),
    InputColumn("carrier", "category", ("AA", "UA")),
)


def logit(score):
    return np.log(score / (1 - score))


def test_parts_of_a_linear_model_are_exact(package, objects, runtimes):
    """Base and contributions add up to the log odds, nulls and unknown categories included."""
    model = load_model(package(), objects.get, runtimes)
    rows = {
        "miles": np.array([3.0, np.nan, -1.0]),
        "carrier": np.array(["UA", None, "ZZ"], object),
    }
    matrix = model.encode(rows, 3)
    found = model.explain(matrix)
    assert found.values.sum(axis=1) == pytest.approx(logit(model.score(matrix).score), abs=1e-12)
    assert set(found.row(0)["contributions"]) == {"miles", "carrier"}


def test_parts_of_a_booster_are_its_own_shap_values():
    """They add up to the raw score, and an input that decides nothing adds nothing."""
    draw = np.random.default_rng(1)
    inputs = {
        "miles": draw.normal(size=400),
        "wind": np.zeros(400),
        "carrier": draw.choice(np.array(["AA", "UA"], object), 400),
    }
    target = ((inputs["miles"] > 0) ^ (inputs["carrier"] == "UA")).astype(float)
    fitted = GradientBoosting().fit(
        inputs, target, columns=COLUMNS, parameters={"rounds": 20, "min_data_in_leaf": 5}, seed=1
    )
    booster = LightgbmRuntime().load(fitted.files(), Signature(COLUMNS, "probability"))
    matrix = np.column_stack(
        [inputs["miles"], inputs["wind"], (inputs["carrier"] == "UA").astype(float)]
    )
    values = booster.explain(matrix)
    assert values.shape == (400, 4)
    assert values.sum(axis=1) == pytest.approx(logit(booster.predict(matrix)), abs=1e-9)
    assert not values[:, 1].any()
    assert np.abs(values[:, 0]).mean() > 0.1


def test_what_cannot_be_explained_is_said(package, objects, runtimes):
    """A runtime without contributions refuses; it does not make some up."""
    model = load_model(package(constant=0.5), objects.get, runtimes)
    with pytest.raises(Conflict) as raised:
        model.explain(np.zeros((1, 2)))
    assert raised.value.code == "serving.no_explanation"
