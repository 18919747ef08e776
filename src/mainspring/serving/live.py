"""An endpoint in service: its route with the loaded models, and who of them answers which row.

Values only; a gateway replaces a :class:`LiveEndpoint` as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainspring.core.errors import Invalid
from mainspring.serving.model import Array, Scores, ServedModel
from mainspring.serving.policy import wanted_column
from mainspring.serving.records import Layout
from mainspring.serving.traffic import Route, Variant, assign, named, versioned

Columns = Mapping[str, NDArray[Any]]
InputType = Literal["number", "category"]


@dataclass(frozen=True, slots=True)
class LiveVariant:
    """A variant with its model, and which inputs its prediction records carry."""

    variant: Variant
    model: ServedModel
    layout: Layout


@dataclass(frozen=True, slots=True)
class LiveEndpoint:
    """A route whose every variant is loaded.

    ``inputs`` are those that any variant takes; a request must bring all ``required`` ones, which
    leaves out what only a shadow takes.
    """

    name: str
    route: Route
    answering: tuple[LiveVariant, ...]
    watching: tuple[LiveVariant, ...]
    inputs: Mapping[str, InputType]
    required: frozenset[str]

    @property
    def splits(self) -> bool:
        """Whether the rows of one request may be answered by different variants."""
        return len(self.answering) > 1

    @property
    def is_plain(self) -> bool:
        """Whether one model answers everybody, nothing is copied, and no policy decides."""
        return (
            len(self.answering) == 1
            and not self.watching
            and self.answering[0].model.policy is None
        )

    @property
    def champion(self) -> LiveVariant:
        return self.answering[-1]

    def find(self, variant: Variant) -> LiveVariant:
        """The live form of one of the route's variants."""
        return next(v for v in (*self.answering, *self.watching) if v.variant == variant)


@dataclass(frozen=True, slots=True)
class Question:
    """Rows to predict, as every wire hands them over.

    Shapes: each column and each given sequence has length ``rows``. ``ids`` None: the gateway
    makes them. ``entities`` None: the route's entity inputs, else the ids. ``event_times`` None:
    the moment of receipt. ``durable``: answer only once the records are synced to disk.
    """

    columns: Columns
    rows: int
    ids: Sequence[str] | None = None
    entities: Sequence[str] | None = None
    event_times: NDArray[np.int64] | None = None
    durable: bool = False
    variant: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a request that one variant answers; None stands for all of them."""

    by: LiveVariant
    rows: NDArray[np.intp] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One score per row, in the order of the question.

    ``who`` gives for each row the position in ``variants``; None when there is one variant.
    """

    ids: Sequence[str]
    ids_given: bool
    score: Array
    decision: NDArray[np.bool_] | None
    variants: tuple[Variant, ...]
    who: NDArray[np.intp] | None

    def column(self, attribute: Literal["name", "version", "role"]) -> list[str]:
        """One of the variants' words, per row."""
        words: list[str] = [getattr(variant, attribute) for variant in self.variants]
        if self.who is None:
            return words * len(self.score)
        return [words[position] for position in self.who.tolist()]


def live_endpoint(name: str, route: Route, models: Mapping[str, ServedModel]) -> LiveEndpoint:
    """The endpoint in service, with each variant's model by its name.

    Errors: ``serving.inputs_differ`` between its variants.
    """
    inputs = _inputs(name, [models[variant.name] for variant in route.variants])
    answering = [
        LiveVariant(v, models[v.name], _layout(name, v, models[v.name], frozenset()))
        for v in route.answering
    ]
    recorded = frozenset(column for live in answering for column in live.model.names)
    watching = [
        LiveVariant(v, models[v.name], _layout(name, v, models[v.name], recorded))
        for v in route.watching
    ]
    if route.groups is not None:
        # A group may be named by a column that no model takes; a row without it is in no group.
        inputs.setdefault(route.groups.column, "category")
    read = {column for live in answering if (column := wanted_column(live.model.policy))}
    for column in read:
        inputs.setdefault(column, "number")
    required = (
        recorded
        | read
        | {
            column
            for live in watching
            if live.variant.role == "reference"
            for column in live.model.names
        }
    )
    return LiveEndpoint(name, route, tuple(answering), tuple(watching), inputs, required)


