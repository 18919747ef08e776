"""Models taken out of the house."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import msgspec
import numpy as np
import pytest

from mainspring.core.errors import Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.model import load_model
from mainspring.serving.packaging.container import build_context, requirements
from mainspring.serving.packaging.needs import closure, hashed
from mainspring.serving.packaging.onnx import build_onnx
from mainspring.serving.packaging.wheel import build_wheel
from mainspring.serving.routes import read_routes
from mainspring.serving.traffic import Route, RouteTable, Variant
from mainspring.testing.objects import MemoryObjects

# What an application sees in which Mainspring cannot be imported at all.
ALONE = "import sys; sys.modules['mainspring'] = None; "


@pytest.fixture
def manifest(objects, package):
    return msgspec.json.decode(objects.get(package()), type=Manifest)


@pytest.fixture
def wheel(tmp_path, objects, runtimes, manifest):
    return build_wheel(
        manifest, objects.get, runtime=runtimes["linear"], version="3", into=tmp_path
    )


@pytest.fixture
def installed(tmp_path, wheel):
    """Runs a program where the wheel is installed and Mainspring is not."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
    target = tmp_path / "site"
    subprocess.run([*pip, "--no-index", "-q", "--target", str(target), str(wheel)], check=True)

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", ALONE + code],
            cwd=target,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_wheel_answers_to_the_bit_without_mainspring(installed, objects, runtimes, manifest):
    """Pip takes the wheel; where Mainspring cannot be imported it answers as the model does."""
    version, score, decision, names = installed(
        "import json, late_model as m;"
        "a = m.predict({'miles': [3.0, None], 'carrier': ['UA', None]});"
        "print(json.dumps([m.VERSION, a['score'].tolist(), a['decision'].tolist(),"
        " [c.name for c in m.signature().inputs]]))"
    )
    model = load_model(manifest.digest, objects.get, runtimes)
    rows = {"miles": np.array([3.0, np.nan]), "carrier": np.array(["UA", None], object)}
    expected = model.predict(rows)
    assert (version, score, decision) == ("3", expected.score.tolist(), expected.decision.tolist())
    assert names == ["miles", "carrier"]


@pytest.mark.parametrize(
    "rows", ["{'miles': [1.0]}", "{'miles': [1.0], 'carrier': []}", "{'miles': 1, 'carrier': 'UA'}"]
)
def test_a_wheel_says_what_is_wrong_with_the_rows(installed, rows):
    """Missing inputs, ragged columns and single values are refused as ValueErrors, in words."""
    code = (
        "import json, late_model as m\n"
        f"try:\n    m.predict({rows})\nexcept ValueError as error:\n"
        "    print(json.dumps(error.code))"
    )
    assert installed(code) == "serving.bad_rows"


def test_the_same_package_gives_the_same_wheel(tmp_path, objects, runtimes, manifest, wheel):
    """Byte for byte; it pins what it needs and carries our licence."""
    again = tmp_path / "again"
    again.mkdir()
    other = build_wheel(manifest, objects.get, runtime=runtimes["linear"], version="3", into=again)
    assert wheel.read_bytes() == other.read_bytes()
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read("late_model-3.dist-info/METADATA").decode()
    assert f"Requires-Dist: numpy=={np.__version__}\n" in metadata
    assert "Requires-Dist: mainspring" not in metadata
    assert b"Apache License" in archive.read("late_model-3.dist-info/licenses/LICENSE")


def test_what_gives_no_wheel(tmp_path, objects, runtimes, package, manifest):
    """A version or a name that is none, and a damaged package, are refused; nothing is written."""
    with pytest.raises(Invalid, match="version of a wheel"):
        build_wheel(
            manifest, objects.get, runtime=runtimes["linear"], version="3; rm", into=tmp_path
        )
    odd = msgspec.json.decode(objects.get(package(name="über model")), type=Manifest)
    with pytest.raises(Invalid, match="Python module"):
        build_wheel(odd, objects.get, runtime=runtimes["linear"], version="1", into=tmp_path)
    wrong = msgspec.json.decode(objects.get(package(golden=[0.5, 0.5])), type=Manifest)
    with pytest.raises(RuntimeError, match="golden sample"):
        build_wheel(wrong, objects.get, runtime=runtimes["linear"], version="1", into=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_container_has_all_that_its_routes_name(tmp_path, objects, runtimes, package):
    """Every package is in the context, loads from there alone, and every need is exact."""
    one, two = package(), package(constant=0.5)
    variants = (
        Variant(name="champion", model=one, version="1"),
        Variant(name="next", model=two, version="2", role="canary", share=0.1),
    )
    table = RouteTable().with_route("late", Route(variants=variants))
    inside = MemoryObjects()
    (tmp_path / "model").mkdir()
    context = build_context(table, objects, inside, tmp_path)
    restored = read_routes(context / "model")
    for variant in restored.route("late").variants:
        assert load_model(variant.model, inside.get, runtimes).digest == variant.model
    dockerfile = (context / "Dockerfile").read_text()
    assert "USER 10001:10001" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    lines = (context / "requirements.txt").read_text().split()
    assert all("==" in line for line in lines)
    assert {line.partition("==")[0] for line in lines} >= {"httptools", "msgspec", "numpy"}
    (house,) = (context / "wheels").iterdir()
    names = zipfile.ZipFile(house).namelist()
    assert "mainspring/_entrypoints/inference/packaged.py" in names
    assert not [name for name in names if "__pycache__" in name]
    for path in (context / "model").rglob("*"):
        assert path.stat().st_mode & 0o444 == 0o444


def test_needs_are_closed_exact_and_hashed():
    """What a library needs comes along; the C library of a booster comes alone; a lock must fit."""
    assert {"jinja2", "markupsafe"} <= set(closure(["jinja2"]))
    assert not [one for one in requirements({"lightgbm"}) if one.startswith("scipy")]
    lock = "click==8.5.1 \\\n    --hash=sha256:aa\nnumpy==2.4.6 \\\n    --hash=sha256:bb\n"
    assert hashed(["numpy==2.4.6"], lock) == ["numpy==2.4.6 \\\n    --hash=sha256:bb"]
    with pytest.raises(Invalid, match="no hashes"):
        hashed(["numpy==2.4.5"], lock)
    with pytest.raises(Invalid, match="cannot leave"):
        requirements({"mlflow"})


def test_a_version_without_a_graph_says_why(tmp_path, objects, runtimes, manifest):
    """No graph is made up for a version that was registered without one."""
    with pytest.raises(Invalid, match="has no ONNX graph: its runtime is 'linear'"):
        build_onnx(manifest, objects.get, runtime=runtimes["linear"], into=tmp_path)
