from __future__ import annotations

import json
import socket

import pytest
from wire import Wire

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def test_names_are_kept_as_they_are(wire: Wire) -> None:
    """A name with a percent sign, a space or an umlaut comes back as it was sent."""
    run_id = wire.new_run()
    root = f"0/{run_id}/artifacts"
    for sent, kept in (
        ("per%2520cent", "per%20cent"),
        ("a%20b", "a b"),
        ("gr%C3%B6%C3%9Fe", "größe"),
    ):
        assert wire.http.put(f"{PROXY}/{root}/{sent}", content=b"").status_code == 200
        listed = wire.get("artifacts/list", run_id=run_id)
        assert {"path": kept, "is_dir": False, "file_size": 0} in listed["files"]
        assert wire.http.get(f"{PROXY}/{root}/{sent}").status_code == 200
    assert listed["root_uri"] == f"mlflow-artifacts:/{root}"
    by_proxy = wire.http.get(PROXY, params={"path": root}).json()["files"]
    assert {f["path"] for f in by_proxy} == {"per%20cent", "a b", "größe"}


def test_files_travel_whole(wire: Wire) -> None:
    """Small and large files come back byte for byte, as a download."""
    root = f"0/{wire.new_run()}/artifacts"
    for size in (0, 1, 1 << 20, (3 << 20) + 7):
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert wire.http.put(f"{PROXY}/{root}/dir/f{size}", content=data).json() == {}
        answer = wire.http.get(f"{PROXY}/{root}/dir/f{size}")
        assert answer.content == data
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert wire.http.delete(f"{PROXY}/{root}/dir").status_code == 200
    assert wire.http.get(f"{PROXY}/{root}/dir/f1").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/x",
        "a/%2e%2e/%2e%2e/b",
        "a%5c..%5cb",
        "a%00b",
        "a%0ab",
        "%ff",
        "a//b",
        "%2fetc",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_paths_that_climb_are_refused(wire: Wire, path: str, method: str) -> None:
    """No way out of the tree, on any method, however it is encoded."""
    host, port = wire.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"{method} {PROXY}/{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        status = int(connection.recv(4096).split()[1])
    assert status == 400


def test_a_torn_upload_is_not_an_artifact(wire: Wire) -> None:
    """A client that goes away in the middle leaves nothing, declared length or chunks."""
    host, port = wire.address.removeprefix("http://").split(":")
    for name, head, part in (
        ("declared", "Content-Length: 1000", b"x" * 10),
        ("chunked", "Transfer-Encoding: chunked", b"a\r\nxxxxxxxxxx\r\n"),
    ):
        path = f"{PROXY}/0/torn/{name}"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode() + part
            )
        for _ in range(50):
            assert wire.http.get(path).status_code == 404


def test_get_artifact_serves_pages_and_evaluation(wire: Wire) -> None:
    """``/get-artifact`` finds a run's file by path."""
    run_id = wire.new_run()
    wire.http.put(f"{PROXY}/0/{run_id}/artifacts/x.json", content=b"[1]")
    found = wire.http.get("/get-artifact", params={"run_id": run_id, "path": "x.json"})
    assert json.loads(found.content) == [1]
    for path in ("../x.json", "/x.json", "nothing"):
        answer = wire.http.get("/get-artifact", params={"run_id": run_id, "path": path})
        assert answer.status_code in {400, 404}


def test_foreign_locations_are_not_followed(wire: Wire) -> None:
    """An experiment on another store is listed by its client; the server opens nothing."""
    made = wire.post("experiments/create", name="away", artifact_location="file:///etc")
    run_id = wire.new_run(experiment_id=made["experiment_id"])
    assert wire.refused(f"artifacts/list?run_id={run_id}", method="GET")[0] == 400
    answer = wire.http.get("/get-artifact", params={"run_id": run_id, "path": "passwd"})
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["a%E2%80%AEb", "a%E2%81%A6b", "a%1Bb", "a%00b", "a%0Ab"])
def test_names_that_show_as_others_are_refused(wire: Wire, name: str) -> None:
    """Letters that turn the text around or control a terminal are in no file's name."""
    answer = wire.http.put(f"/api/2.0/mlflow-artifacts/artifacts/{name}", content=b"x")
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_dataset_has_a_name_that_can_be_shown(wire: Wire) -> None:
    """A dataset's name is refused like any other; its source may hold what it likes."""
    run_id = wire.new_run()
    dataset = {"name": "a\u202eb", "digest": "d", "source_type": "s", "source": "x"}
    fields = {"run_id": run_id, "datasets": [{"dataset": dataset}]}
    assert wire.refused("runs/log-inputs", fields) == (400, "INVALID_PARAMETER_VALUE")
    assert "dataset_inputs" not in wire.run(run_id).get("inputs", {})
