"""The gateway inside another server's application, as ASGI."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest
from packaged_models import LINEAR, SIGNATURE
from tests import needs

import mainspring as ms
from mainspring.core.digest import canonical_json
from mainspring.core.errors import Conflict, Invalid
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving import GatewayControl, Route, Variant

ROW = {"instances": [[3.0, "UA"]]}


def route(folder: Path) -> Route:
    """A linear model as the champion, its package in the workspace."""
    with ms.open(folder) as workspace:
        objects = workspace.objects
        manifest = Manifest(
            name="late",
            task="binary",
            runtime="linear",
            signature=SIGNATURE,
            files={"linear.json": objects.put(msgspec.json.encode(LINEAR))},
            decision=Decision(threshold=0.5),
        )
        digest = objects.put(canonical_json(manifest))
    return Route(variants=(Variant(name="champion", model=digest, version="1"),))


async def deployed(client: httpx.AsyncClient, folder: Path, live: Route) -> None:
    """Puts a route into service, as GatewayControl does over a socket."""
    token = (folder / "serving" / "control.token").read_text().strip()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    path = "/control/routes/late"
    answer = await client.put(path, content=msgspec.json.encode(live), headers=headers)
    assert answer.status_code == 200, answer.text


def test_it_answers_records_and_starts_again(tmp_path: Path) -> None:
    """Every wire answers; records are stored when it ends; the route is there at the next start."""
    live = route(tmp_path)

    async def run(*, first: bool) -> None:
        app = ms.gateway_app(tmp_path)
        transport = httpx.ASGITransport(app)
        async with (
            app.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            if first:
                await deployed(client, tmp_path, live)
            assert (await client.get("/v2/health/ready")).status_code == 200
            assert (await client.post("/invocations", json=ROW)).status_code == 200
            tensors = [
                {"name": "miles", "datatype": "FP64", "shape": [1], "data": [3.0]},
                {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["UA"]},
            ]
            answer = await client.post("/v2/models/late/infer", json={"inputs": tensors})
            assert answer.status_code == 200
            assert (await client.post("/invocations", content=b"{")).status_code == 400
            with pytest.raises(Conflict):
                async with ms.gateway_app(tmp_path).lifespan():
                    pass

    asyncio.run(run(first=True))
    asyncio.run(run(first=False))
    segments = list((tmp_path / "serving" / "records").iterdir())
    assert sum(one.stat().st_size for one in segments) > 0


def test_beyond_this_machine_it_takes_a_token(tmp_path: Path) -> None:
    """The rule of every server of ours holds inside another one too."""
    with pytest.raises(Invalid, match="takes a token"):
        ms.gateway_app(tmp_path, host="0.0.0.0")  # noqa: S104 - refused


@pytest.mark.services
def test_fastapi_mounts_it_under_uvicorn(tmp_path: Path) -> None:
    """In a FastAPI application below a path: deployed to, asked, and ended with it."""
    python = needs.environment("fastapi")
    libraries = subprocess.run(
        [python, "-c", "import fastapi, pathlib; print(pathlib.Path(fastapi.__file__).parents[1])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    script = Path(__file__).with_name("mounted_process.py")
    live = route(tmp_path)
    process = subprocess.Popen(
        [sys.executable, str(script), libraries, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        control = GatewayControl(tmp_path / "serving")
        assert control.url == url
        control.deploy("late", live)
        control.close()
        assert httpx.post(f"{url}/invocations", json=ROW).status_code == 200
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200
        assert httpx.get(f"{url.removesuffix('/models')}/hello").json() == "of the outer one"
        large = httpx.post(f"{url}/invocations", content=(b" " * 65536 for _ in range(100)))
        assert large.status_code == 400
        process.terminate()
        assert process.wait(30) in {0, -15}  # uvicorn ends by the signal that it was sent
    finally:
        process.kill()
        process.communicate()
    assert not (tmp_path / "serving" / "gateway.json").exists()
    with ms.open(tmp_path) as workspace:
        assert workspace.folder == tmp_path
