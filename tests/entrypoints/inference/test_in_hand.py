"""Models that need their library, from the hands of their training code to a gateway's answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_gateway import CommandGateway
from process_memory import mapped

import mainspring as ms
from mainspring.serving.traffic import Route, Variant

AIRPORTS = ("BOS", "JFK", "SFO")
ROWS = 400
# What every model is asked: known rows, a category that training never saw, and nothing at all.
MILES = [187.0, 2586.0, 1000.5, None, 500.0]
AIRPORT = ["BOS", "SFO", "JFK", "ZZZ", None]


def sample():
    random = np.random.default_rng(4)
    miles = np.round(random.uniform(100, 3000, ROWS), 1)
    miles[::17] = np.nan
    airport = np.array(AIRPORTS, object)[random.integers(0, 3, ROWS)]
    late = (np.nan_to_num(miles) / 3000 + (airport == "JFK") + random.normal(0, 0.3, ROWS) > 1) * 1
    return {"miles": miles, "airport": airport}, late


def catboost(columns, target, *, texts):
    from catboost import CatBoostClassifier

    names = ["miles", "airport"] if texts else ["miles"]
    rows = np.empty((ROWS, len(names)), dtype=object if texts else np.float64)
    for place, name in enumerate(names):
        rows[:, place] = columns[name]
    model = CatBoostClassifier(
        iterations=12, depth=3, verbose=False, allow_writing_files=False, thread_count=1,
        random_seed=1,
    )  # fmt: skip
    return model.fit(rows, target, cat_features=[1] if texts else None)


def frame_pipeline(columns, target):
    """Fitted on a data frame with texts: it finds its columns by their names."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["miles"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["airport"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression()).fit(pd.DataFrame(columns), target)


def own_answers(model, names):
    """What the object itself says of the rows; a null text is the empty one."""
    given = {"miles": MILES, "airport": [text or "" for text in AIRPORT]}
    if hasattr(model, "feature_names_in_"):
        import pandas as pd

        rows = pd.DataFrame({"miles": np.array(MILES, float), "airport": given["airport"]})
    else:
        rows = np.array(list(zip(*(given[n] for n in names), strict=True)), object)
        rows = np.where(rows == None, np.nan, rows)  # noqa: E711 - by element
    return model.predict_proba(rows)[:, 1].tolist()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    running = CommandGateway(tmp_path_factory.mktemp("hand"))
    yield running
    assert running.stop() == 0


def served(gateway, name, model, columns, **more):
    """The model saved, its plan, and what a gateway that was just told of it answers."""
    with ms.open(gateway.workspace) as ws:
        version = ws.models.save(name, model, sample=columns, **more)
        manifest = ws.registry.packages.open(name, version.number).manifest
    champion = Variant(name="champion", model=version.package, version="1")
    gateway.control.deploy(name, Route(variants=(champion,)))
    asked = {"miles": MILES, "airport": AIRPORT}
    body = json.dumps({"inputs": {one: asked[one] for one in columns}}).encode()
    status, data = gateway.send("POST", f"/endpoints/{name}/invocations", body)
    assert status == 200, data
    return manifest, json.loads(data)["predictions"]


def test_catboost_of_numbers_is_a_graph(gateway):
    """No CatBoost and no pandas where it is served, and the same answers."""
    columns, target = sample()
    numbers = {"miles": columns["miles"]}
    model = catboost(columns, target, texts=False)
    manifest, found = served(gateway, "graph", model, numbers)
    assert (manifest.plan.way, manifest.runtime) == ("onnx", "onnx")
    assert found == pytest.approx(own_answers(model, ["miles"]), abs=1e-6)
    assert not {"catboost", "pandas"} & mapped(gateway.process.pid)


def test_catboost_with_categories_is_its_own_file(gateway):
    """Unknown and missing categories too, to the bit."""
    columns, target = sample()
    model = catboost(columns, target, texts=True)
    manifest, found = served(gateway, "texts", model, columns)
    assert (manifest.plan.way, manifest.runtime) == ("native", "catboost")
    assert found == own_answers(model, ["miles", "airport"])
    assert "catboost" in mapped(gateway.process.pid)


def test_a_pipeline_of_data_frames_is_a_graph_where_that_is_faithful(gateway):
    """Texts go in by name; the plan tells what was tried."""
    columns, target = sample()
    model = frame_pipeline(columns, target)
    manifest, found = served(gateway, "frames", model, columns)
    assert manifest.plan.tried[0].way == "onnx"
    assert found == pytest.approx(own_answers(model, columns), abs=manifest.plan.tolerance)


def test_a_pipeline_that_is_kept_itself_is_asked_with_data_frames(gateway):
    """The original: strings in, the estimator's own answers out, and pandas where it runs."""
    columns, target = sample()
    model = frame_pipeline(columns, target)
    manifest, found = served(gateway, "original", model, columns, prefer="original")
    assert (manifest.plan.way, manifest.runtime) == ("original", "skops")
    assert found == own_answers(model, columns)
    assert {"pandas", "sklearn"} <= mapped(gateway.process.pid)