def divide(endpoint: LiveEndpoint, question: Question, entities: Sequence[str]) -> list[Group]:
    """Which variant answers which rows. Errors: ``serving.variant_not_found`` and the like."""
    if question.variant is not None:
        chosen = named(endpoint.route, endpoint.name, question.variant)
        return [Group(endpoint.find(chosen), None)]
    if question.version is not None:
        chosen = versioned(endpoint.route, endpoint.name, question.version)
        return [Group(endpoint.find(chosen), None)]
    if not endpoint.splits:
        return [Group(endpoint.champion, None)]
    who = assign(
        endpoint.route.salt(endpoint.name), [live.variant for live in endpoint.answering], entities
    )
    _give_groups(endpoint, question, who)
    present = np.unique(who).tolist()
    if len(present) == 1:
        return [Group(endpoint.answering[present[0]], None)]
    return [Group(endpoint.answering[place], np.flatnonzero(who == place)) for place in present]


def _give_groups(endpoint: LiveEndpoint, question: Question, who: NDArray[np.intp]) -> None:
    """Rows of a declared group go to its variant, whatever was drawn for their entity."""
    groups = endpoint.route.groups
    if groups is None or groups.column not in question.columns:
        return
    places = {live.variant.name: place for place, live in enumerate(endpoint.answering)}
    values = question.columns[groups.column].tolist()
    for row, value in enumerate(values):
        name = groups.variants.get(_group_text(value))
        if name is not None:
            who[row] = places[name]


def _group_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def entity_keys(endpoint: LiveEndpoint, question: Question, ids: Sequence[str]) -> Sequence[str]:
    """The key of each row, by which canaries are sticky."""
    if question.entities is not None:
        return question.entities
    names = endpoint.route.entity
    if not names or any(name not in question.columns for name in names):
        return ids
    columns = [question.columns[name].tolist() for name in names]
    return ["\x1f".join(map(str, values)) for values in zip(*columns, strict=True)]


def join(
    question: Question, ids: Sequence[str], groups: Sequence[Group], scores: Sequence[Scores]
) -> Answer:
    """The groups' scores put back into the order of the question."""
    given = question.ids is not None
    variants = tuple(group.by.variant for group in groups)
    if len(groups) == 1:
        return Answer(ids, given, scores[0].score, scores[0].decision, variants, None)
    score = np.empty(question.rows, dtype=np.float64)
    decision = np.zeros(question.rows, dtype=np.bool_)
    who = np.empty(question.rows, dtype=np.intp)
    for place, (group, result) in enumerate(zip(groups, scores, strict=True)):
        score[group.rows], who[group.rows] = result.score, place
        if result.decision is not None:
            decision[group.rows] = result.decision
    decided = all(result.decision is not None for result in scores)
    return Answer(ids, given, score, decision if decided else None, variants, who)


def take(columns: Columns, names: Sequence[str], rows: NDArray[np.intp] | None) -> Columns:
    """The named columns, of some rows or all."""
    if rows is None:
        return columns
    return {name: columns[name][rows] for name in names}


def _layout(name: str, variant: Variant, model: ServedModel, besides: frozenset[str]) -> Layout:
    columns = [c for c in model.signature.inputs if c.name not in besides]
    return Layout(
        number=0,
        endpoint=name,
        variant=variant.name,
        version=variant.version,
        role=variant.role,
        numbers=tuple(c.name for c in columns if c.type == "number"),
        texts=tuple(c.name for c in columns if c.type == "category"),
    )


def _inputs(name: str, models: Sequence[ServedModel]) -> dict[str, InputType]:
    inputs: dict[str, InputType] = {}
    for model in models:
        for column in model.signature.inputs:
            if inputs.setdefault(column.name, column.type) != column.type:
                raise Invalid(
                    "serving.inputs_differ",
                    f"The variants of {name!r} disagree on whether {column.name!r} is a number.",
                    hint="Serve them behind two endpoints.",
                    endpoint=name,
                    input=column.name,
                )
    return inputs
