"""Loading a package and predicting with it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from mainspring.core.errors import Broken, Invalid, NotFound
from mainspring.registry.manifest import Manifest
from mainspring.serving.model import load_model


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


GOLDEN = [logistic(-1 + 2 / 2 * (3 - 1) - 0.25), logistic(-1 + 2 / 2 * (0 - 1) + 0.5 + 3)]


def test_a_package_answers_as_it_was_packaged(objects, runtimes, package):
    """Numbers, missing numbers, known and unknown categories each add their documented part."""
    model = load_model(package(golden=GOLDEN), objects.get, runtimes)
    rows = {"miles": np.array([3.0, np.nan]), "carrier": np.array(["UA", "ZZ"], object)}
    scores = model.predict(rows)
    assert scores.score.tolist() == pytest.approx(GOLDEN)
    assert scores.decision.tolist() == [score >= 0.5 for score in GOLDEN]


def test_a_golden_sample_that_differs_stops_the_load(objects, runtimes, package):
    """A version that answers otherwise than when it was packaged takes no traffic."""
    with pytest.raises(Broken) as raised:
        load_model(package(golden=[GOLDEN[0], GOLDEN[1] + 1e-6]), objects.get, runtimes)
    assert raised.value.code == "serving.golden_differs"


@pytest.mark.parametrize("which", ["manifest", "linear.json"])
def test_changed_bytes_stop_the_load(objects, runtimes, package, which):
    """Every byte of a package is checked against its digest before anything reads it."""
    digest = package()
    manifest = msgspec.json.decode(objects.get(digest), type=Manifest)
    changed = digest if which == "manifest" else manifest.files[which]

    def read(wanted):
        data = objects.get(wanted)
        return data + b" " if wanted == changed else data

    with pytest.raises(Broken) as raised:
        load_model(digest, read, runtimes)
    assert raised.value.code == "serving.package_corrupt"


def test_an_unknown_runtime_is_named_with_the_known_ones(objects, runtimes, package):
    """The error says which runtimes there are."""
    with pytest.raises(NotFound, match="constant, linear"):
        load_model(package(runtime="magic"), objects.get, runtimes)


def test_calibration_is_applied_before_the_decision(objects, runtimes, package):
    """The score is the calibrated one, and so is the one that the threshold judges."""
    calibration = {"method": "isotonic", "x": [0.0, 1.0], "y": [0.6, 0.8], "n": 10}
    model = load_model(package(constant=0.25, calibration=calibration), objects.get, runtimes)
    rows = {"miles": np.zeros(2), "carrier": np.array(["AA", "AA"], object)}
    scores = model.predict(rows)
    assert scores.score.tolist() == pytest.approx([0.65, 0.65])
    assert scores.decision.tolist() == [True, True]


def test_a_model_without_policy_decides_nothing(objects, runtimes, package):
    """No decision is made up where none was declared."""
    model = load_model(package(constant=3.0, decision=None), objects.get, runtimes)
    assert model.score(np.zeros((1, 2))).decision is None


class Odd:
    """A loaded model that answers whatever it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def predict(self, inputs):
        return self.answer[: len(inputs)]


@pytest.mark.parametrize(
    "answer", [np.array([np.nan] * 4), np.array([np.inf] * 4), np.zeros((4, 2)), np.zeros(1)]
)
def test_an_answer_that_is_no_answer_is_an_error(objects, runtimes, package, answer):
    """NaN, infinity and wrong shapes never leave the model as a score."""
    model = load_model(package(), objects.get, runtimes)
    model._loaded = Odd(answer)
    with pytest.raises(Broken) as raised:
        model.score(np.zeros((3, 2)))
    assert raised.value.code == "serving.bad_output"


def test_no_answer_to_a_missing_value_is_the_senders_error(objects, runtimes, package):
    """A network has none; the model is not at fault, and the inputs that were missing are named."""
    model = load_model(package(), objects.get, runtimes)
    rows = np.array([[1.0, 0.0], [np.nan, 0.0]])
    model._loaded = Odd(np.array([0.5, np.nan]))
    with pytest.raises(Invalid, match="miles") as raised:
        model.score(rows)
    assert raised.value.code == "serving.prediction_failed"
    model._loaded = Odd(np.array([np.nan, np.nan]))
    with pytest.raises(Broken):
        model.score(rows)


def test_a_model_that_cannot_run_is_found_out_on_load(objects, package):
    """Without a golden sample a model is at least asked once before it is in service."""

    class Runtime:
        name = "linear"
        steady = True

        def load(self, files, signature, plan=None):
            return Odd(np.array([np.nan, np.nan]))

    with pytest.raises(Broken):
        load_model(package(), objects.get, {"linear": Runtime()})


def test_a_golden_sample_of_other_inputs_is_refused(objects, runtimes, package):
    """A sample that does not fit the signature is an error, not a skipped check."""
    digest = package(golden=GOLDEN)
    manifest = msgspec.json.decode(objects.get(digest), type=Manifest)
    bad = objects.put(b'{"inputs":{"miles":[1.0]},"score":[0.5]}')
    files = {**manifest.files, "golden.json": bad}
    with pytest.raises((Broken, Invalid)) as raised:
        load_model(package(golden=GOLDEN, files=files), objects.get, runtimes)
    assert raised.value.code == "serving.golden_unreadable"
