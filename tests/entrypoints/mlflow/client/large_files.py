# ruff: noqa: T201
"""A large artifact in parts by the real MLflow client: python large_files.py URI TOKEN PID."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

MEGABYTE = 1 << 20
os.environ |= {
    "MLFLOW_TRACKING_TOKEN": sys.argv[2],
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(16 * MEGABYTE),
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(10 * MEGABYTE),
    "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(7 * MEGABYTE),
}

import mlflow  # noqa: E402
from mlflow.store.artifact import http_artifact_repo  # noqa: E402

mlflow.set_tracking_uri(sys.argv[1])
uploads = []
in_parts = http_artifact_repo.HttpArtifactRepository._try_multipart_upload


def noted(self, local_file, artifact_path=None):
    uploads.append(local_file)
    return in_parts(self, local_file, artifact_path)


http_artifact_repo.HttpArtifactRepository._try_multipart_upload = noted


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
    big = Path(folder) / "big größe.bin"
    with big.open("wb") as file:
        for number in range(400):
            file.write(bytes([number % 256]) * MEGABYTE)
        file.write(b"the end")
    mlflow.log_artifact(str(big), "deep/folder")
    assert uploads == [str(big)], uploads
    peak_kb = int(Path(f"/proc/{sys.argv[3]}/status").read_text().split("VmHWM:")[1].split()[0])
    assert peak_kb < 150_000, peak_kb
    client = mlflow.MlflowClient()
    [listed] = client.list_artifacts(run.info.run_id, "deep/folder")
    assert (listed.path, listed.file_size) == ("deep/folder/big größe.bin", 400 * MEGABYTE + 7)
    target = Path(folder) / "back"
    target.mkdir()
    back = client.download_artifacts(run.info.run_id, "deep/folder/big größe.bin", str(target))
    assert digest(Path(back)) == digest(big)
print("ok large files")
