"""Where pieces of work are done, as the settings say: here, in processes of this machine, by Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.ports.compute import Compute


def open_compute(workspace: Workspace, workers: int = 0, on: str = "") -> Compute | None:
    """The processes to use; None when this one does the work itself, with all its threads.

    ``workers`` 0: one for each core. ``on`` wins over the setting ``compute``.
    Errors: ``settings.bad_compute``, ``compute.extra_missing``, ``compute.no_cluster``.
    """
    wanted = on or str(workspace.setting("compute"))
    if wanted == "local":
        if not workers:
            return None
        from mainspring._adapters.process.compute import LocalProcesses

        return LocalProcesses(workers)
    if wanted != "ray" and not wanted.startswith("ray://"):
        raise Invalid(
            "settings.bad_compute",
            f"The setting compute is {wanted[:80]!r}.",
            hint="It is local, ray, or ray://HOST:PORT.",
        )
    from mainspring._adapters.ray.compute import RayProcesses

    return RayProcesses(workers or workspace.cores, "" if wanted == "ray" else wanted)
