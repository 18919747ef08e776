"""``mainspring models``: the registry.

A version is named NAME/VERSION (late/3), NAME@alias (late@champion) or NAME, which is the newest.
Every change stands in the record with who made it and why.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli import models_history, models_package, models_transfer
from mainspring._entrypoints.cli.models_plan import plan_fields, tell_plan
from mainspring._entrypoints.cli.opening import command, opened
from mainspring._entrypoints.cli.output import FAILED, Output, cell
from mainspring._entrypoints.cli.parser import count, past, verb, verbs
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.registry.card import Card
    from mainspring.registry.facts import Measured
    from mainspring.registry.types import Alias, Because, Version

_ADDRESS = "NAME/VERSION"
_CHAMPION = "champion"


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``models``."""
    among = verbs(parser)
    ls = verb(among, "ls", run_ls, "the models, or the versions of one")
    ls.add_argument("name", nargs="?", metavar="NAME", help="list the versions of this model")
    ls.add_argument("--limit", type=count, default=100, metavar="N", help="most rows (100)")
    show = verb(among, "show", run_show, "one version: what it is, how good, what it decides")
    show.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    diff = verb(among, "diff", run_diff, "what differs between two versions of a model")
    diff.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    diff.add_argument("other", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    models_history.add(among)
    card = verb(among, "card", run_card, "the model card, as Markdown")
    card.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    check = verb(
        among,
        "verify",
        run_verify,
        "check every stored byte of a version",
        more="Exit code 1 when a file is missing or changed, or a signature does not hold.",
    )
    check.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    _add_changes(among)


def _add_changes(among: Any) -> None:
    for name, told in (("approve", "approve a version"), ("reject", "reject a version for good")):
        judge = verb(among, name, run_judge, told)
        judge.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
        _why(judge)
    promote = verb(
        among,
        "promote",
        run_promote,
        "point an alias at a version",
        more="What serves is decided by the alias 'champion'. The move is made only if the alias "
        "is\nwhere it was when it was read: of two people at once, one is told.",
    )
    promote.add_argument("address", metavar=f"{_ADDRESS}|NAME@alias", help="the version")
    promote.add_argument("--to", default=_CHAMPION, metavar="ALIAS", help="which alias (champion)")
    _expect(promote)
    rollback = verb(among, "rollback", run_rollback, "point an alias at the version before")
    rollback.add_argument("address", metavar="NAME@alias", help="NAME alone means NAME@champion")
    _expect(rollback)
    models_package.add(among)
    models_transfer.add(among)


def _why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason, for the record")


def _expect(parser: argparse.ArgumentParser) -> None:
    _why(parser)
    parser.add_argument(
        "--expect", metavar="VERSION", help="only if the alias points there now ('none': nowhere)"
    )


# -- listing ----------------------------------------------------------------------------------


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists models or versions."""
    from mainspring.registry import Clause, Order, Query

    with opened(arguments, anywhere=True) as workspace:
        registry = workspace.registry
        if arguments.name is None:
            page = registry.models.search(Query(limit=arguments.limit))
            counts = {
                model.name: registry.versions.search(
                    Query(
                        clauses=(Clause("name", "=", model.name),),
                        order=(Order("number", descending=True),),
                        limit=1,
                    )
                ).items
                for model in page.items
            }
        else:
            registry.models.get(arguments.name)
            query = Query(
                clauses=(Clause("name", "=", arguments.name),),
                order=(Order("number", descending=True),),
                limit=arguments.limit,
            )
            versions = registry.versions.search(query)
    if arguments.name is not None:
        return _versions(output, list(versions.items), more=versions.next_token is not None)
    if output.as_json:
        output.document({"models": page.items})
        return 0
    output.table(
        ("model", "newest", "aliases", "changed (UTC)", "description"),
        [
            (
                model.name,
                counts[model.name][0].number if counts[model.name] else None,
                ", ".join(f"{alias} -> {number}" for alias, number in model.aliases.items()),
                model.updated,
                model.description,
            )
            for model in page.items
        ],
    )
    if not page.items:
        output.note(f"No model yet. Train one: {command(arguments, 'run train')}")
    if page.next_token:
        output.note("There are more; --limit N shows them.")
    return 0


def _versions(output: Output, versions: list[Version], *, more: bool) -> int:
    if output.as_json:
        output.document({"versions": versions})
        return 0
    output.table(
        ("version", "status", "aliases", "registered (UTC)", "reason"),
        [(one.address, one.status, one.aliases, one.created, one.reason) for one in versions],
    )
    if more:
        output.note("There are more; --limit N shows them.")
    return 0


# -- showing ----------------------------------------------------------------------------------


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one version."""
    with opened(arguments, anywhere=True) as workspace:
        version = workspace.registry.aliases.resolve(arguments.address)
        card = _card(workspace, version) if version.package else None
    if output.as_json:
        output.document({"version": version, "card": card})
        return 0
    output.fields(
        [
            ("Version", version.address),
            ("Status", version.status + (f": {version.reason}" if version.reason else "")),
            ("Aliases", version.aliases),
            ("Registered", version.created),
            ("Description", version.description),
            ("Tags", ", ".join(f"{k}={v}" for k, v in version.tags.items())),
            ("Source", version.source),
            ("Run", version.run_id),
            ("Package", version.package or "none (registered by its source alone)"),
            *(_of_card(card) if card else ()),
        ]
    )
    if card is not None:
        _tell_card(output, card)
    return 0


def _of_card(card: Card) -> list[tuple[str, Any]]:
    how, decision = card.training, card.decision
    return [
        ("Signature", card.signature),
        ("Learner", how.learner or how.runtime),
        ("Trained until", how.trained_until and past(how.trained_until)),
        ("Data", ", ".join(str(one.ref) for one in card.data)),
        ("Inputs", len(card.inputs)),
        ("Threshold", f"{decision.threshold:.4f}" if decision else None),
        *(plan_fields(card.plan) if card.plan else ()),
    ]


def _tell_card(output: Output, card: Card) -> None:
    if card.plan is not None:
        tell_plan(output, card.plan)
    if card.metrics:
        output.heading("Metrics")
        output.table(("metric", "of", "value", "interval", "rows"), map(_measured, card.metrics))
    if card.gates:
        output.heading("Gates")
        output.table(
            ("gate", "verdict", "value", "required"),
            [(g.gate, "passed" if g.passed else "failed", g.value, g.required) for g in card.gates],
        )
    output.note(f"'mainspring models card {card.model.address}' tells all of it.")


def _measured(one: Measured) -> tuple[Any, ...]:
    interval = "" if one.low is None else f"{cell(one.low)} to {cell(one.high)}"
    return one.metric, one.reference or "model", one.value, interval, one.rows


def run_card(arguments: argparse.Namespace, output: Output) -> int:
    """Prints the model card."""
    from mainspring.registry.markdown import card_markdown

    with opened(arguments, anywhere=True) as workspace:
        card = _card(workspace, workspace.registry.aliases.resolve(arguments.address))
    if output.as_json:
        output.document(card)
    else:
        output.line(card_markdown(card).rstrip())
    return 0


def _card(workspace: Workspace, version: Version) -> Card:
    return workspace.registry.packages.card(version.name, version.number)


def run_diff(arguments: argparse.Namespace, output: Output) -> int:
    """Compares two versions."""
    with opened(arguments, anywhere=True) as workspace:
        before = workspace.registry.aliases.resolve(arguments.address)
        after = workspace.registry.aliases.resolve(_same_model(arguments.other, before.name))
        if before.name != after.name:
            raise Invalid(
                "cli.wrong_use",
                f"{before.address} and {after.address} are versions of different models.",
                hint="Name two versions of one model.",
            )
        found = workspace.registry.packages.diff(before.name, before.number, after.number)
    if output.as_json:
        output.document({"before": before.address, "after": after.address, "differences": found})
        return 0
    output.line(f"{before.address} -> {after.address}")
    if not found:
        output.line("They do not differ.")
    output.table(
        ("what", "before", "after"),
        [(f"{one.section} {one.key}", _short(one.before), _short(one.after)) for one in found],
    ) if found else None
    return 0


def _same_model(address: str, name: str) -> str:
    """A second address may leave out the name: ``/4`` or ``@champion`` or ``4``."""
    if address.isdigit():
        return f"{name}/{address}"
    return f"{name}{address}" if address[:1] in {"/", "@"} else address


def _short(value: Any) -> str:
    text = cell(value)
    return f"{text[7:19]}..." if text.startswith("sha256:") else text


def run_verify(arguments: argparse.Namespace, output: Output) -> int:
    """Checks a version's bytes."""
    with opened(arguments, anywhere=True) as workspace:
        version = workspace.registry.aliases.resolve(arguments.address)
        found = workspace.registry.packages.verify(version.name, version.number)
    if output.as_json:
        output.document({"ok": found.ok, **_plain(found)})
    elif found.ok:
        output.line(f"{found.address}: every byte is as registered; {found.signature}.")
    else:
        output.line(f"{found.address}: {len(found.faults)} faults; {found.signature}.")
        output.table(
            ("file", "fault", "detail"), [(one.path, one.what, one.detail) for one in found.faults]
        )
    return 0 if found.ok else FAILED


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


# -- changing ---------------------------------------------------------------------------------


def run_judge(arguments: argparse.Namespace, output: Output) -> int:
    """Approves or rejects a version."""
    with opened(arguments, anywhere=True) as workspace:
        version = workspace.registry.aliases.resolve(arguments.address)
        status: Any = {"approve": "approved", "reject": "rejected"}[arguments.verb]
        judged = workspace.registry.versions.judge(
            version.name, version.number, status, _because(arguments, workspace)
        )
    output.document({"version": judged}) if output.as_json else None
    output.line(f"{judged.address} is {judged.status}.")
    return 0


def run_promote(arguments: argparse.Namespace, output: Output) -> int:
    """Points an alias at a version."""
    with opened(arguments, anywhere=True) as workspace:
        registry = workspace.registry
        version = registry.aliases.resolve(arguments.address)
        before = registry.aliases.get(version.name, arguments.to)
        registry_move = registry.aliases.move(
            version.name,
            arguments.to,
            to=version.number,
            expected=_expected(arguments, before),
            because=_because(arguments, workspace),
        )
    if output.as_json:
        output.document({"move": registry_move})
        return 0
    alias = f"{version.name}@{arguments.to}"
    if before.version == version.number:
        output.line(f"{alias} points at version {version.number} already.")
    else:
        output.line(f"{alias}: {_spoken(before.version)} -> version {version.number}")
        if arguments.to == _CHAMPION and version.package:
            deploy = command(arguments, f"endpoints deploy {alias}")
            output.note(f"An endpoint answers by it after: {deploy}")
        output.note(f"Undo it with: {command(arguments, f'models rollback {alias}')}")
    return 0


def run_rollback(arguments: argparse.Namespace, output: Output) -> int:
    """Points an alias back."""
    from mainspring.registry import parse_address

    address = parse_address(arguments.address)
    if address.number is not None:
        raise Invalid(
            "cli.wrong_use",
            "A rollback takes an alias back, not a version.",
            hint=f"Write {address.name}@{_CHAMPION}, or promote the version you want.",
        )
    alias = address.alias or _CHAMPION
    with opened(arguments, anywhere=True) as workspace:
        before = workspace.registry.aliases.get(address.name, alias)
        move = workspace.registry.aliases.rollback(
            address.name,
            alias,
            expected=_expected(arguments, before),
            because=_because(arguments, workspace),
        )
    output.document({"move": move}) if output.as_json else None
    output.line(f"{address.name}@{alias}: version {move.before} -> version {move.after}")
    return 0


def _spoken(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"


def _expected(arguments: argparse.Namespace, before: Alias) -> Alias | int | None:
    text: str | None = arguments.expect
    if text is None:
        return before
    if text == "none":
        return None
    number = text.rpartition("/")[2]
    if not number.isdigit():
        raise Invalid(
            "cli.wrong_use",
            f"--expect {text[:80]!r} is no version.",
            hint="Give its number, or 'none' for an alias that points nowhere.",
        )
    return int(number)


def _because(arguments: argparse.Namespace, workspace: Workspace) -> Because:
    from mainspring.registry import Because

    return Because(why=arguments.why, actor=workspace.actor)
