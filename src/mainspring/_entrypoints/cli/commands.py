"""The table of nouns: what each does, in one line, and the module that knows its verbs."""

from __future__ import annotations

from typing import Final, NamedTuple

DESCRIPTION: Final = "One system for the whole life of a machine-learning model."


class Command(NamedTuple):
    """A noun of the command line. A ``shared`` module serves several nouns and is told which."""

    module: str
    help: str
    group: str
    shared: bool = False


COMMANDS: Final[dict[str, Command]] = {
    "init": Command("init", "start a project", "Start"),
    "demo": Command("demo", "the whole loop on real data", "Start"),
    "up": Command("up", "everything in one: server, worker, inference gateway", "Start"),
    "status": Command("status", "what is live, what is wrong, what is due", "Start"),
    "doctor": Command("doctor", "what is wrong with this installation or workspace", "Start"),
    "config": Command("config", "every setting, its value and where it came from", "Start"),
    "problem": Command(
        "problem", "the problem definition, and how the live model meets it", "Problem and data"
    ),
    "data": Command("data", "datasets and their versions", "Problem and data"),
    "features": Command("features", "feature views as of each moment", "Problem and data"),
    "run": Command("run", "runs a pipeline of the project", "Train"),
    "runs": Command("runs", "tracked runs", "Train"),
    "experiments": Command("experiments", "the places that runs lie in", "Train"),
    "executions": Command("executions", "pipeline executions", "Train"),
    "models": Command("models", "the registry", "Release and serve"),
    "endpoints": Command("endpoints", "where models serve", "Release and serve"),
    "predict": Command("predict", "predicts the rows of a file", "Release and serve"),
    "outcomes": Command("outcomes", "what became of predictions", "Release and serve"),
    "gateway": Command("gateway", "the inference gateway, alone", "Release and serve"),
    "serve": Command("serve", "a packaged model, as a container runs it", "Release and serve"),
    "server": Command("server", "the tracking and registry server, alone", "Release and serve"),
    "worker": Command(
        "worker", "runs what is queued and scheduled, watches the endpoint", "Watch and improve"
    ),
    "monitor": Command("monitor", "windows of watching", "Watch and improve"),
    "alerts": Command("alerts", "what the monitors raised", "Watch and improve"),
    "loop": Command("loop", "triggers, challengers, releases", "Watch and improve"),
    "audit": Command("audit", "the record of everything, and its proof", "Govern"),
    "lineage": Command("lineage", "what a thing came from and what came of it", "Govern"),
    "gc": Command("gc", "removes what was deleted, frees what nothing needs", "Govern"),
    "completion": Command("completion", "completion script for a shell", "Start"),
}


def overview() -> str:
    """The nouns by group, for ``mainspring --help``."""
    lines: list[str] = []
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines.append(f"{group}:")
        lines += [
            f"  {noun:<12}{command.help}"
            for noun, command in COMMANDS.items()
            if command.group == group
        ]
        lines.append("")
    lines.append("'mainspring NOUN --help' tells more. Listing commands take --json.")
    return "\n".join(lines)
