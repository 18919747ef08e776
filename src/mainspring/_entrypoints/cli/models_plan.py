"""How ``models show`` tells a version's plan of execution and its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring._entrypoints.cli.output import Output
    from mainspring.registry.plan import Plan


def plan_fields(plan: Plan) -> list[tuple[str, str]]:
    """The way that was taken, and the types it trusts."""
    return [("Plan", f"{plan.way}: {plan.why}"), ("Trusts", ", ".join(plan.trusted))]


def tell_plan(output: Output, plan: Plan) -> None:
    """Every form that was tried."""
    tried = [*plan.tried, *([plan.compiled] if plan.compiled else [])]
    if not tried:
        return
    output.heading("Forms tried")
    output.table(
        ("form", "runtime", "verdict", "rows", "largest difference", "one row us", "1000 rows us"),
        [
            (
                one.way,
                one.runtime,
                "taken" if one.accepted else "refused",
                one.sample_rows + one.boundary_rows,
                one.largest_difference,
                one.row_microseconds,
                one.batch_microseconds,
            )
            for one in tried
        ],
    )
