"""The chart of the platform, rendered: by Helm where it is, else by the engine that Helm uses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from schema_check import faults
from tests import needs

from mainspring._entrypoints.cli import build_parser
from mainspring.core.settings import SETTINGS

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "mainspring"
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
MANY = {
    "settings": {"database": "postgresql://late@db/late", "online": "redis://cache"},
    "settingsSecret": "addresses",
    "environmentSecrets": ["aws"],
    "imagePullSecrets": ["pull"],
    "persistence": {"accessMode": "ReadWriteMany", "storageClass": "nfs", "size": "1Ti"},
    "server": {"names": ["ml.example"]},
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"egressPorts": [5432]},
}


def value_faults(values):
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(values)]


def test_the_values_are_what_their_schema_says():
    """The defaults are valid; a misspelt, mistyped or impossible value is not."""
    Draft7Validator.check_schema(SCHEMA)
    assert value_faults(VALUES) == []
    for wrong in (
        {"imagee": {}},
        {"tokenSecret": ""},
        {"persistence": {"size": 20}},
        {"settings": {"database": "mysql://db"}},
        {"gateway": {"lingerSeconds": "5"}},
        {"networkPolicy": {"egressPorts": [0]}},
    ):
        assert value_faults({**VALUES, **wrong}), wrong


def test_its_settings_are_ours():
    """Every setting that the chart can set exists."""
    assert set(VALUES["settings"]) <= {setting.name for setting in SETTINGS}


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    """Renders the chart with values, as the objects that would be sent to a cluster."""
    folder = tmp_path_factory.mktemp("render")
    helm = shutil.which("helm")
    program = folder / "render"
    if helm is None:
        go = needs.program("go")
        if not Path("/usr/share/gocode/src/github.com/Masterminds/sprig").exists():
            needs.without("sprig", "apt-get install golang-github-masterminds-sprig-dev")
        debian = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(folder / "c")}
        source = Path(__file__).with_name("render.go")
        words = [go, "build", "-o", str(program), str(source)]
        subprocess.run(words, check=True, env={**os.environ, **debian}, timeout=300)

    def call(values, release="ms", namespace="prod"):
        given = folder / "values.json"
        given.write_text(json.dumps(values))
        words = [str(program), str(CHART), release, namespace, json.dumps(values)]
        if helm is not None:
            words = [helm, "template", release, str(CHART), "-n", namespace, "-f", str(given)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return call


rendered = pytest.mark.services


@rendered
@pytest.mark.parametrize("values", [{}, MANY], ids=["defaults", "many"])
def test_what_is_rendered_is_what_the_schemas_say(render, values):
    """Every object is valid, and all refer to names that are there."""
    objects = render(values)
    assert [fault for one in objects for fault in faults(one)] == []
    kinds = [one["kind"] for one in objects]
    assert kinds.count("Deployment") == 3
    assert kinds.count("Service") == 2
    assert kinds.count("PersistentVolumeClaim") == 1
    assert kinds.count("ServiceMonitor") == (2 if values else 0)
    assert kinds.count("NetworkPolicy") == 3
    (claim,) = [one for one in objects if one["kind"] == "PersistentVolumeClaim"]
    labels = [pod(one)["labels"] for one in objects if one["kind"] == "Deployment"]
    for one in objects:
        assert one["metadata"]["namespace"] == "prod"
        if one["kind"] == "Deployment":
            volume = one["spec"]["template"]["spec"]["volumes"][0]
            assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
            assert one["spec"]["selector"]["matchLabels"].items() <= pod(one)["labels"].items()
        if one["kind"] == "Service":
            assert sum(one["spec"]["selector"].items() <= each.items() for each in labels) == 1


def pod(deployment):
    return deployment["spec"]["template"]["metadata"]


@rendered
def test_every_container_is_locked_down_and_its_arguments_are_ours(render):
    """Not root, a read-only root, no capability; and the command line takes what it is given."""
    for one in render(MANY):
        if one["kind"] != "Deployment":
            continue
        spec = one["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["enableServiceLinks"] is False
        (container,) = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        noun = one["metadata"]["labels"]["app.kubernetes.io/component"]
        assert build_parser(noun).parse_args(container["args"]).noun == noun
        given = {entry["name"]: entry for entry in container["env"]}
        assert given["MAINSPRING_TOKEN"]["valueFrom"]["secretKeyRef"]["key"] == "token"
        assert given["MAINSPRING_DATABASE"]["value"] == "postgresql://late@db/late"
        assert given["MAINSPRING_OBJECTS"]["valueFrom"]["secretKeyRef"]["name"] == "addresses"
        assert not set(given) - {setting.variable for setting in SETTINGS}


@rendered
def test_parts_are_left_out_when_they_are_given(render):
    """An existing claim is used and not made; without policies and monitors there are none."""
    values = {
        "persistence": {"existingClaim": "mine"},
        "networkPolicy": {"enabled": False},
    }
    objects = render(values, release="late")
    assert sorted(one["kind"] for one in objects) == ["Deployment"] * 3 + ["Service"] * 2
    names = {one["metadata"]["name"] for one in objects}
    assert names == {"late-mainspring-server", "late-mainspring-worker", "late-mainspring-gateway"}
