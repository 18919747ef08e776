"""``mainspring endpoints traffic``: who answers beside the champion, and who gets copies."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from mainspring._bootstrap.splitting import Beside
    from mainspring.serving.traffic import Route

_MORE = """What is named replaces what stood beside the champion; --champion-only leaves it alone.

  mainspring endpoints traffic late --canary late/4=0.1 --shadow late@candidate
  mainspring endpoints traffic late --experiment summer --arm late/4=0.5
  mainspring endpoints traffic late --group-by carrier --group UA=late/5
  mainspring endpoints traffic late --rollback
"""


def add(among: Any, show: Callable[[argparse.Namespace, Output], int]) -> None:
    """The verb ``traffic``; asked for nothing it does what ``show`` does."""
    found = verb(among, "traffic", run, "split, copy and roll back an endpoint", more=_MORE)
    found.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    found.set_defaults(show=show)
    share, model = "MODEL=SHARE", "MODEL"
    found.add_argument(
        "--canary", action="append", type=_shared, metavar=share, help="answers its share"
    )
    found.add_argument("--experiment", metavar="NAME", help="the test that the arms belong to")
    found.add_argument(
        "--arm", action="append", type=_shared, metavar=share, help="one side of the experiment"
    )
    found.add_argument("--group-by", metavar="COLUMN", help="which column names a row's group")
    found.add_argument(
        "--group", action="append", type=_grouped, metavar="VALUE=MODEL", help="answers that group"
    )
    found.add_argument(
        "--shadow", action="append", metavar=model, help="gets copies when there is room"
    )
    found.add_argument(
        "--reference", action="append", metavar=model, help="gets a copy of every row"
    )
    found.add_argument("--champion-only", action="store_true", help="nobody beside the champion")
    found.add_argument("--rollback", action="store_true", help="as it was before the last change")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Changes an endpoint's traffic, or shows it when nothing is asked for."""
    from mainspring._bootstrap.splitting import roll_back, split

    beside = _beside(arguments)
    if beside is None and not arguments.rollback:
        shown: int = arguments.show(arguments, output)
        return shown
    with opened(arguments) as workspace:
        if beside is None:
            route = roll_back(workspace, arguments.endpoint)
        else:
            route = split(workspace, arguments.endpoint, beside)
    if output.as_json:
        output.document({"endpoint": arguments.endpoint, "route": route})
        return 0
    output.line(f"{arguments.endpoint}: {_told(route)}.")
    return 0


def _beside(arguments: argparse.Namespace) -> Beside | None:
    """What is asked to stand beside the champion; None when nothing is asked for."""
    from mainspring._bootstrap.splitting import Beside
    from mainspring.core.errors import Invalid

    found = Beside(
        canaries=tuple(arguments.canary or ()),
        experiment=arguments.experiment or "",
        arms=tuple(arguments.arm or ()),
        column=arguments.group_by or "",
        groups=tuple(arguments.group or ()),
        shadows=tuple(arguments.shadow or ()),
        references=tuple(arguments.reference or ()),
    )
    asked = found != Beside()
    if asked + arguments.champion_only + arguments.rollback > 1 or bool(found.groups) != bool(
        found.column
    ):
        raise Invalid(
            "serving.bad_traffic",
            "These options do not go together.",
            hint="Name variants, or --champion-only, or --rollback; --group needs --group-by.",
        )
    return found if asked or arguments.champion_only else None


def _told(route: Route) -> str:
    told = [
        f"{v.role} {v.version}" + (f" ({v.share:.0%})" if v.share else "") for v in route.variants
    ]
    return ", ".join(told)


def _shared(text: str) -> tuple[str, float]:
    address, _, said = text.rpartition("=")
    try:
        share = float(said.removesuffix("%")) / (100 if said.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not address or not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not MODEL=SHARE, such as late/4=0.1")
    return address, share


def _grouped(text: str) -> tuple[str, str]:
    value, equals, address = text.rpartition("=")
    if not equals or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not VALUE=MODEL, such as UA=late/5")
    return value, address
