"""Entities in, decisions out: ``POST /endpoints/NAME/decisions``.

``{"rows": [{"tailnum": "N1", "carrier": "UA"}], "ids": ["a"], "explain": true}``: each row holds
its entity keys and what is known of it when it is asked about. The answer has, per row, the score,
the decision and who made it; and for each view looked up, how old it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from mainspring._entrypoints._http.messages import Response, decode_json, json_response
from mainspring._entrypoints.inference.answering import Answering
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.features.lookup import FeatureLookup
from mainspring.serving.live import Answer, LiveEndpoint, Question
from mainspring.serving.model import Contributions

_MAX_ROWS: Final = 10_000
_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    rows: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=_MAX_ROWS)]
    ids: list[_Text] | None = None
    entities: list[_Text] | None = None
    explain: bool = False
    durable: bool = False


_decoder = msgspec.json.Decoder(_Asked)


class Decisions:
    """Looks up, predicts, decides and explains. Event loop only."""

    def __init__(self, lookup: FeatureLookup | None, answering: Answering) -> None:
        self._lookup = lookup
        self._answering = answering

    async def answer(
        self, endpoint: LiveEndpoint, body: bytes, variant: str | None = None
    ) -> Response:
        """The decisions on some rows, by the variant that is named, if one is.

        Errors: ``http.bad_json``, ``serving.no_features``, ``serving.features_differ``,
        ``serving.no_explanation``, those of looking features up and of predicting.
        """
        asked = decode_json(_decoder, body)
        _check(asked)
        loop = asyncio.get_running_loop()
        columns, freshness = await loop.run_in_executor(None, self._columns, endpoint, asked.rows)
        question = Question(
            columns,
            len(asked.rows),
            ids=asked.ids,
            entities=asked.entities,
            durable=asked.durable,
            variant=variant,
        )
        answer = await self._answering.answer(endpoint, question)
        told = None
        if asked.explain:
            told = await loop.run_in_executor(None, _explained, endpoint, question, answer)
        return json_response(_document(endpoint, answer, freshness, told))

    def _columns(
        self, endpoint: LiveEndpoint, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """Every input of the endpoint, looked up or taken from the rows; and the ages of views."""
        columns: dict[str, NDArray[Any]] = {}
        freshness: dict[str, float] = {}
        variants = (endpoint.champion, *endpoint.answering, *endpoint.watching)
        for recipe in dict.fromkeys(v.model.manifest.feature_digest for v in variants):
            found = self._known(endpoint).features(recipe, rows)
            _merge(endpoint, columns, found.columns)
            freshness |= found.freshness
        for name, kind in endpoint.inputs.items():
            if name not in columns and all(name in row for row in rows):
                columns[name] = _column(name, kind, [row[name] for row in rows])
        return columns, freshness

    def _known(self, endpoint: LiveEndpoint) -> FeatureLookup:
        if self._lookup is None or not endpoint.champion.model.manifest.feature_digest:
            raise NotFound(
                "serving.no_features",
                f"The endpoint {endpoint.name!r} has no features to look up.",
                hint="Send the inputs themselves to /v2/models/NAME/infer.",
                endpoint=endpoint.name,
            )
        return self._lookup


def _check(asked: _Asked) -> None:
    for name, given in (("ids", asked.ids), ("entities", asked.entities)):
        wrong = given is not None and len(given) != len(asked.rows)
        if wrong or (name == "ids" and given is not None and len(set(given)) != len(given)):
            raise Invalid(
                "serving.bad_request",
                f"{name!r} is not one text per row, each its own.",
                hint="Leave it out, or give as many as there are rows.",
            )


def _merge(
    endpoint: LiveEndpoint, columns: dict[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]
) -> None:
    """Adds features; variants of two feature sets must agree on what they share, to the bit."""
    for name, values in found.items():
        if name not in endpoint.inputs:
            continue
        before = columns.setdefault(name, values)
        if before is not values and not _same(before, values):
            raise Conflict(
                "serving.features_differ",
                f"The variants of {endpoint.name!r} take different features called {name!r}.",
                hint="Serve them behind two endpoints.",
                endpoint=endpoint.name,
                input=name,
            )


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return one.tobytes() == other.tobytes()
    return bool(one.tolist() == other.tolist())


def _column(name: str, kind: str, values: list[Any]) -> NDArray[Any]:
    try:
        if kind == "number":
            return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(
            "serving.bad_value",
            f"A value of {name!r} is not a number.",
            hint="Send numbers, or null.",
            input=name,
        ) from error
    return np.array([v if v is None else str(v) for v in values], dtype=object)


def _explained(
    endpoint: LiveEndpoint, question: Question, answer: Answer
) -> list[tuple[Contributions, int]]:
    """Per row: the contributions of its variant, and its place in them."""
    told: list[Any] = [None] * question.rows
    for place, variant in enumerate(answer.variants):
        model = endpoint.find(variant).model
        rows = (
            np.arange(question.rows) if answer.who is None else np.flatnonzero(answer.who == place)
        )
        columns = {name: question.columns[name][rows] for name in model.names}
        contributions = model.explain(model.encode(columns, len(rows)))
        for at, row in enumerate(rows.tolist()):
            told[row] = (contributions, at)
    return told


def _document(
    endpoint: LiveEndpoint,
    answer: Answer,
    freshness: Mapping[str, float],
    told: list[tuple[Contributions, int]] | None,
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"id": one, "score": score, "version": version, "variant": variant, "role": role}
        for one, score, version, variant, role in zip(
            answer.ids,
            answer.score.tolist(),
            answer.column("version"),
            answer.column("name"),
            answer.column("role"),
            strict=True,
        )
    ]
    for place, row in enumerate(rows):
        if answer.decision is not None:
            row["decision"] = bool(answer.decision[place])
        if told is not None:
            contributions, at = told[place]
            row["explanation"] = contributions.row(at)
    return {
        "model_name": endpoint.name,
        "predictions": rows,
        "freshness_seconds": {view: round(age, 3) for view, age in freshness.items()},
    }
