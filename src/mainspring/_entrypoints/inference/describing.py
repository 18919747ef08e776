"""What a gateway tells of itself and of its endpoints, as plain documents for every wire.

Source: Open Inference Protocol (server and model metadata); Triton's extensions for the model
repository, the model configuration and statistics, as its clients read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mainspring import __version__
from mainspring._entrypoints._http.messages import decode_json
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.metrics import Snapshot
from mainspring.serving.live import LiveEndpoint
from mainspring.serving.model import ServedModel
from mainspring.serving.traffic import Route

EXTENSIONS: Final = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
    "mainspring_prediction_records",
)
Document = dict[str, Any]


def server_metadata() -> Document:
    """Name, version and extensions of the server."""
    return {"name": "mainspring", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(endpoint: LiveEndpoint) -> Document:
    """Inputs and outputs of an endpoint; -1 stands for any number of rows."""
    return {
        "name": endpoint.name,
        "versions": _versions(endpoint),
        "platform": f"mainspring_{endpoint.champion.model.manifest.runtime}",
        "inputs": [
            {"name": name, "datatype": "FP64" if kind == "number" else "BYTES", "shape": [-1]}
            for name, kind in endpoint.inputs.items()
        ],
        "outputs": _output_metadata(endpoint),
    }


def model_config(endpoint: LiveEndpoint) -> Document:
    """The endpoint in the words of Triton's model configuration."""
    return {
        "name": endpoint.name,
        "platform": f"mainspring_{endpoint.champion.model.manifest.runtime}",
        "backend": "mainspring",
        "max_batch_size": 0,
        "input": [
            {
                "name": name,
                "data_type": "TYPE_FP64" if kind == "number" else "TYPE_STRING",
                "dims": [-1],
            }
            for name, kind in endpoint.inputs.items()
        ],
        "output": [
            {
                "name": output["name"],
                "data_type": _CONFIG_TYPES[output["datatype"]],
                "dims": [-1],
            }
            for output in _output_metadata(endpoint)
        ],
    }


def model_statistics(
    endpoints: Sequence[LiveEndpoint], counted: Snapshot, only: str | None = None
) -> Document:
    """Counts and times per endpoint and version since the gateway started; ``only``: a version."""
    return {
        "model_stats": [
            {
                "name": endpoint.name,
                "version": version,
                "inference_count": rows,
                "execution_count": requests,
                "inference_stats": {"success": {"count": requests, "ns": nanoseconds}},
            }
            for endpoint in endpoints
            for version, requests, rows, nanoseconds in counted.statistics(endpoint.name)
            if only in {None, version}
        ]
    }


class _Index(msgspec.Struct):
    ready: bool = False


_index = msgspec.json.Decoder(_Index)


def wants_ready(body: bytes) -> bool:
    """Whether a request for the index asks for what is ready only; clients may send no body.

    Errors: ``http.bad_json``.
    """
    return bool(body.strip()) and decode_json(_index, body).ready


def repository_index(
    fleet: Fleet, unloaded: Mapping[str, Route], *, ready: bool = False
) -> list[Document]:
    """Every endpoint and version with its state; ``ready``: of those in service alone."""
    served = [
        {
            "name": name,
            "version": variant.version,
            "state": "READY" if name in fleet.endpoints else "LOADING",
            "reason": "",
        }
        for name, route in fleet.table.routes.items()
        if name in fleet.endpoints or not ready
        for variant in route.variants
    ]
    return served if ready else served + _unloaded(unloaded)


def _unloaded(routes: Mapping[str, Route]) -> list[Document]:
    return [
        {
            "name": name,
            "version": variant.version,
            "state": "UNAVAILABLE",
            "reason": "unloaded",
        }
        for name, route in routes.items()
        for variant in route.variants
    ]


_CONFIG_TYPES: Final = {"FP64": "TYPE_FP64", "BOOL": "TYPE_BOOL", "BYTES": "TYPE_STRING"}


def decides(model: ServedModel) -> bool:
    """Whether a model's answers have decisions."""
    return model.manifest.decision is not None or model.policy is not None


def _versions(endpoint: LiveEndpoint) -> list[str]:
    return list(dict.fromkeys(variant.version for variant in endpoint.route.variants))


def _output_metadata(endpoint: LiveEndpoint) -> list[dict[str, Any]]:
    outputs = [{"name": "score", "datatype": "FP64", "shape": [-1]}]
    if all(decides(live.model) for live in endpoint.answering):
        outputs.append({"name": "decision", "datatype": "BOOL", "shape": [-1]})
    return outputs
