"""Nothing of a package is opened before it is known to be harmless."""

from __future__ import annotations

import io
import pickle
import zipfile

import msgspec
import numpy as np
import pytest

from mainspring.core.errors import Broken, Invalid
from mainspring.registry.manifest import Manifest
from mainspring.serving.model import load_model
from mainspring.serving.unsafe import refuse_unsafe


def zipped(entries, **how):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, **how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target.getvalue()


def array_of_objects():
    target = io.BytesIO()
    np.save(target, np.array([{}], dtype=object), allow_pickle=True)
    return target.getvalue()


class Mark:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


class Watching:
    """A runtime that notes whether it was given anything."""

    name = "linear"
    steady = True
    asked = False

    def load(self, files, signature, plan=None):
        Watching.asked = True
        raise AssertionError("it was handed an unsafe package")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["linear.json", "notes.txt", "sub/more.bin"])
def test_a_planted_pickle_stops_the_load_and_does_not_run(
    tmp_path, objects, package, protocol, where
):
    """Whatever it is called, and before the runtime is given a single file."""
    mark = tmp_path / "ran"
    planted = objects.put(pickle.dumps(Mark(str(mark)), protocol))
    manifest = msgspec.json.decode(objects.get(package()), type=Manifest)
    digest = package(files={**manifest.files, where: planted})
    with pytest.raises(Invalid) as raised:
        load_model(digest, objects.get, {"linear": Watching()})
    assert raised.value.code == "serving.package_unsafe"
    assert not mark.exists()
    assert not Watching.asked


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"model.pkl": b"(dp0\n."}, "serving.package_unsafe"),
        ({"sub/model.joblib": b"x"}, "serving.package_unsafe"),
        ({"a.npy": array_of_objects()}, "serving.package_unsafe"),
        ({"a.skops": zipped({"x.npy": array_of_objects()})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"x": pickle.dumps({})})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"../x": b"1"})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"/etc/x": b"1"})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"c:\\x": b"1"})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"zeros": bytes(50_000_000)})}, "serving.package_unsafe"),
        ({"a.skops": zipped({"x": b"1" * 1000})[:-30]}, "serving.package_unreadable"),
    ],
)
def test_unsafe_files_are_refused_with_a_code(files, code):
    """Pickles, arrays of objects, entries that climb out, bombs, and torn archives."""
    with pytest.raises(Invalid) as raised:
        refuse_unsafe(files)
    assert raised.value.code == code


def test_plain_files_are_let_through():
    """Text, JSON, arrays of numbers and archives of them are what packages are made of."""
    numbers = io.BytesIO()
    np.save(numbers, np.arange(3.0))
    files = {
        "model.txt": b"tree\n",
        "a.npy": numbers.getvalue(),
        "a.skops": zipped({"schema.json": b"{}" * 40_000, "x.npy": numbers.getvalue()}),
    }
    assert refuse_unsafe(files) is None


@pytest.mark.parametrize("path", ["../linear.json", "/linear.json", "a//b", ".git/x", "a\\..\\b"])
def test_a_manifest_that_names_a_place_outside_is_not_read(objects, runtimes, package, path):
    """A package's paths are checked when it is loaded too, not only when it is registered."""
    manifest = msgspec.json.decode(objects.get(package()), type=Manifest)
    digest = package(files={**manifest.files, path: next(iter(manifest.files.values()))})
    with pytest.raises(Broken) as raised:
        load_model(digest, objects.get, runtimes)
    assert raised.value.code == "serving.package_unreadable"
