"""The ONNX graph of a model version, with the proof that it answers as the version does.

A version has a graph when it was registered with one; none is converted here, because a graph that
was not compared with its model on the rows of training is a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from mainspring.core.digest import Digest
from mainspring.core.errors import Broken, Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.golden import golden_frame, read_golden
from mainspring.serving.model import ServedModel, load_model
from mainspring.serving.ports import Runtime

GRAPH: Final = "model.onnx"
_RUNTIME: Final = "onnx"


class Check(msgspec.Struct, frozen=True):
    """How far the graph's answers to the stored sample are from the version's own."""

    rows: int
    largest_gap: float
    tolerance: float


def build_onnx(
    manifest: Manifest, read: Callable[[Digest], bytes], *, runtime: Runtime, into: Path
) -> Check:
    """Writes ``model.onnx``, ``signature.json`` and ``check.json`` to a folder; the check.

    ``signature.json`` says what comes before and after the graph: the order of the inputs, the
    codes of categories, the calibration, the threshold. ``runtime`` is the one called ``onnx``.

    Errors: ``serving.no_graph``; ``serving.graph_unproved`` for a version without a sample;
    those of loading, ``serving.golden_differs`` among them.
    """
    digest = manifest.files.get(GRAPH)
    if digest is None:
        raise Invalid(
            "serving.no_graph",
            f"This version of {manifest.name} has no ONNX graph: {_why_none(manifest)}.",
            hint="Package it as a wheel or a container, which answer as it does in the workspace.",
            runtime=manifest.runtime,
        )
    if manifest.golden is None:
        raise Invalid(
            "serving.graph_unproved",
            f"This version of {manifest.name} has no sample of answers to hold its graph against.",
            hint="Register it again with a golden sample.",
        )
    check = _checked(manifest, read, runtime)
    graph = read(digest)
    (into / GRAPH).write_bytes(graph)
    (into / "signature.json").write_bytes(_json(_around(manifest)))
    (into / "check.json").write_bytes(_json({"graph": digest, **msgspec.to_builtins(check)}))
    return check


def _why_none(manifest: Manifest) -> str:
    """What was found when it was registered, where a graph was tried at all."""
    tried = [one for one in (manifest.plan.tried if manifest.plan else ()) if one.way == _RUNTIME]
    if tried:
        return f"the graph was refused when it was registered ({tried[0].why})"
    return f"its runtime is {manifest.runtime!r}, and none was registered beside it"


def _checked(manifest: Manifest, read: Callable[[Digest], bytes], runtime: Runtime) -> Check:
    """Loads the version's files with the graph's runtime, and answers the sample with them."""
    files = {path: read(digest) for path, digest in manifest.files.items()}
    golden = read_golden(files[str(manifest.golden)], manifest.signature)
    if manifest.runtime == _RUNTIME:
        model = load_model(manifest.digest, read, {_RUNTIME: runtime})
    else:
        loaded = runtime.load(files, manifest.signature)
        model = ServedModel(manifest, loaded, manifest.digest)
    answered = model.predict(golden_frame(golden, manifest.signature)).score
    gap = float(np.max(np.abs(answered - np.array(golden.score)), initial=0.0))
    if gap > golden.tolerance:
        raise Broken(
            "serving.golden_differs",
            f"The graph answers the stored sample up to {gap:.3g} off what the model answered.",
            hint="Package it as a wheel or a container.",
            largest_gap=gap,
            tolerance=golden.tolerance,
        )
    return Check(rows=golden.rows, largest_gap=gap, tolerance=golden.tolerance)


def _around(manifest: Manifest) -> dict[str, Any]:
    return {
        "model": manifest.name,
        "package": manifest.digest,
        "output": manifest.signature.output,
        "inputs": manifest.signature.inputs,
        "calibration": manifest.calibration,
        "threshold": manifest.decision.threshold if manifest.decision else None,
        "note": "Inputs in this order; a category as its place in the list, -1 for any other "
        "value or none; a missing number as NaN.",
    }


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"
