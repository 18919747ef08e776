"""Logs with MLflow's own client, as it comes, until its input ends: stock_client.py ADDRESS.

Says its run, then each step that was acknowledged.
"""

from __future__ import annotations

import logging
import os
import select
import sys

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from mlflow import MlflowClient

logging.getLogger("urllib3").setLevel(logging.ERROR)
client = MlflowClient(sys.argv[1])
run_id = client.create_run("0").info.run_id
print(run_id, flush=True)
step = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    client.log_metric(run_id, "m", 0.5, timestamp=1, step=step)
    print(step, flush=True)
    step += 1
client.set_terminated(run_id)
