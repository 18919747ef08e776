"""Writes deploy/schemas/*.json: what our manifests are checked against, offline.

    pip install --target FOLDER --no-deps kubernetes-validate kserve
    python scripts/kubernetes_schemas.py FOLDER

Trimmed to the kinds that we write, without descriptions, and closed: a field that is not in the
schema is refused. Both sources are under Apache-2.0 (deploy/schemas/NOTICE).
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

RELEASE = "v1.37.0-local-strict"
KINDS = {
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "Ingress": "io.k8s.api.networking.v1.Ingress",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "Secret": "io.k8s.api.core.v1.Secret",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}
KSERVE = {
    "InferenceService": ("V1beta1InferenceService", "serving.kserve.io/v1beta1"),
    "ServingRuntime": ("V1alpha1ServingRuntime", "serving.kserve.io/v1alpha1"),
}
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
OPENED = re.compile(r"(list|dict)[\[(](?:str, ?)?(.+?)[\])]\Z")
OUT = Path(__file__).parents[1] / "deploy" / "schemas"


def main(folder: Path) -> None:
    """Writes both files."""
    schemas = folder / "kubernetes_validate" / "kubernetes-json-schema" / RELEASE
    known = json.loads((schemas / "_definitions.json").read_text("utf-8"))["$defs"]
    models = KserveModels(folder / "kserve" / "models", known)
    for kind, (name, api) in KSERVE.items():
        models.add(kind, name, api)
    OUT.mkdir(parents=True, exist_ok=True)
    write("kubernetes", KINDS, closure(list(KINDS.values()), known))
    wanted = {**known, **models.found}
    roots = {kind: f"kserve.{name}" for kind, (name, _) in KSERVE.items()}
    write("kserve", roots, closure(list(roots.values()), wanted))


def write(name: str, kinds: dict[str, str], definitions: dict[str, Any]) -> None:
    document = {"kinds": kinds, "definitions": definitions}
    (OUT / f"{name}.json").write_text(json.dumps(document, sort_keys=True) + "\n", "utf-8")


def closure(roots: list[str], known: dict[str, Any]) -> dict[str, Any]:
    """The definitions that the roots reach, trimmed."""
    found: dict[str, Any] = {}
    while roots:
        name = roots.pop()
        if name not in found:
            found[name] = trimmed(known[name])
            roots += re.findall(r'"#/definitions/([^"]+)"', json.dumps(found[name]))
    return found


def trimmed(schema: Any) -> Any:
    """A schema without words, whose objects take the fields that they name and no others."""
    if isinstance(schema, list):
        return [trimmed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: {name: trimmed(inner) for name, inner in value.items()}
        if key == "properties"
        else trimmed(value)
        for key, value in schema.items()
        if (
            key == "properties"
            or not isinstance(value, str)
            or key in {"$ref", "type", "pattern", "format"}
        )
        and not key.startswith("x-")
    }
    if isinstance(kept.get("$ref"), str):
        kept["$ref"] = "#/definitions/" + kept["$ref"].rpartition("/")[2]
    if "properties" in kept and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


class KserveModels:
    """Schemas out of the classes that KServe generates from its own OpenAPI document."""

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self.folder = folder
        self.short = {
            name.rpartition(".")[2]: name
            for name in sorted(known, key=lambda one: not one.startswith("io.k8s.api.core.v1"))[
                ::-1
            ]
        }
        self.found: dict[str, Any] = {}

    def add(self, kind: str, name: str, api: str) -> None:
        """A kind and all that it is made of."""
        self.schema(name)
        top = self.found[f"kserve.{name}"]
        top["properties"] |= {"apiVersion": {"enum": [api]}, "kind": {"enum": [kind]}}
        top["required"] = ["apiVersion", "kind", "metadata", "spec"]

    def schema(self, name: str) -> dict[str, Any]:
        """A reference to the schema of a class, ours or Kubernetes's; anything for neither."""
        path = self.folder / f"{snake(name)}.py"
        if not path.is_file():
            core = self.short.get(name.removeprefix("V1"))
            return {"$ref": f"#/definitions/{core}"} if core else {}
        full = f"kserve.{name}"
        if full not in self.found:
            self.found[full] = {"type": "object", "properties": {}}
            text = path.read_text("utf-8")
            types, names = literal(text, "openapi_types"), literal(text, "attribute_map")
            properties = {names[one]: self.type(kind) for one, kind in types.items()}
            required = re.findall(r"and (\w+) is None", text)
            self.found[full]["properties"] = properties
            if required:
                self.found[full]["required"] = sorted(names[one] for one in required)
        return {"$ref": f"#/definitions/{full}"}

    def type(self, text: str) -> dict[str, Any]:
        """The schema of a type as the classes name it."""
        opened = OPENED.match(text)
        if opened and opened[1] == "list":
            return {"type": "array", "items": self.type(opened[2])}
        if opened:
            return {"type": "object", "additionalProperties": self.type(opened[2])}
        if text in PLAIN:
            return {"type": PLAIN[text]}
        return {} if text in {"object", "IntOrString", "ResourceQuantity"} else self.schema(text)


def literal(text: str, name: str) -> dict[str, str]:
    """A dictionary that a class body assigns."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    return {}


def snake(name: str) -> str:
    """``V1beta1ModelSpec`` as its file is called."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
