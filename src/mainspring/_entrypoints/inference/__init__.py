"""The inference gateway: Open Inference Protocol v2 and MLflow's scoring wire, one process.

Names load on first use, so that the command line can list its commands without numpy.
"""

from __future__ import annotations

from typing import Any

__all__ = ["GatewaySettings", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mainspring._entrypoints.inference import server

        return getattr(server, name)
    raise AttributeError(name)
