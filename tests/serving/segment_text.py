"""What a gateway's writer appends to one segment, answer by answer."""

from __future__ import annotations

from mainspring.serving.records import (
    Answered,
    Layouts,
    Outcomes,
    SegmentEncoder,
    outcomes_block,
    rows_block,
)


class SegmentText:
    """Encodes as the recorder does, for one segment."""

    def __init__(self) -> None:
        self._layouts, self._segment = Layouts(), SegmentEncoder()

    def encode(self, one: Answered | Outcomes) -> bytes:
        if isinstance(one, Outcomes):
            return self._segment.encode(outcomes_block(one))
        return self._segment.encode(rows_block(self._layouts.numbered(one.layout), [one]))
