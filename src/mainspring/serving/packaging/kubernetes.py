"""A packaged model as Kubernetes objects: it runs the image that its build context makes.

Pods run as user 10001 on a read-only root without any capability, reach nothing, and are reached by
pods with the label ``mainspring.client: "true"``, and by Prometheus in the namespace
``monitoring``. ``enableServiceLinks`` is off: a service called ``mainspring`` would otherwise put
variables like ``MAINSPRING_PORT`` into the environment, which are no settings of ours.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from mainspring.core.errors import Invalid
from mainspring.registry.types import Version
from mainspring.serving.packaging.container import PORT, STATE_FOLDER, USER

_DNS: Final = re.compile(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?\Z")
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]*\Z")
_LABEL: Final = "app.kubernetes.io/"
Document = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How a version is to run. ``model_uri`` is where KServe fetches the folder ``model`` from."""

    endpoint: str
    image: str
    namespace: str | None = None
    token_secret: str | None = None
    model_uri: str | None = None

    @property
    def name(self) -> str:
        """What its objects are called: the endpoint, as a DNS label."""
        return self.endpoint.replace("_", "-")


def objects(version: Version, wanted: Wanted) -> list[Document]:
    """Deployment, Service, autoscaler, disruption budget, network policy, ServiceMonitor."""
    return [
        _deployment(version, wanted),
        _service(version, wanted),
        _autoscaler(version, wanted),
        _budget(version, wanted),
        _network(version, wanted),
        _monitor(version, wanted),
    ]


def check(wanted: Wanted) -> None:
    """Nothing, or an error: names and image can stand in a manifest."""
    names = [wanted.name, *(one for one in (wanted.namespace, wanted.token_secret) if one)]
    wrong = [name for name in names if not _DNS.match(name)]
    if not _IMAGE.match(wanted.image):
        wrong.append(wanted.image)
    if wrong:
        raise Invalid(
            "serving.bad_manifest_name",
            f"{wrong[0][:80]!r} cannot stand in a manifest.",
            hint="Names are lower-case letters, digits and '-'; an image is REGISTRY/NAME:TAG.",
            name=wrong[0][:80],
        )


def metadata(version: Version, wanted: Wanted, **more: Any) -> Document:
    """Name, namespace and labels of an object."""
    found: Document = {"name": wanted.name}
    if wanted.namespace:
        found["namespace"] = wanted.namespace
    return {**found, "labels": labels(version, wanted), **more}


def labels(version: Version, wanted: Wanted) -> dict[str, str]:
    """The recommended labels, and which model version it is."""
    return {
        **_selector(wanted),
        f"{_LABEL}version": str(version.number),
        f"{_LABEL}managed-by": "mainspring",
    }


def container(wanted: Wanted, arguments: list[str]) -> Document:
    """What both kinds of pod run, without its name."""
    found: Document = {
        "image": wanted.image,
        "args": arguments,
        "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "startupProbe": _probe("/ping", period=1, failures=60),
        "readinessProbe": _probe("/ping", period=5, failures=2),
        "livenessProbe": _probe("/health", period=10, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": STATE_FOLDER},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - in the pod, a volume of its own
        ],
    }
    if wanted.token_secret:
        key = {"name": wanted.token_secret, "key": "token"}
        found["env"] = [{"name": "MAINSPRING_TOKEN", "valueFrom": {"secretKeyRef": key}}]
    return found


def pod_settings() -> Document:
    """What both kinds of pod have beside their container."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "state", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


# -- inside -----------------------------------------------------------------------------------


def _selector(wanted: Wanted) -> dict[str, str]:
    return {f"{_LABEL}name": "mainspring-model", f"{_LABEL}instance": wanted.name}


def _probe(path: str, *, period: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": PORT},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _object(kind: str, api: str, version: Version, wanted: Wanted, spec: Document) -> Document:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": metadata(version, wanted),
        "spec": spec,
    }


def _deployment(version: Version, wanted: Wanted) -> Document:
    selector = {"matchLabels": _selector(wanted)}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    # The pause lets proxies take the pod out before it stops listening.
    pause = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    serving = {
        "name": "gateway",
        **container(wanted, ["serve", "--state", STATE_FOLDER]),
        "lifecycle": pause,
    }
    pod = {**pod_settings(), "topologySpreadConstraints": [spread], "containers": [serving]}
    spec = {
        "selector": selector,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "template": {"metadata": {"labels": labels(version, wanted)}, "spec": pod},
    }
    return _object("Deployment", "apps/v1", version, wanted, spec)


def _service(version: Version, wanted: Wanted) -> Document:
    port = {"name": "http1", "port": 80, "targetPort": "http1", "protocol": "TCP"}
    spec = {"type": "ClusterIP", "selector": _selector(wanted), "ports": [port]}
    return _object("Service", "v1", version, wanted, spec)


def _autoscaler(version: Version, wanted: Wanted) -> Document:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": wanted.name},
        "minReplicas": 2,
        "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return _object("HorizontalPodAutoscaler", "autoscaling/v2", version, wanted, spec)


def _budget(version: Version, wanted: Wanted) -> Document:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(wanted)}}
    return _object("PodDisruptionBudget", "policy/v1", version, wanted, spec)


def _network(version: Version, wanted: Wanted) -> Document:
    clients = {"podSelector": {"matchLabels": {"mainspring.client": "true"}}}
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {f"{_LABEL}name": "prometheus"}},
    }
    spec = {
        "podSelector": {"matchLabels": _selector(wanted)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [clients, prometheus], "ports": [{"protocol": "TCP", "port": PORT}]}],
        "egress": [],
    }
    return _object("NetworkPolicy", "networking.k8s.io/v1", version, wanted, spec)


def _monitor(version: Version, wanted: Wanted) -> Document:
    endpoint: Document = {"port": "http1", "path": "/metrics", "interval": "30s"}
    if wanted.token_secret:
        secret = {"name": wanted.token_secret, "key": "token"}
        endpoint["authorization"] = {"type": "Bearer", "credentials": secret}
    spec = {"selector": {"matchLabels": _selector(wanted)}, "endpoints": [endpoint]}
    return _object("ServiceMonitor", "monitoring.coreos.com/v1", version, wanted, spec)
