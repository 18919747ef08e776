"""``mainspring serve``: a gateway over a packaged model, as a container runs it.

FOLDER is read only: the folder 'model' that 'mainspring models package --as container' writes, or
a copy of it. Without --state, prediction records end with the process.

Whoever reaches the port may ask, unless MAINSPRING_TOKEN is set: an image's port is reached through
what its platform puts in front (a network policy, a load balancer, SageMaker). Deploying by HTTP
is possible from inside only, with a token that stands in the state folder.

  mainspring serve
  mainspring serve ./late/model --host 127.0.0.1 --state ./state
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common, count
from mainspring._entrypoints.inference.pinning import pin_threads

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - a container's own network, which its platform closes
_MODEL = "/opt/ml/model"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``serve``."""
    parser.add_argument("folder", nargs="?", default=_MODEL, metavar="FOLDER", help=f"({_MODEL})")
    parser.add_argument("--host", default=_EVERYWHERE, help=f"address to listen on ({_EVERYWHERE})")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (8080)")
    parser.add_argument("--state", metavar="DIR", help="where prediction records are kept")
    parser.add_argument(
        "--most-records",
        type=count,
        default=512,
        metavar="MB",
        help="beyond this the oldest prediction records are dropped (512)",
    )
    common(parser, run, as_json=False)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Serves until it is told to stop."""
    pin_threads()

    from mainspring._bootstrap.packaged import packaged_model
    from mainspring._bootstrap.workspace import runtimes
    from mainspring._entrypoints.inference.packaged import PackagedSettings, run_packaged
    from mainspring.core.settings import resolve

    token = str(resolve(os.environ)["token"].value) or None
    table, objects = packaged_model(Path(arguments.folder))
    if token is None:
        output.note("No MAINSPRING_TOKEN: whoever reaches this port may ask.")
    with ExitStack() as stack:
        state = arguments.state or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mainspring-")
        )
        settings = PackagedSettings(
            state=Path(state),
            host=arguments.host,
            port=arguments.port,
            token=token,
            most_record_bytes=arguments.most_records * 1_000_000,
        )
        run_packaged(
            settings,
            table,
            objects,
            runtimes(),
            ready=lambda address: output.note(f"The gateway answers at {address}"),
        )
    return 0
