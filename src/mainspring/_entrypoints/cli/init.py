"""``mainspring init``: start a project.

On a terminal it asks the four questions of problem definition and the five of data sourcing, and
writes the answers down. Elsewhere, and with --yes, what the data shows stands: look through
mainspring.toml before you trust it. Nothing is ever overwritten.

  mainspring init shop --csv orders.csv
  mainspring init shop --csv orders.csv --target returned --yes
  mainspring init --list-templates
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import common
from mainspring.core.errors import Invalid

if TYPE_CHECKING:
    from mainspring.projects.starting import Answers, Interview, Started


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``init``."""
    parser.add_argument("folder", nargs="?", metavar="DIR", help="its folder; the current one")
    parser.add_argument("--template", metavar="NAME", help="'tabular', 'empty' or an example")
    parser.add_argument("--csv", metavar="FILE", help="the table to start from (template tabular)")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict")
    parser.add_argument(
        "--positive", metavar="VALUE", help="the value of the target that counts as yes"
    )
    parser.add_argument(
        "--answer",
        metavar="KEY=TEXT",
        action="append",
        default=[],
        help="answers one question beforehand: objective, problem, questions, data, have, "
        "origin, accurate, cleansing",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--list-templates", action="store_true", help="what can be started from")
    common(parser, run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Starts a project."""
    from mainspring.projects.starting import start_project, template_names

    if arguments.list_templates:
        names = template_names()
        output.document({"templates": names}) if output.as_json else None
        output.table(("template", "starts"), [(name, _told(name)) for name in names])
        return 0
    answers = _answers(arguments)
    asking = sys.stdin.isatty() and sys.stderr.isatty() and not arguments.yes
    interview = _interview(output) if asking else None
    template, csv = _template(arguments, interview)
    folder = Path(arguments.folder or ".")
    started = start_project(
        folder, template=template, csv_file=csv, answers=answers, interview=interview
    )
    _tell(output, started, template)
    return 0


def _told(name: str) -> str:
    return {
        "empty": "a project file to fill in",
        "tabular": "a whole project from a CSV file (--csv FILE)",
    }.get(name, "a complete example")


def _answers(arguments: argparse.Namespace) -> Answers:
    from mainspring.core.names import did_you_mean
    from mainspring.projects.starting import QUESTIONS, Answers

    given = {"target": arguments.target} if arguments.target is not None else {}
    known = [question.key for question in QUESTIONS]
    for text in arguments.answer:
        key, equals, answer = text.partition("=")
        if not equals or key not in known:
            raise Invalid(
                "cli.wrong_use",
                f"--answer {text[:80]!r} answers no question.",
                hint=f"Write KEY=TEXT. {did_you_mean(key[:128], known)}",
            )
        given[key] = answer
    return Answers(given, arguments.positive)


def _template(
    arguments: argparse.Namespace, interview: Interview | None
) -> tuple[str, Path | None]:
    csv: str | None = arguments.csv
    if csv is None and arguments.template is None and interview is not None:
        csv = interview.ask("Is there a CSV file to start from? (its path, or nothing)", "") or None
    template = arguments.template or ("tabular" if csv else "empty")
    if csv and template != "tabular":
        raise Invalid(
            "cli.wrong_use",
            f"The template {template!r} does not start from a CSV file.",
            hint="Leave out --template, or leave out --csv.",
        )
    return template, Path(csv).expanduser() if csv else None


def _interview(output: Output) -> Interview:
    from mainspring.projects.starting import Interview

    def ask(question: str, default: str) -> str:
        shown = f" [{default}]" if default else ""
        sys.stderr.write(f"\n{question}{shown}\n> ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise Invalid(
                "cli.no_answer",
                "The questions were broken off; nothing was written.",
                hint="Start again, or let the data answer with --yes.",
            )
        return line.strip() or default

    output.note(
        "Nine questions: what the model is for, and where its data come from. An empty answer "
        "takes what stands in brackets; all of it can be changed later in mainspring.toml."
    )
    return Interview(ask, output.note)


def _tell(output: Output, started: Started, template: str) -> None:
    if output.as_json:
        output.document(
            {"folder": str(started.folder), "files": started.files, "notes": started.notes}
        )
        return
    output.line(f"Started a project in {started.folder}:")
    for name in started.files:
        if not name.startswith("."):
            output.line(f"  {name}")
    if template == "tabular":
        output.line()
        output.line(
            f"It predicts {_predicted(started.folder)}; [problem] in mainspring.toml says so."
        )
    if started.notes:
        output.heading("Look at these first:")
        for note in started.notes:
            output.paragraph(f"- {note}", indent="  ")
    here = started.folder == Path.cwd()
    steps = [] if here else [f"cd {_quoted(started.folder)}"]
    if template == "empty":
        steps += ["open mainspring.toml and say what to predict, and from which source"]
    else:
        steps += [
            f"look through {_texts(started.files)}: every line can be changed",
            "mainspring data check    what the data holds against what it promises",
            "mainspring run train     ingests, builds features, trains, judges, deploys",
            "mainspring gateway       answers over HTTP",
        ]
    output.heading("Next:")
    for step in steps:
        output.line(f"  {step}")


def _predicted(folder: Path) -> str:
    """What a new project predicts, as its file says it."""
    import tomllib

    from mainspring._bootstrap.folder import PROJECT_FILE

    problem = tomllib.loads((folder / PROJECT_FILE).read_text("utf-8"))["problem"]
    return str(problem.get("target_sql") or problem["target"])


def _texts(files: tuple[str, ...]) -> str:
    return " and ".join(name for name in ("mainspring.toml", "PROBLEM.md") if name in files)


def _quoted(folder: Path) -> str:
    import shlex

    try:
        return shlex.quote(str(folder.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(folder))
