"""A gateway as its own process, as `mainspring gateway` runs it: FOLDER OBJECTS PORT [FLUSH [guarded | patient]].

A patient one gives models the time and the room that they have by default. A guarded one asks for a token: who says CLERK may ask, who says CHIEF may choose variants too.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

CLERK, CHIEF = "clerk" * 4, "chief" * 4


class Guard:
    """Two tokens, of which one may not choose."""

    def identify(self, secret):
        from mainspring.core.actor import Actor

        return {CLERK: Actor("clerk"), CHIEF: Actor("chief")}.get(secret)

    def allows(self, actor, permission):
        from mainspring._entrypoints.inference.choosing import CHOOSE

        return permission != CHOOSE or actor.name == "chief"


def _say(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def main() -> None:
    from trouble import TroubleRuntime

    from mainspring._adapters.child.apart import ApartRuntime, HeldBackRuntime
    from mainspring._adapters.child.runtime import CustomRuntime
    from mainspring._adapters.files.objects import FileObjects
    from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
    from mainspring._adapters.linear.runtime import ConstantRuntime, LinearRuntime
    from mainspring._adapters.onnx.runtime import OnnxRuntime
    from mainspring._entrypoints._http.doors import Doors
    from mainspring._entrypoints.inference import GatewaySettings, run
    from mainspring._entrypoints.inference.lanes import LaneLimits
    from mainspring.serving.isolation import Places
    from mainspring.serving.recorder import RecorderLimits

    folder, objects, port = sys.argv[1:4]
    flush_seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 0.2
    runtimes = (
        LightgbmRuntime(),
        LinearRuntime(),
        ConstantRuntime(),
        OnnxRuntime(),
        TroubleRuntime(),
        CustomRuntime(allowed=True, answer_seconds=2.0),
    )
    words = [sys.executable, str(Path(__file__).with_name("apart_process.py"))]
    places = Places(
        {one.name: one for one in runtimes},
        {one.name: ApartRuntime(one, words, answer_seconds=2.0) for one in runtimes},
        {one.name: HeldBackRuntime(one, words, room_bytes=64 << 20) for one in runtimes},
        everyone="isolated" in sys.argv[5:],
    )
    settings = GatewaySettings(
        Path(folder),
        port=int(port),
        doors=Doors(authenticator=Guard()) if "guarded" in sys.argv[5:] else None,
        grpc_port=0 if find_spec("grpc") else None,
        records=RecorderLimits(flush_seconds=flush_seconds),
        lanes=LaneLimits()
        if "patient" in sys.argv[5:]
        else LaneLimits(run_seconds=1.0, rest_seconds=2.0, waiting_rows=2000),
    )
    run(
        settings,
        FileObjects(Path(objects)),
        places,
        ready=_say,
    )


if __name__ == "__main__":
    main()
