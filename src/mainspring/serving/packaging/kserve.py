"""A packaged model as a KServe InferenceService on a ServingRuntime that is our image.

The model lies in the image, or KServe fetches it to ``/mnt/models``. Clients ask by the Open
Inference Protocol under the endpoint's name.
"""

from __future__ import annotations

from typing import Any, Final

from mainspring.registry.types import Version
from mainspring.serving.packaging.container import PORT, STATE_FOLDER
from mainspring.serving.packaging.kubernetes import (
    Document,
    Wanted,
    container,
    metadata,
    pod_settings,
)

FORMAT: Final = "mainspring"
_FETCHED: Final = "/mnt/models"


def kserve_objects(version: Version, wanted: Wanted) -> list[Document]:
    """The ServingRuntime and the InferenceService that uses it."""
    return [_runtime(version, wanted), _service(version, wanted)]


def _runtime(version: Version, wanted: Wanted) -> Document:
    folder = [_FETCHED] if wanted.model_uri else []
    runs = {
        "name": "kserve-container",
        **container(wanted, ["serve", *folder, "--state", STATE_FOLDER]),
    }
    pod = pod_settings()
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": metadata(version, wanted),
        "spec": {
            "annotations": {
                "prometheus.kserve.io/path": "/metrics",
                "prometheus.kserve.io/port": str(PORT),
            },
            "supportedModelFormats": [{"name": FORMAT, "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [runs],
            "volumes": pod["volumes"],
        },
    }


def _service(version: Version, wanted: Wanted) -> Document:
    model: dict[str, Any] = {
        "modelFormat": {"name": FORMAT, "version": "1"},
        "protocolVersion": "v2",
        "runtime": wanted.name,
    }
    if wanted.model_uri:
        model["storageUri"] = wanted.model_uri
    settings = {name: value for name, value in pod_settings().items() if name != "volumes"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(version, wanted),
        "spec": {"predictor": {"minReplicas": 2, **settings, "model": model}},
    }
