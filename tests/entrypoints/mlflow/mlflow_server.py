"""A server of the MLflow wire on a folder: python mlflow_server.py FOLDER [PORT] [TOKEN]."""

from __future__ import annotations

import sys

from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.server import run_server

if __name__ == "__main__":
    folder, port, token = (*sys.argv[1:], "", "")[:3]
    run_server(open_workspace(folder), port=int(port or 0), token=token)
