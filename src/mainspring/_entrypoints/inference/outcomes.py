"""What became of predictions: ``POST /endpoints/NAME/outcomes``.

``{"outcomes": [{"prediction_id": "...", "outcome": 1, "known_at": "2013-05-01T12:00:00Z"}, ...]}``;
``known_at`` is now when it is left out. ``entity`` in the place of ``prediction_id`` means the
entity's newest prediction at or before ``known_at``. The answer comes when the report is on disk.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from mainspring._entrypoints._http.messages import decode_json
from mainspring.core.errors import Invalid
from mainspring.core.time import to_micros
from mainspring.serving.records import Outcomes

_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class _Outcome(msgspec.Struct, forbid_unknown_fields=True):
    outcome: float | bool
    prediction_id: _Text | None = None
    entity: _Text | None = None
    known_at: Annotated[datetime, Meta(tz=True)] | None = None


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: list[_Outcome]


_decoder = msgspec.json.Decoder(_Report)


def read_outcomes(body: bytes, endpoint: str) -> list[Outcomes]:
    """The report as the log takes it. Errors: ``http.bad_json``, ``serving.bad_outcome``."""
    report = decode_json(_decoder, body).outcomes
    if any((one.prediction_id is None) == (one.entity is None) for one in report):
        raise Invalid(
            "serving.bad_outcome",
            "An outcome names neither its prediction nor its entity, or both.",
            hint="Give each outcome a 'prediction_id', or an 'entity'.",
        )
    by_id = [one for one in report if one.prediction_id is not None]
    by_entity = [one for one in report if one.entity is not None]
    return [
        _recorded(some, endpoint, by_entity=some is by_entity)
        for some in (by_id, by_entity)
        if some
    ]


def _recorded(report: list[_Outcome], endpoint: str, *, by_entity: bool) -> Outcomes:
    now = time.time_ns() // 1000
    known = [now if one.known_at is None else to_micros(one.known_at) for one in report]
    return Outcomes(
        endpoint=endpoint,
        ids=[str(one.entity if by_entity else one.prediction_id) for one in report],
        outcomes=np.array([one.outcome for one in report], dtype="<f8").tobytes(),
        known_times=np.array(known, dtype="<i8").tobytes(),
        received_micros=now,
        by_entity=by_entity,
    )
