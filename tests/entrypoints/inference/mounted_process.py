"""A FastAPI application with a gateway mounted in it, under uvicorn: LIBRARIES WORKSPACE."""

from __future__ import annotations

import socket
import sys


def main() -> None:
    libraries, folder = sys.argv[1:]
    sys.path.append(libraries)  # FastAPI and uvicorn are of an environment of their own
    import uvicorn
    from fastapi import FastAPI

    import mainspring as ms

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/models"
    gateway = ms.gateway_app(folder, address=url)
    app = FastAPI(lifespan=gateway.lifespan)
    app.mount("/models", gateway)

    @app.get("/hello")
    def hello() -> str:
        return "of the outer one"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()

    Server(uvicorn.Config(app, port=port, log_level="warning")).run()


if __name__ == "__main__":
    main()
