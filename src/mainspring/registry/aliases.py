"""Use cases on aliases: which version goes by which word, now and at any past time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mainspring.core.errors import Conflict, NotFound
from mainspring.core.names import did_you_mean
from mainspring.ports.clock import Clock
from mainspring.ports.database import Database, Reader, Transaction
from mainspring.registry.address import parse_address
from mainspring.registry.lookup import (
    NOTHING,
    need_model,
    need_version,
    version_not_found,
)
from mainspring.registry.moves import alias_state, check_expected, made_before, record_move
from mainspring.registry.names import check_alias, check_model_name
from mainspring.registry.ports import RegistryStore
from mainspring.registry.query import Clause, Order, Query
from mainspring.registry.types import (
    RELEASABLE,
    Alias,
    Because,
    Expected,
    Model,
    Move,
    Version,
)


@dataclass(frozen=True, slots=True)
class Aliases:
    """Aliases of models, moved by compare-and-set, with their whole history."""

    database: Database
    store: RegistryStore
    clock: Clock

    def get(self, name: str, alias: str) -> Alias:
        """Where an alias points, and its revision; version None when nowhere."""
        check_alias(alias)
        return self.database.read(
            lambda reader: alias_state(
                self.store, reader, need_model(self.store, reader, name), alias
            )
        )

    def move(
        self,
        name: str,
        alias: str,
        *,
        to: int,
        expected: Expected,
        because: Because = NOTHING,
    ) -> Move:
        """The move of an alias to a version, made only if the alias is where ``expected`` says.

        ``expected`` is an :class:`Alias` read before (version and revision must still be the
        same: of many callers exactly one wins), a version number, None (points nowhere), or
        ``ANYTHING``. An alias that is already there is not moved: the move that brought it there
        is returned.

        Errors: ``registry.alias_moved``, ``registry.version_not_found``,
        ``registry.not_releasable`` for a rejected or archived version.
        """
        return self.database.write(
            lambda tx: self.move_within(tx, name, alias, to=to, expected=expected, because=because)
        )

    def move_within(
        self,
        tx: Transaction,
        name: str,
        alias: str,
        *,
        to: int,
        expected: Expected,
        because: Because = NOTHING,
    ) -> Move:
        """Like :meth:`move`, in the caller's transaction: a release and its move become one."""
        check_alias(alias)
        model = need_model(self.store, tx, name)
        made = made_before(self.store, tx, model, alias, because)
        if made is not None:
            return made
        now = alias_state(self.store, tx, model, alias)
        check_expected(now, expected)
        self._refuse_unfit(tx, model, to)
        if now.version == to:
            return self.store.moves(tx, model, alias, limit=1)[0]
        return self._record(tx, model, alias, to, because)

    def remove(
        self, name: str, alias: str, *, expected: Expected, because: Because = NOTHING
    ) -> Move | None:
        """The move that took an alias away; None when it pointed nowhere.

        Errors: ``registry.alias_moved``.
        """
        check_alias(alias)

        def work(tx: Transaction) -> Move | None:
            model = need_model(self.store, tx, name)
            made = made_before(self.store, tx, model, alias, because)
            if made is not None:
                return made
            now = alias_state(self.store, tx, model, alias)
            check_expected(now, expected)
            if now.version is None:
                return None
            return self._record(tx, model, alias, None, because)

        return self.database.write(work)

    def rollback(
        self, name: str, alias: str, *, expected: Expected, because: Because = NOTHING
    ) -> Move:
        """The move of an alias back to the version before the present one.

        Rolling back twice goes back two versions: a version that was itself left by a rollback is
        not gone back to. Versions rejected, archived or deleted since are passed over.
        Errors: ``registry.alias_moved``, ``registry.nothing_before``.
        """
        check_alias(alias)

        def work(tx: Transaction) -> Move:
            model = need_model(self.store, tx, name)
            made = made_before(self.store, tx, model, alias, because)
            if made is not None:
                return made
            check_expected(alias_state(self.store, tx, model, alias), expected)
            history = self.store.moves(tx, model, alias)
            for number in before_present([move.after for move in reversed(history)]):
                version = self.store.find_version(tx, model, number)
                if version is not None and version.status in RELEASABLE:
                    return self._record(tx, model, alias, number, because)
            raise Conflict(
                "registry.nothing_before",
                f"{name}@{alias} has no earlier version to go back to.",
                hint="Move it to a version by number.",
                name=name,
                alias=alias,
            )

        return self.database.write(work)

    def history(self, name: str, alias: str, *, limit: int = 1_000) -> list[Move]:
        """Every move of an alias, newest first, of a deleted model too."""
        check_alias(alias)
        return self.database.read(
            lambda reader: self.store.moves(reader, self._ever(reader, name), alias, limit=limit)
        )

    def moves(self, name: str, *, limit: int = 1_000) -> list[Move]:
        """Every move of every alias, also of those that are no more, newest first."""
        return self.database.read(
            lambda reader: self.store.moves(reader, self._ever(reader, name), None, limit=limit)
        )

    def live_at(self, name: str, alias: str, moment: datetime) -> int | None:
        """The version an alias pointed at in a past moment; None when at none."""
        check_alias(alias)
        found = self.database.read(
            lambda reader: self.store.moves(
                reader, self._ever(reader, name), alias, until=moment, limit=1
            )
        )
        return found[0].after if found else None

    def resolve(self, address: str) -> Version:
        """The version that ``NAME@alias``, ``NAME/VERSION`` or ``NAME`` (the newest) names.

        Errors: ``registry.bad_address``, ``registry.model_not_found``,
        ``registry.alias_not_found``, ``registry.version_not_found``.
        """
        parsed = parse_address(address)

        def work(reader: Reader) -> Version:
            number = parsed.number
            if parsed.alias is not None:
                number = self._pointed_at(reader, parsed.name, parsed.alias)
            if number is None:
                return self._newest(reader, parsed.name)
            return need_version(self.store, reader, parsed.name, number)

        return self.database.read(work)

    # -- inside ---------------------------------------------------------------------------------

    def _record(
        self, tx: Transaction, model: Model, alias: str, to: int | None, because: Because
    ) -> Move:
        now = self.clock.now()
        return record_move(self.store, tx, model, alias, to=to, now=now, because=because)

    def _refuse_unfit(self, tx: Transaction, model: Model, number: int) -> None:
        version = self.store.find_version(tx, model, number)
        if version is None:
            raise version_not_found(model.name, number)
        if version.status not in RELEASABLE:
            raise Conflict(
                "registry.not_releasable",
                f"{version.address} is {version.status}"
                f"{f': {version.reason}' if version.reason else ''}.",
                hint="Point the alias at a registered or approved version.",
                version=number,
                status=version.status,
            )

    def _ever(self, reader: Reader, name: str) -> Model:
        """The live model of this name, else the one that was deleted last."""
        name = check_model_name(name)
        found = self.store.find_model(reader, name)
        found = found or self.store.find_model(reader, name, deleted=True)
        return found or need_model(self.store, reader, name)

    def _pointed_at(self, reader: Reader, name: str, alias: str) -> int:
        model = need_model(self.store, reader, name)
        number = model.aliases.get(alias)
        if number is None:
            raise NotFound(
                "registry.alias_not_found",
                f"{name!r} has no alias {alias!r}.",
                hint=did_you_mean(alias, model.aliases),
                name=name,
                alias=alias,
            )
        return number

    def _newest(self, reader: Reader, name: str) -> Version:
        model = need_model(self.store, reader, name)
        query = Query(
            clauses=(Clause("name", "=", model.name),),
            order=(Order("number", descending=True),),
            limit=1,
        )
        found = self.store.search_versions(reader, query)
        if not found:
            raise version_not_found(name, None)
        return found[0]


def before_present(path: list[int | None]) -> list[int]:
    """The versions to go back to, nearest first, from where an alias has been (oldest first).

    A walk that returns to a version it came from undoes the steps between, as going back in a
    browser does.

    Example:
        >>> before_present([1, 2, 3, 2])  # 3 was rolled back to 2, so 1 is next
        [1]
    """
    trail: list[int] = []
    for number in path:
        if number in trail:
            del trail[trail.index(number) + 1 :]
        elif number is not None:
            trail.append(number)
    present = path[-1] if path else None
    return [number for number in reversed(trail) if number != present]
