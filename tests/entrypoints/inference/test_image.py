"""The image itself: built by buildah on a Debian root without an engine, started, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from packaged_models import packaged_context, rows_csv
from tests import needs

pytestmark = [pytest.mark.slow, pytest.mark.services]
READY_SECONDS = 120


def run(*words, **settings):
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    """Buildah with a storage of its own: no engine, no daemon, no kernel feature but chroot."""
    needs.program("buildah")
    needs.program("debootstrap")
    if os.geteuid() != 0:
        needs.without("A root user", "run it as root: debootstrap and chroot take one")
    place = tmp_path_factory.mktemp("images")
    where = ["--root", place / "storage", "--runroot", place / "run", "--storage-driver", "vfs"]

    def call(verb, *words, **settings):
        return run("buildah", *where, verb, *words, **settings)

    call.words = ["buildah", *map(str, where)]
    yield call
    call("rm", "--all")
    call("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    """An image of a bare Debian with Python, made from the mirror that this machine uses."""
    root = tmp_path_factory.mktemp("root")
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    suite = release["VERSION_CODENAME"].strip('"')
    run("debootstrap", "--variant=minbase", "--include=python3,python3-venv", suite, root)
    container = buildah("from", "scratch")
    buildah("add", container, root, "/")
    buildah("commit", "--rm", container, "debian-python")
    return "localhost/debian-python"


@pytest.fixture(scope="module")
def image(buildah, base, tmp_path_factory):
    """The build context of a model, built; and the scores that it must answer."""
    folder = tmp_path_factory.mktemp("packaged")
    context, scores = packaged_context(folder)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    lock = context / "requirements.txt"
    run(*pip, "--dest", context / "wheels", "--requirement", lock)
    build = ["--isolation", "chroot", "--build-arg", f"PYTHON={base}"]
    buildah("bud", *build, "--build-arg", "PIP_NO_INDEX=1", "--tag", "late", context)
    return "localhost/late", scores


def test_the_image_answers_and_ends_in_time(buildah, image):
    """Not as root, on its own entry point; exact answers; SIGTERM ends it within 30 seconds."""
    name, scores = image
    told = json.loads(buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
    assert told["User"] == "10001:10001"
    assert told["Entrypoint"] == ["mainspring"]
    assert told["Cmd"] == ["serve"]
    container = buildah("from", name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # chroot isolation shares the host's network, so the port is chosen; the rest is the image's.
    command = [*told["Entrypoint"], *told["Cmd"], "--host", "127.0.0.1", "--port", port]
    words = [*buildah.words, "run", "--isolation", "chroot", container, "--", *command]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        answer = ask(process, port)
        assert answer["predictions"] == scores.tolist()
        (inside,) = started(port)
        assert Path(f"/proc/{inside}/status").read_text().split("Uid:")[1].split()[0] == "10001"
        os.kill(inside, signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(30) == 0
        assert time.monotonic() - began < 30
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def test_what_the_image_holds_is_what_was_packaged(buildah, image):
    """No mainspring from elsewhere, nothing writable by the user but its state folder."""
    name, _ = image
    container = buildah("from", name)
    code = (
        "import importlib.metadata as m, os, json;"
        "print(json.dumps([m.version('mainspring'), os.access('/opt/ml/model', os.W_OK),"
        "os.access('/opt/mainspring', os.W_OK), os.access('/var/lib/mainspring', os.W_OK),"
        "sorted(d.name.lower() for d in m.distributions())]))"
    )
    said = buildah("run", "--isolation", "chroot", container, "--", "python3", "-c", code)
    _, model, code_folder, state, libraries = json.loads(said)
    assert (model, code_folder, state) == (False, False, True)
    assert not {"duckdb", "deltalake", "pandas", "scikit-learn"} & set(libraries)


def ask(process, port):
    """The answer to three rows, once it answers at all."""
    ended = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        while True:
            assert process.poll() is None, process.stderr.read()
            try:
                if client.get("/ping").status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < ended
        kind = {"Content-Type": "text/csv"}
        return client.post("/invocations", content=rows_csv(), headers=kind).json()


def started(port):
    """The processes of the image that serve at a port."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        words = place.read_bytes().split(b"\0")
        if b"serve" in words and port.encode() in words and words[0].endswith(b"python3"):
            yield int(place.parent.name)
