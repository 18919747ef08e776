"""Every serving runtime keeps the promises of the port; each answers as the library it stands for."""

from __future__ import annotations

from functools import cache

import lightgbm
import msgspec
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
from mainspring._adapters.linear.runtime import LinearRuntime
from mainspring._adapters.onnx.convert import from_sklearn
from mainspring._adapters.onnx.runtime import OnnxRuntime
from mainspring._adapters.skops.runtime import SkopsRuntime
from mainspring._adapters.xgboost.packer import XgboostPacker
from mainspring._adapters.xgboost.runtime import XgboostRuntime
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.plan import Plan
from mainspring.testing import RuntimeSuite, Sample

NAMES = ("AA", "DL", "UA")
SIGNATURE = Signature(
    (
        InputColumn("a", "number"),
        InputColumn("b", "number"),
        InputColumn("k", "category", NAMES),
    ),
    "probability",
)


@cache
def data():
    """600 rows in halves and cents, some nulls; the last column is a code, -1 for unknown."""
    random = np.random.default_rng(11)
    rows = np.round(random.normal(size=(600, 3)), 2)
    rows[:, 2] = random.integers(-1, 3, 600)
    rows[::11, 0] = np.nan
    target = (np.nan_to_num(rows[:, 0]) + rows[:, 1] * (rows[:, 2] - 1) > 0).astype(int)
    return rows, target


def objects(rows):
    table = rows.astype(object)
    table[:, 2] = np.array([*NAMES, ""], dtype=object)[rows[:, 2].astype(int)]
    return table


@cache
def pipeline():
    rows, target = data()
    prepare = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), [0, 1]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
        ]
    )
    model = HistGradientBoostingClassifier(max_iter=15)
    return make_pipeline(prepare, model).fit(objects(rows), target)


class TestLinear(RuntimeSuite):
    @pytest.fixture
    def runtime(self):
        return LinearRuntime()

    @pytest.fixture
    def sample(self):
        rows, _ = data()
        numbers = {"a": {"weight": 2.0, "missing_weight": 0.5}, "b": {"weight": -1.0}}
        categories = {"k": {"weights": [0.5, 0.0, -0.5], "unknown": 1.0}}
        file = {"version": 1, "link": "logit", "intercept": 0.25}
        file |= {"numbers": numbers, "categories": categories}
        missing = np.isnan(rows[:, 0])
        total = 0.25 + np.where(missing, 0.5, 2 * rows[:, 0]) - rows[:, 1]
        total += np.array([0.5, 0.0, -0.5, 1.0])[rows[:, 2].astype(int)]
        files = {"linear.json": msgspec.json.encode(file)}
        return Sample(files, SIGNATURE, rows, 1 / (1 + np.exp(-total)), "linear.json", 1e-15)


class TestLightgbm(RuntimeSuite):
    @pytest.fixture
    def runtime(self):
        return LightgbmRuntime()

    @pytest.fixture
    def sample(self):
        rows, target = data()
        settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
        made = lightgbm.Dataset(rows, target, categorical_feature=[2])
        booster = lightgbm.train(settings, made, 15)
        files = {"model.txt": booster.model_to_string().encode()}
        return Sample(files, SIGNATURE, rows, booster.predict(rows), "model.txt")


class TestXgboost(RuntimeSuite):
    @pytest.fixture
    def runtime(self):
        return XgboostRuntime()

    @pytest.fixture(params=["json", "ubj"])
    def sample(self, request):
        rows, target = data()
        known = rows.copy()
        known[known[:, 2] < 0, 2] = np.nan
        settings = {"objective": "binary:logistic", "nthread": 1, "max_cat_to_onehot": 1}
        made = xgboost.DMatrix(known, target, feature_types=list("qqc"), enable_categorical=True)
        booster = xgboost.train(settings, made, 15)
        file = f"model.{request.param}"
        answers = booster.predict(made).astype(np.float64)
        return Sample(
            {file: bytes(booster.save_raw(request.param))}, SIGNATURE, rows, answers, file
        )


class TestOnnxPipeline(RuntimeSuite):
    """A whole pipeline, texts included, as one graph."""

    @pytest.fixture
    def runtime(self):
        return OnnxRuntime()

    @pytest.fixture
    def sample(self):
        rows, _ = data()
        files = {"model.onnx": from_sklearn(pipeline(), SIGNATURE, by_column=True)}
        answers = pipeline().predict_proba(objects(rows))[:, 1]
        return Sample(files, SIGNATURE, rows, answers, "model.onnx", 1e-6)


