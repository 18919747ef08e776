"""``mainspring features``: feature views, as of each moment.

The project's features are Python: the set that [training] features names ('features.py:features').
A build computes them for every row from what was known at its prediction time, and nothing later.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli import materialize
from mainspring._entrypoints.cli.opening import command, opened, project_folder
from mainspring._entrypoints.cli.output import FAILED, Output
from mainspring._entrypoints.cli.parser import count, verb, verbs
from mainspring.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from mainspring._bootstrap.workspace import Workspace
    from mainspring.features import FeatureBuild, FeatureCheck, FeatureSet


def add(parser: argparse.ArgumentParser) -> None:
    """The verbs of ``features``."""
    among = verbs(parser)
    verb(among, "ls", run_ls, "the feature sets, and what was built of them")
    show = verb(among, "show", run_show, "one feature set: its columns and where they come from")
    show.add_argument("name", nargs="?", metavar="NAME", help="that of the project if none")
    build = verb(
        among,
        "build",
        run_build,
        "compute the project's features",
        more="Building the same from the same data again changes nothing.",
    )
    build.add_argument("name", nargs="?", metavar="NAME", help="that of the project if none")
    build.add_argument("--start", type=_moment, metavar="DATE", help="rows from this event time on")
    build.add_argument("--end", type=_moment, metavar="DATE", help="rows before this event time")
    materialize.add(among, _definition)
    get = verb(among, "get", run_get, "the features of some rows, by their key")
    get.add_argument("keys", nargs="+", metavar="KEY", help="row keys; several columns: joined")
    get.add_argument("--name", metavar="NAME", help="the feature set; that of the project if none")
    get.add_argument("--as-of", type=_moment, metavar="TIME", help="only what was due by then")
    check = verb(
        among,
        "check",
        run_check,
        "how fresh and full a set is, and whether a slow recomputation agrees to the bit",
        more="Exit code 1 when it does not.",
    )
    check.add_argument("name", nargs="?", metavar="NAME", help="that of the project if none")
    check.add_argument("--sample", type=count, default=25, metavar="N", help="rows recomputed (25)")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment such as 2024-05-01 or 2024-05-01T10:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _definition(workspace: Workspace) -> FeatureSet:
    """The feature set that the project's Python file defines."""
    from mainspring.features.types import FeatureSet
    from mainspring.projects.code import load_object

    project = workspace.project
    found = load_object(project.folder, project.spec.training.features)
    if not isinstance(found, FeatureSet):
        raise Invalid(
            "project.not_features",
            f"{project.spec.training.features} is {type(found).__name__}, not a feature set.",
            hint="Make it with feature_set(...) of mainspring.features.",
        )
    return found


def _name(workspace: Workspace, named: str | None) -> str:
    return named if named is not None else _definition(workspace).name


def run_ls(arguments: argparse.Namespace, output: Output) -> int:
    """Lists feature sets."""
    with opened(arguments) as workspace:
        names = workspace.features.names()
        builds = {name: workspace.features.latest(name) for name in names}
        if project_folder(workspace.folder) is not None:
            builds = {_definition(workspace).name: None, **builds}
    if output.as_json:
        output.document({"feature_sets": [{"name": n, "latest": b} for n, b in builds.items()]})
        return 0
    output.table(
        ("features", "version", "columns", "rows", "made of", "built (UTC)"),
        [
            (
                name,
                build.version if build else None,
                len(build.columns) if build else None,
                build.table_rows if build else None,
                _made_of(build) if build else "",
                build.created if build else None,
            )
            for name, build in builds.items()
        ],
    )
    if None in builds.values():
        output.note(f"Not built yet: {command(arguments, 'features build')}")
    return 0


def _made_of(build: FeatureBuild) -> str:
    return ", ".join(f"{name}@{number}" for name, number in build.used.items())


def run_show(arguments: argparse.Namespace, output: Output) -> int:
    """Shows one feature set."""
    with opened(arguments) as workspace:
        build = workspace.features.show(_name(workspace, arguments.name))
    if output.as_json:
        output.document(build)
        return 0
    output.fields(
        [
            ("Features", build.name),
            ("Rows", build.table_rows),
            ("Made of", _made_of(build)),
            ("Built", build.created),
            ("Recipe", build.recipe),
        ]
    )
    output.heading("Columns")
    output.table(
        ("feature", "type", "view", "dataset"),
        [(c.name, c.type, c.view, c.dataset or build.problem.dataset) for c in build.columns],
    )
    return 0


def run_build(arguments: argparse.Namespace, output: Output) -> int:
    """Builds the project's features."""
    with opened(arguments) as workspace:
        definition = _definition(workspace)
        if arguments.name not in {None, definition.name}:
            raise NotFound(
                "features.not_declared",
                f"The project defines no feature set {arguments.name[:80]!r}.",
                hint=f"It defines {definition.name!r}; leave the name out.",
            )
        output.progress(f"building {definition.name} ...")
        before = workspace.features.latest(definition.name)
        began = time.monotonic()
        build = workspace.features.build(
            definition,
            workspace.project.spec.problem,
            start=arguments.start,
            end=arguments.end,
        )
        output.progress("")
    if output.as_json:
        output.document(build)
        return 0
    seconds = time.monotonic() - began
    if before is not None and before.version == build.version:
        output.line(f"{build.name}: nothing to do, it is built already.")
    else:
        output.line(
            f"{build.name}: {build.rows:,} rows, {len(build.columns)} features of "
            f"{_made_of(build)} ({seconds:.1f} s)"
        )
    return 0


def run_get(arguments: argparse.Namespace, output: Output) -> int:
    """Shows the features of some rows."""
    from mainspring._entrypoints.cli.data import brief, records

    with opened(arguments) as workspace:
        name = _name(workspace, arguments.name)
        frame = workspace.features.get(name, arguments.keys, as_of=arguments.as_of)
    rows = list(records(frame))
    if not rows:
        raise NotFound(
            "features.no_such_row",
            f"{name!r} has no row with the key {', '.join(arguments.keys)[:120]!r}"
            f"{' due by then' if arguments.as_of else ''}.",
            hint="Keys are those of the dataset; see 'mainspring data show DATASET'.",
        )
    if output.as_json:
        output.document({"features": name, "rows": rows})
        return 0
    for row in rows:
        output.fields((name, brief(value)) for name, value in row.items())
        output.line()
    return 0


def run_check(arguments: argparse.Namespace, output: Output) -> int:
    """Checks a feature set."""
    with opened(arguments) as workspace:
        name = _name(workspace, arguments.name)
        output.progress(f"recomputing {arguments.sample} rows of {name} ...")
        found = workspace.features.check(name, sample=arguments.sample)
        output.progress("")
    if output.as_json:
        output.document({"ok": found.ok, "check": found})
        return 0 if found.ok else FAILED
    output.fields(
        [
            ("Build", found.build),
            ("Rows", found.rows),
            ("Newest row", found.newest_event),
            ("Newest in data", found.newest_in_dataset),
            ("Recomputed", f"{found.compared:,} values of {found.sampled:,} rows"),
            ("Agreed", _agreed(found)),
        ]
    )
    output.heading("Features")
    output.table(
        ("feature", "empty", "distinct"),
        [(one.name, f"{one.null_ratio:.1%}", one.distinct) for one in found.features],
    )
    return 0 if found.ok else FAILED


def _agreed(found: FeatureCheck) -> str:
    if not found.compared:
        return "nothing to recompute: every feature is of the row itself"
    return "to the bit" if found.ok else f"NO: {', '.join(found.mismatches[:5])}"
