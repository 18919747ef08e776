"""Outcomes into a workspace, without a gateway: from a call, a file, a stream or a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring._bootstrap.folder import SERVING_FOLDER
from mainspring.core.errors import Invalid, NotFound
from mainspring.core.events import Fact, ref
from mainspring.core.names import check_name, did_you_mean
from mainspring.ports.tables import File
from mainspring.projects import events
from mainspring.serving.outcome_import import Imported, OutcomeImport
from mainspring.serving.outcome_reading import (
    FORMATS,
    Format,
    Lines,
    Naming,
    read_batches,
)
from mainspring.serving.routes import read_routes
from mainspring.serving.shipping import prediction_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mainspring._bootstrap.workspace import Workspace

Report = Callable[[Imported], None]


def _quietly(_imported: Imported) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class OutcomeReports:
    """What became of predictions, told to a workspace: ``ws.outcomes``.

    The same report is kept once, however often and by whichever way it comes.
    """

    workspace: Workspace

    def report(
        self,
        endpoint: str,
        outcomes: Sequence[Any],
        *,
        ids: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        known_at: Sequence[Any] | None = None,
    ) -> Imported:
        """Stores outcomes of predictions, by their ids or by their entities; None is not known yet.

        ``known_at`` are moments with a zone; without it the outcomes are known since now.
        Errors: ``serving.bad_outcome`` with the row, ``serving.endpoint_not_found``.
        """
        keys, name = (entities, "entity") if ids is None else (ids, "prediction_id")
        lengths = {len(one) for one in (keys, outcomes, known_at) if one is not None}
        if keys is None or (ids is not None and entities is not None) or len(lengths) != 1:
            raise Invalid(
                "serving.bad_outcome",
                "Outcomes need either ids or entities, as many as there are outcomes.",
                hint="Give ids=[...] of predictions, or entities=[...].",
            )
        moments = known_at if known_at is not None else [None] * len(outcomes)
        rows = (
            msgspec.json.encode(
                {name: str(key), "outcome": outcome, "known_at": moment}, enc_hook=_plain
            )
            for key, outcome, moment in zip(keys, outcomes, moments, strict=True)
        )
        naming = Naming(at=self.workspace.clock.now())
        return self.stream(endpoint, rows, "jsonl", naming)

    def from_file(
        self,
        endpoint: str,
        file: str | Path,
        naming: Naming | None = None,
        *,
        format_: Format | None = None,
        report: Report = _quietly,
    ) -> Imported:
        """Stores the reports of a file: ``.jsonl``, ``.csv`` or ``.parquet``.

        Errors: ``serving.bad_outcome`` with the row, ``serving.endpoint_not_found``,
        ``serving.no_report``.
        """
        path, naming = Path(file).expanduser(), naming or Naming()
        kind = format_ or FORMATS.get(path.suffix.lower())
        if kind is None or not path.is_file():
            raise NotFound(
                "serving.no_report",
                f"There is no report at {str(file)!r}."
                if kind
                else f"{path.name!r} does not tell what kind of file it is.",
                hint=f"Name a file that ends with {', '.join(FORMATS)}.",
            )
        if kind != "parquet":
            with path.open("rb") as lines:
                return self.stream(endpoint, lines, kind, naming, report=report)
        with path.open("rb") as data:
            token = hashlib.file_digest(data, "sha256").hexdigest()
        relation = File(str(path.resolve()), "parquet")
        return self._import(endpoint, ()).relation(relation, naming, token=token)

    def from_dataset(self, endpoint: str, dataset: str, naming: Naming | None = None) -> Imported:
        """Stores the rows of a dataset (``NAME`` or ``NAME@VERSION``).

        Without a column of moments, its outcomes are known since the version was made.
        Errors: ``serving.bad_outcome`` with the row, ``serving.endpoint_not_found``, ``data.*``.
        """
        name, _, number = dataset.partition("@")
        version = self.workspace.datasets.show(name, int(number) if number.isdigit() else None)
        naming = naming or Naming()
        if naming.known_at not in version.schema.names and naming.at is None:
            naming = replace(naming, at=version.created)
        token = msgspec.json.encode(version.relation).decode()
        used = (ref("dataset", version.name),)
        return self._import(endpoint, used).relation(version.relation, naming, token=token)

    def stream(
        self,
        endpoint: str,
        lines: Lines,
        format_: Format,
        naming: Naming,
        *,
        report: Report = _quietly,
    ) -> Imported:
        """Stores the reports of a stream as they come; a None among its lines is a pause.

        Errors: ``serving.bad_outcome`` with the row, ``serving.endpoint_not_found``.
        """
        importing = self._import(endpoint, ())
        return importing.stream(read_batches(lines, format_, naming), report)

    def _import(self, endpoint: str, used: tuple[Any, ...]) -> OutcomeImport:
        workspace = self.workspace
        database = workspace.database  # a server's workspace has no tables: it says so here
        _check_known(workspace, endpoint)

        def stored(table: str, version: int, rows: int) -> None:
            place = table.removeprefix("outcomes/")
            fact = Fact(
                kind=events.OUTCOMES,
                subject=ref("endpoint", endpoint),
                facts={"rows": rows},
                used=used,
                generated=(ref("outcomes", f"{place}@{version}"),),
            )
            database.write(lambda tx: tx.announce(fact))

        return OutcomeImport(workspace.tables, workspace.clock, endpoint, stored)


def _plain(value: Any) -> Any:
    """A number or moment of numpy as Python's; its moments are UTC."""
    found = value.item()
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else found


def _check_known(workspace: Workspace, endpoint: str) -> None:
    """Refuses an endpoint that was never served here: its name is probably misspelt."""
    routes = read_routes(workspace.folder / SERVING_FOLDER).routes
    if endpoint in routes:
        return
    check_name("endpoint", endpoint)
    if not workspace.tables.exists(prediction_table(endpoint)):
        raise NotFound(
            "serving.endpoint_not_found",
            f"No endpoint {endpoint!r} was ever served here.",
            hint=did_you_mean(endpoint, list(routes)),
            endpoint=endpoint,
        )
