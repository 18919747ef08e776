"""A server of the MLflow wire on a folder: python mlflow_server.py FOLDER [PORT] [TOKEN]."""

from __future__ import annotations

import socket
import sys

from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.server import run_server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    folder, port, token = (*sys.argv[1:], "", "")[:3]
    run_server(open_workspace(folder), port=int(port or 0) or free_port(), token=token)
