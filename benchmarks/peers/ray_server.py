"""Ray Serve, one replica: ``ray_server.py KIND MODEL PORT``."""

import sys
import time

import ray
from ray import serve
from scorer import load
from starlette.requests import Request

KIND, MODEL, PORT = sys.argv[1:4]


@serve.deployment(num_replicas=1, max_ongoing_requests=128)
class Scores:
    def __init__(self, kind: str, model: str) -> None:
        self.scorer = load(kind, model)

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        return {"score": self.scorer((await request.json())["data"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(PORT)})
    serve.run(Scores.bind(KIND, MODEL), route_prefix="/predict")
    while True:
        time.sleep(60)
