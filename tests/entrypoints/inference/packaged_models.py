"""A packaged model's folder, as it lies in an image, and the scores that it must answer."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.linear.runtime import LinearRuntime
from mainspring.core.digest import canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving import Route, RouteTable, Variant, load_model
from mainspring.serving.packaging.container import build_context

SIGNATURE = Signature(
    (InputColumn("miles", "number"), InputColumn("carrier", "category", ("AA", "UA"))),
    "probability",
)
LINEAR = {
    "version": 1,
    "link": "logit",
    "intercept": -1.0,
    "numbers": {"miles": {"weight": 2.0, "missing_weight": 0.5, "mean": 1.0, "scale": 2.0}},
    "categories": {"carrier": {"weights": [0.25, -0.25], "unknown": 3.0}},
}
ROWS = {"miles": np.array([3.0, 0.1, np.nan]), "carrier": np.array(["UA", "AA", None], object)}


def packaged_context(tmp_path):
    """The build context of a linear model behind the endpoint ``late``, and its scores of ROWS."""
    objects = FileObjects(tmp_path / "source")
    manifest = Manifest(
        name="late",
        task="binary",
        runtime="linear",
        signature=SIGNATURE,
        files={"linear.json": objects.put(msgspec.json.encode(LINEAR))},
        decision=Decision(threshold=0.5),
    )
    digest = objects.put(canonical_json(manifest))
    variant = Variant(name="champion", model=digest, version="1")
    table = RouteTable().with_route("late", Route(variants=(variant,)))
    context = tmp_path / "context"
    context.mkdir()
    build_context(table, objects, FileObjects(context / "model" / "objects"), context)
    scores = load_model(digest, objects.get, {"linear": LinearRuntime()}).predict(ROWS)
    return context, scores.score


def packaged_folder(tmp_path):
    """The folder ``model`` of the context, and the scores of ROWS."""
    context, scores = packaged_context(tmp_path)
    return context / "model", scores


def rows_csv():
    """ROWS as a CSV body."""
    return "miles,carrier\n3.0,UA\n0.1,AA\n,\n"
