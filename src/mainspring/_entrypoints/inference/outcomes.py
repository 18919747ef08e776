"""What became of predictions, reported by their ids: ``POST /endpoints/NAME/outcomes``.

``{"outcomes": [{"prediction_id": "...", "outcome": 1, "known_at": "2013-05-01T12:00:00Z"}, ...]}``;
``known_at`` is now when it is left out. The answer comes when the report is on disk.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from mainspring._entrypoints._http.messages import decode_json
from mainspring.core.time import to_micros
from mainspring.serving.records import Outcomes


class _Outcome(msgspec.Struct, forbid_unknown_fields=True):
    prediction_id: Annotated[str, Meta(min_length=1, max_length=256)]
    outcome: float | bool
    known_at: Annotated[datetime, Meta(tz=True)] | None = None


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: list[_Outcome]


_decoder = msgspec.json.Decoder(_Report)


def read_outcomes(body: bytes, endpoint: str) -> Outcomes:
    """The report as the log takes it. Errors: ``http.bad_json``."""
    report = decode_json(_decoder, body).outcomes
    now = time.time_ns() // 1000
    known = [now if one.known_at is None else to_micros(one.known_at) for one in report]
    return Outcomes(
        endpoint=endpoint,
        ids=[one.prediction_id for one in report],
        outcomes=np.array([one.outcome for one in report], dtype="<f8").tobytes(),
        known_times=np.array(known, dtype="<i8").tobytes(),
        received_micros=now,
    )
