"""What a trace's spans tell of the trace: its length, its state, previews, tags, tokens and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from mainspring.tracking.traces_types import (
    COST,
    HERE,
    NAME,
    PLACE,
    SESSION,
    USAGE,
    USER,
    Span,
    Trace,
    TraceState,
)
from mainspring.tracking.traces_values import as_text

MAX_PREVIEW: Final = 1000
_MICRO: Final = 1_000_000
_INPUTS: Final = "mlflow.spanInputs"
_OUTPUTS: Final = "mlflow.spanOutputs"
_TAG: Final = "mlflow.traceTag."
_SESSIONS: Final = ("session.id", "gen_ai.conversation.id")
_ASIDE: Final = ("telemetry.sdk.", "mlflow.")
# Which attribute of a span is summed up under which key of the trace's metadata.
_SUMS: Final = {"mlflow.chat.tokenUsage": USAGE, "mlflow.llm.cost": COST}


def from_spans(trace: Trace, spans: Sequence[Span], resource: Mapping[str, Any]) -> Trace:
    """The trace with what these spans tell. What its client said of it itself is left as it is."""
    root = next((span for span in spans if not span.parent), None)
    tags = {PLACE: HERE, **_resource_tags(resource), **_root_tags(root)}
    if root is not None and NAME not in trace.tags:
        tags.setdefault(NAME, root.name)
    changed = replace(trace, tags={**trace.tags, **{k: v for k, v in tags.items() if k and v}})
    if trace.state in {"IN_PROGRESS", "STATE_UNSPECIFIED"} and root is not None:
        state: TraceState = "ERROR" if root.status == "ERROR" else "OK"
        changed = replace(changed, state=state)
    if root is not None:
        changed = replace(
            changed,
            request=trace.request if trace.request is not None else _preview(root, _INPUTS),
            response=trace.response if trace.response is not None else _preview(root, _OUTPUTS),
        )
    changed = replace(changed, metadata={**_people(spans), **changed.metadata})
    return changed if trace.finished else _stretched(changed, spans)


def _stretched(trace: Trace, spans: Sequence[Span]) -> Trace:
    """The trace from its earliest start to its latest end."""
    start_ms = min([trace.start_ms, *(span.start_ns // _MICRO for span in spans)])
    ends = [span.end_ns // _MICRO for span in spans if span.end_ns]
    if trace.duration_ms is not None:
        ends.append(trace.start_ms + trace.duration_ms)
    duration_ms = max(0, max(ends) - start_ms) if ends else None
    return replace(trace, start_ms=start_ms, duration_ms=duration_ms)


def _resource_tags(resource: Mapping[str, Any]) -> dict[str, str]:
    return {k: as_text(v) for k, v in resource.items() if not k.startswith(_ASIDE)}


def _root_tags(root: Span | None) -> dict[str, str]:
    if root is None:
        return {}
    return {
        key.removeprefix(_TAG): as_text(value)
        for key, value in root.attributes.items()
        if key.startswith(_TAG)
    }


def _preview(root: Span, key: str) -> str | None:
    value = root.attributes.get(key)
    return None if value is None else as_text(value)[:MAX_PREVIEW]


def _people(spans: Iterable[Span]) -> dict[str, str]:
    """The session and the user, from the first span that names them."""
    found: dict[str, str] = {}
    for span in spans:
        for key in _SESSIONS:
            if key in span.attributes:
                found.setdefault(SESSION, as_text(span.attributes[key]))
        if "user.id" in span.attributes:
            found.setdefault(USER, as_text(span.attributes["user.id"]))
    return found


def sums(spans: Sequence[Span]) -> dict[str, str]:
    """Tokens and costs over the tree of spans, as metadata.

    A span that has a sum stands for all below it, as MLflow's own aggregation has it.
    """
    found: dict[str, str] = {}
    by_id = {span.id: span for span in spans}
    for attribute, key in _SUMS.items():
        total: dict[str, float] = {}
        for span in spans:
            if attribute in span.attributes and not _covered(span, by_id, attribute):
                _add(total, span.attributes[attribute])
        if total:
            found[key] = msgspec.json.encode(total).decode()
    return found


def _covered(span: Span, by_id: Mapping[str, Span], attribute: str) -> bool:
    seen = {span.id}
    above = by_id.get(span.parent)
    while above is not None and above.id not in seen:
        if attribute in above.attributes:
            return True
        seen.add(above.id)
        above = by_id.get(above.parent)
    return False


def _add(total: dict[str, float], counts: Any) -> None:
    if isinstance(counts, str):
        try:
            counts = msgspec.json.decode(counts)
        except msgspec.DecodeError:
            return
    if not isinstance(counts, Mapping):
        return
    for name, count in counts.items():
        if isinstance(count, int | float) and not isinstance(count, bool):
            total[name] = total.get(name, 0) + count


def has_sums(spans: Iterable[Span]) -> bool:
    """Whether any of the spans tells of tokens or costs."""
    return any(attribute in span.attributes for span in spans for attribute in _SUMS)


def expected_spans(sizes: str) -> int:
    """How many spans the client said the trace has, in its metadata; 0 when it did not."""
    try:
        found = msgspec.json.decode(sizes)
    except msgspec.DecodeError:
        return 0
    count = found.get("num_spans") if isinstance(found, dict) else 0
    return count if isinstance(count, int) else 0
