"""Packages for the tests of serving: a linear model over one number and one category."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from mainspring._adapters.linear.runtime import ConstantRuntime, LinearRuntime
from mainspring.core.digest import Digest, canonical_json
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving.golden import GOLDEN_FILE, golden_bytes
from mainspring.serving.ports import Runtime
from mainspring.testing.objects import MemoryObjects

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

Package = Callable[..., Digest]


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def runtimes() -> dict[str, Runtime]:
    return {"linear": LinearRuntime(), "constant": ConstantRuntime()}


@pytest.fixture
def package(objects: MemoryObjects) -> Package:
    """Stores a package and gives its digest: linear by default, or a constant."""

    def store(
        *,
        constant: float | None = None,
        golden: list[float] | None = None,
        signature: Signature = SIGNATURE,
        **manifest: object,
    ) -> Digest:
        name, content = ("linear", LINEAR)
        if constant is not None:
            name, content = "constant", {"value": constant}
        files = {f"{name}.json": objects.put(msgspec.json.encode(content))}
        if golden is not None:
            rows = {"miles": np.array([3.0, np.nan]), "carrier": np.array(["UA", None], object)}
            data = golden_bytes(signature, rows, np.array(golden))
            files[GOLDEN_FILE] = objects.put(data)
        made = Manifest(
            **{
                "name": "late",
                "task": "binary",
                "runtime": name,
                "signature": signature,
                "files": files,
                "decision": Decision(threshold=0.5),
                "golden": None if golden is None else GOLDEN_FILE,
                **manifest,
            }
        )
        return objects.put(canonical_json(made))

    return store
