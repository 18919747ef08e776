#!/bin/sh
# Writes the exact, hashed sets of dependencies: the newest and the oldest that are allowed.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
options="--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra demo --extra onnx --extra convert --extra catboost --extra pandas --extra postgres --extra sign --extra tune --extra grpc --extra otel --group dev"
$uv pip compile $options --upgrade pyproject.toml -o constraints/newest.txt
$uv pip compile $options --upgrade --resolution lowest-direct pyproject.toml -o constraints/oldest.txt
