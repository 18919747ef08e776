"""What must hold between the keys of a project file: pure rules, one function per promise.

Each rule takes the whole spec and yields its flaws; a contradiction names both keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from mainspring.projects.flaws import Flaw
from mainspring.projects.rules import data, loop, pipelines, problem, training
from mainspring.projects.spec import ProjectFile

RULES = (*data.RULES, *problem.RULES, *training.RULES, *loop.RULES, *pipelines.RULES)


def check_rules(spec: ProjectFile) -> Iterator[Flaw]:
    """Every broken rule of a spec whose keys and types are sound."""
    for rule in RULES:
        yield from rule(spec)
