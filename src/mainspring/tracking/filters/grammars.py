"""What each kind of search may ask: its attributes, their other names, its kinds of key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mainspring.tracking.filters.words import Kind

_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_TRACE_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "trace"), "attribute"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
}


@dataclass(frozen=True, slots=True)
class Grammar:
    """What one kind of search knows: attributes, their aliases, and which kinds of key."""

    text: frozenset[str]
    numbers: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset({"attribute", "tag"})
    aliases: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, Kind] = field(default_factory=lambda: _KINDS)
    patterns: frozenset[str] = frozenset()  # attributes that only LIKE and ILIKE may ask

    @property
    def attributes(self) -> frozenset[str]:
        return self.text | self.numbers


RUNS: Final = Grammar(
    text=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    numbers=frozenset({"start_time", "end_time"}),
    lists=frozenset({"run_id"}),
    kinds=frozenset({"metric", "param", "tag", "attribute", "dataset"}),
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)
EXPERIMENTS: Final = Grammar(
    text=frozenset({"name", "experiment_id"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    lists=frozenset({"experiment_id"}),
)
LOGGED_MODELS: Final = Grammar(
    text=frozenset(
        {
            "name",
            "model_id",
            "model_type",
            "status",
            "source_run_id",
            "experiment_id",
            "artifact_uri",
        }
    ),
    numbers=frozenset({"creation_timestamp", "last_updated_timestamp"}),
    lists=frozenset({"name", "model_id", "model_type", "status", "source_run_id"}),
    kinds=frozenset({"metric", "param", "tag", "attribute"}),
    aliases={
        "creation_time": "creation_timestamp",
        "last_updated_time": "last_updated_timestamp",
        "run_id": "source_run_id",
    },
)
TRACES: Final = Grammar(
    text=frozenset(
        {"request_id", "status", "client_request_id", "name", "run_id", "prompt", "text"}
    ),
    numbers=frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms", "experiment_id"}),
    lists=frozenset({"request_id", "status", "client_request_id", "name", "run_id"}),
    kinds=frozenset(_TRACE_KINDS.values()),
    aliases={
        "trace_id": "request_id",
        "timestamp": "timestamp_ms",
        "execution_time": "execution_time_ms",
        "end_time": "end_time_ms",
    },
    entities=_TRACE_KINDS,
    patterns=frozenset({"text"}),
)