class TestSkopsPipeline(RuntimeSuite):
    """The same pipeline as itself."""

    @pytest.fixture
    def runtime(self):
        return SkopsRuntime()

    @pytest.fixture
    def sample(self):
        rows, _ = data()
        files = {
            "model.skops": skops.io.dumps(pipeline()),
            "sklearn.json": b'{"layout": "objects", "output": "probability"}',
        }
        answers = pipeline().predict_proba(objects(rows))[:, 1]
        return Sample(files, SIGNATURE, rows, answers, "model.skops")


class TestSkopsForest(RuntimeSuite):
    """An estimator on a plain matrix, its trees checked before their first use."""

    @pytest.fixture
    def runtime(self):
        return SkopsRuntime()

    @pytest.fixture
    def sample(self):
        rows, target = data()
        forest = RandomForestClassifier(5, random_state=0).fit(rows, target)
        signature = Signature(tuple(InputColumn(n, "number") for n in "abk"), "probability")
        files = {
            "model.skops": skops.io.dumps(forest),
            "sklearn.json": b'{"layout": "numbers", "output": "probability"}',
        }
        return Sample(files, signature, rows, forest.predict_proba(rows)[:, 1], "model.skops")


def test_the_kept_model_of_xgboost_is_checked_before_the_library_reads_it():
    """A child or an input that is not there is refused by us; the library would follow it."""
    rows, target = data()
    made = xgboost.DMatrix(rows[:, :2], target)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, made, 2)
    signature = Signature(SIGNATURE.inputs[:2], "probability")
    good = msgspec.json.decode(bytes(booster.save_raw("json")))
    for key, value in (
        ("left_children", 10**6),
        ("right_children", 0),
        ("split_indices", 7),
        ("split_conditions", None),
    ):
        bad = msgspec.json.decode(msgspec.json.encode(good))
        tree = bad["learner"]["gradient_booster"]["model"]["trees"][0]
        if value is None:
            tree[key].pop()
        else:
            tree[key][0] = value
        with pytest.raises(Invalid, match="points outside"):
            XgboostRuntime().load({"model.json": msgspec.json.encode(bad)}, signature)


def test_an_unknown_category_is_missing_to_xgboost():
    """The packer asks the library as the runtime does."""
    rows, target = data()
    known = rows.copy()
    known[known[:, 2] < 0, 2] = np.nan
    made = xgboost.DMatrix(known, target, feature_types=list("qqc"), enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, made, 3)
    texts = np.array([*NAMES, None], dtype=object)[rows[:, 2].astype(int)]
    frame = {"a": rows[:, 0], "b": rows[:, 1], "k": texts}
    answers = XgboostPacker().answers(booster, frame, SIGNATURE)
    assert answers.tolist() == booster.predict(made).astype(np.float64).tolist()


class Own:
    """A class of somebody's own, which could do anything when it is made."""

    def __init__(self):
        self.what = 1


def estimator(model):
    return {
        "model.skops": skops.io.dumps(model),
        "sklearn.json": b'{"layout": "numbers", "output": "probability"}',
    }


def test_types_that_nobody_reviewed_are_named():
    """They load only when the manifest plans for them and the gateway's own setting allows them."""
    rows, target = data()
    model = LogisticRegression().fit(np.nan_to_num(rows), target)
    model.extra_ = Own()
    name = f"{Own.__module__}.Own"
    signature = Signature(tuple(InputColumn(n, "number") for n in "abk"), "probability")
    planned = Plan(way="original", why="", tolerance=0.0, trusted=(name,))
    for runtime, plan in ((SkopsRuntime(), planned), (SkopsRuntime({name}), None)):
        with pytest.raises(Invalid, match=r"Own") as raised:
            runtime.load(estimator(model), signature, plan)
        assert raised.value.code == "serving.untrusted_types"
    assert SkopsRuntime({name}).load(estimator(model), signature, planned)


@pytest.mark.parametrize("make", [HistGradientBoostingClassifier, RandomForestClassifier])
def test_a_tree_that_leads_out_of_its_arrays_is_refused(make):
    """A crafted child or input would crash the process at the first prediction."""
    rows, target = data()
    signature = Signature(tuple(InputColumn(n, "number") for n in "abk"), "probability")
    for field in ("child", "input"):
        model = make(random_state=0).fit(rows, target)
        if make is RandomForestClassifier:
            tree = model.estimators_[0].tree_
            state = tree.__getstate__()
            key = "left_child" if field == "child" else "feature"
            state["nodes"][key][0] = 10**6
            tree.__setstate__(state)
        else:
            key = "left" if field == "child" else "feature_idx"
            model._predictors[0][0].nodes[key][0] = 10**6
        with pytest.raises(Invalid) as raised:
            SkopsRuntime().load(estimator(model), signature)
        assert raised.value.code == "serving.package_unsafe"
