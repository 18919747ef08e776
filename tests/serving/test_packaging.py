"""Models taken out of the house."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import msgspec
import pytest

from mainspring.core.errors import Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.model import load_model
from mainspring.serving.packaging.container import build_context
from mainspring.serving.packaging.wheel import build_wheel
from mainspring.serving.routes import read_routes
from mainspring.serving.traffic import Route, RouteTable, Variant
from mainspring.testing.objects import MemoryObjects


@pytest.fixture
def manifest(objects, package):
    return msgspec.json.decode(objects.get(package()), type=Manifest)


def test_a_wheel_installs_and_predicts(tmp_path, objects, runtimes, manifest):
    """Pip takes the wheel, and the installed module answers as the model does."""
    wheel = build_wheel(manifest, objects.get, version="3", into=tmp_path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
    target = tmp_path / "site"
    subprocess.run([*pip, "--no-index", "-q", "--target", str(target), str(wheel)], check=True)
    code = (
        "import json, late_model as m;"
        "a = m.predict({'miles': [3.0, None], 'carrier': ['UA', None]});"
        "print(json.dumps([m.VERSION, a['score'].tolist(), a['decision'].tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=target, capture_output=True, check=True, text=True
    )
    version, score, decision = json.loads(done.stdout)
    model = load_model(manifest.digest, objects.get, runtimes)
    expected = model.score(model.encode(_rows(), 2))
    assert (version, score, decision) == ("3", expected.score.tolist(), expected.decision.tolist())


def _rows():
    import numpy as np

    return {"miles": np.array([3.0, np.nan]), "carrier": np.array(["UA", None], object)}


def test_the_same_package_gives_the_same_wheel(tmp_path, objects, manifest):
    """Byte for byte, and it says what it needs."""
    (tmp_path / "a").mkdir()
    one = build_wheel(manifest, objects.get, version="3", into=tmp_path)
    two = build_wheel(manifest, objects.get, version="3", into=tmp_path / "a")
    assert one.read_bytes() == two.read_bytes()
    metadata = zipfile.ZipFile(one).read("late_model-3.dist-info/METADATA").decode()
    assert "Requires-Dist: mainspring==" in metadata
    with pytest.raises(Invalid):
        build_wheel(manifest, objects.get, version="3; rm", into=tmp_path)


def test_a_container_has_all_that_its_routes_name(tmp_path, objects, runtimes, package):
    """Every package is in the context, loads from there alone, and no secret comes along."""
    one, two = package(), package(constant=0.5)
    variants = (
        Variant(name="champion", model=one, version="1"),
        Variant(name="next", model=two, version="2", role="canary", share=0.1),
    )
    table = RouteTable().with_route("late", Route(variants=variants))
    inside = MemoryObjects()
    context = build_context(table, objects, inside, tmp_path)
    restored = read_routes(context / "workspace" / "serving")
    for variant in restored.route("late").variants:
        assert load_model(variant.model, inside.get, runtimes).digest == variant.model
    dockerfile = (context / "Dockerfile").read_text()
    assert "USER 10001" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    assert "control.token" in (context / ".dockerignore").read_text()
    assert (context / "requirements.txt").read_text().startswith("mainspring==")
