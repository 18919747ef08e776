"""Serving: model versions behind endpoints, split, copied and rolled back, every answer on record.

A gateway is a process with a folder (``WORKSPACE/serving``), an object store and runtimes::

    from mainspring._entrypoints.inference import GatewaySettings, run

    run(
        GatewaySettings(folder, port=8080), objects, Places({r.name: r for r in runtimes})
    )  # blocks

Deploying loads the package (manifest and files from the object store), checks every digest and
the golden sample, stores ``routes.json``, swaps; and answers when the route is live::

    from mainspring.serving import GatewayClient, GatewayControl, Route, Variant

    control = GatewayControl(folder)  # finds address and token in the folder
    control.deploy(
        "late",
        Route(
            variants=(
                Variant(name="champion", model=manifest.digest, version="3"),
                Variant(name="next", model=other.digest, version="4", role="canary", share=0.1),
                Variant(name="frozen", model=first.digest, version="1", role="reference"),
            )
        ),
    )

Predicting takes columns and gives columns (``score``, ``decision``, ``version``, ``variant``,
``role``). With ``ids`` a request may be repeated; ``durable`` waits for the records' sync::

    client = GatewayClient(control.url)
    answer = client.predict("late", rows, ids=ids, entity=keys, event_times=times, durable=True)

Records go to segments in ``folder/records``; shipping moves the sealed ones into the tables
``predictions/late`` and ``predictions/late/inputs-...``, exactly once::

    control.seal_records()
    ship(folder / "records", tables)

Outcomes posted to ``/endpoints/late/outcomes`` travel the same way into ``outcomes/late``. Whole
tables are scored by :func:`score_table`; versions leave the house by ``serving.packaging``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mainspring.serving.batch import BatchJob, score_table
    from mainspring.serving.client import GatewayClient, GatewayControl
    from mainspring.serving.golden import GOLDEN_FILE, golden_bytes
    from mainspring.serving.model import ServedModel, load_model
    from mainspring.serving.shipping import inputs_table, prediction_table, ship
    from mainspring.serving.traffic import Route, RouteTable, Variant

__all__ = [
    "GOLDEN_FILE",
    "BatchJob",
    "GatewayClient",
    "GatewayControl",
    "Route",
    "RouteTable",
    "ServedModel",
    "Variant",
    "golden_bytes",
    "inputs_table",
    "load_model",
    "prediction_table",
    "score_table",
    "ship",
]

# Loaded on first use: importing a stage must not import numpy.
_HOMES: Final = {
    "BatchJob": "batch",
    "GOLDEN_FILE": "golden",
    "GatewayClient": "client",
    "GatewayControl": "client",
    "Route": "traffic",
    "RouteTable": "traffic",
    "ServedModel": "model",
    "Variant": "traffic",
    "golden_bytes": "golden",
    "inputs_table": "shipping",
    "load_model": "model",
    "prediction_table": "shipping",
    "score_table": "batch",
    "ship": "shipping",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
