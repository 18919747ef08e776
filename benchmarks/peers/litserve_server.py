"""LitServe, one worker and one API server: ``litserve_server.py KIND MODEL PORT``."""

import sys

import litserve
from scorer import load

KIND, MODEL, PORT = sys.argv[1:4]


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 -- the name is its protocol
        self.scorer = load(KIND, MODEL)

    def decode_request(self, request: dict) -> list:
        return request["data"]

    def predict(self, x: list) -> list[float]:
        return self.scorer(x)

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        return {"score": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(PORT),
        host="127.0.0.1",
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
    )
