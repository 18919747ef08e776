"""The Kubernetes objects of a packaged model: valid offline, locked down, broken ones refused."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from schema_check import faults

from mainspring.core.errors import Invalid
from mainspring.registry.types import Version
from mainspring.serving.packaging.kserve import kserve_objects
from mainspring.serving.packaging.kubernetes import Wanted, objects
from mainspring.serving.packaging.manifests import write_manifests
from mainspring.serving.packaging.yaml import documents

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERSION = Version(
    name="late", number=3, model_id="m", registered_as="late/3", created=NOW, updated=NOW
)
PLAIN = Wanted(endpoint="late_orders", image="registry.example/late@sha256:" + "0" * 64)
FULL = Wanted(
    endpoint="late",
    image="late:3",
    namespace="models",
    token_secret="late-token",  # noqa: S106 - a Secret's name
    model_uri="s3://models/late/3",
)


@pytest.mark.parametrize("wanted", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("made", [objects, kserve_objects])
def test_every_object_is_what_its_schema_says(made, wanted):
    """Read back from the YAML that is written, none has an unknown field or a wrong type."""
    written = list(yaml.safe_load_all(documents(made(VERSION, wanted))))
    assert written == made(VERSION, wanted)
    assert [fault for one in written for fault in faults(one)] == []


def test_the_kinds_that_are_written(tmp_path):
    """Six kinds for plain Kubernetes, two for KServe, in two places: one of them is applied."""
    write_manifests(VERSION, FULL, tmp_path)
    plain = yaml.safe_load_all((tmp_path / "late.yaml").read_text())
    assert [one["kind"] for one in plain] == [
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceMonitor",
    ]
    kserve = yaml.safe_load_all((tmp_path / "kserve" / "late.yaml").read_text())
    assert [one["kind"] for one in kserve] == ["ServingRuntime", "InferenceService"]


def broken(change):
    made = {
        one["kind"]: copy.deepcopy(one)
        for one in [*objects(VERSION, FULL), *kserve_objects(VERSION, FULL)]
    }
    change(made)
    return [fault for one in made.values() for fault in faults(one)]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["Deployment"]["spec"].update(replicas="two"),
        lambda m: m["Deployment"]["spec"]["template"]["spec"].update(containers="gateway"),
        lambda m: m["Deployment"]["spec"]["template"]["spec"]["containers"][0].update(imagee="x"),
        lambda m: m["Deployment"]["spec"].pop("selector"),
        lambda m: m["Deployment"].update(apiVersion="apps/v2"),
        lambda m: m["HorizontalPodAutoscaler"]["spec"].pop("maxReplicas"),
        lambda m: m["NetworkPolicy"]["spec"]["ingress"][0].update(form=[]),
        lambda m: m["ServiceMonitor"]["spec"].update(endpoint=[]),
        lambda m: m["InferenceService"]["spec"]["predictor"]["model"].update(storageURI="x"),
        lambda m: m["InferenceService"]["spec"]["predictor"]["model"].pop("modelFormat"),
        lambda m: m["ServingRuntime"]["spec"].update(protocolVersions="v2"),
        lambda m: m["Service"].update(kind="Servise"),
    ],
)
def test_a_broken_manifest_is_refused(change):
    """A wrong type, a misspelt field, a missing one and an unknown kind are all found."""
    assert broken(lambda _: None) == []
    assert broken(change)


def test_pods_are_locked_down():
    """Not root, read-only, no capability, no token of the API, no variables of services."""
    pod = objects(VERSION, FULL)[0]["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (serving,) = pod["containers"]
    assert serving["securityContext"]["readOnlyRootFilesystem"] is True
    assert serving["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    written = {mount["mountPath"] for mount in serving["volumeMounts"]}
    assert written == {"/tmp", "/var/lib/mainspring"}  # noqa: S108 - volumes of the pod


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(endpoint="Late", image="late:3"),
        Wanted(endpoint="late", image="late:3\nkind: Pod"),
        Wanted(endpoint="late", image="late:3", namespace="a b"),
    ],
)
def test_names_that_cannot_stand_in_a_manifest(wanted, tmp_path):
    """They are refused before anything is written."""
    with pytest.raises(Invalid, match="cannot stand"):
        write_manifests(VERSION, wanted, tmp_path)
    assert not list(tmp_path.iterdir())


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20
)
plain = st.none() | st.booleans() | st.integers() | texts
trees = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(texts, trees, min_size=1, max_size=4))
def test_yaml_reads_back_as_it_was(value):
    """Whatever the texts are: 'yes', '1e3', '- a', '#', an empty one."""
    assert list(yaml.safe_load_all(documents([value, value]))) == [value, value]
