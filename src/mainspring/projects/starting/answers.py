"""The nine questions of a new project, and the answers to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean
from mainspring.projects.starting.table import ColumnSeen, TableSeen

_TRIES: Final = 3


class Question(NamedTuple):
    """One question, what it is for, and the answer that stands when none is given."""

    key: str
    text: str
    default: str


PROBLEM_QUESTIONS: Final = (
    Question(
        "objective",
        "What does the business want to reach?",
        "Say here what the business wants to reach.",
    ),
    Question(
        "problem",
        "What is the problem today, and for whom?",
        "Say here what the problem is today, and for whom.",
    ),
    Question(
        "questions",
        "Which questions shall the model answer? (several: separate with ;)",
        "What will the target be for a new row?",
    ),
    Question("target", "What shall be predicted? (a column of the data)", "target"),
)
DATA_QUESTIONS: Final = (
    Question(
        "data",
        "Which data and which features would answer them?",
        "Say here which data and features would answer the questions.",
    ),
    Question("have", "Do we have these data?", "Not said yet."),
    Question("origin", "Where do they come from?", "Not said yet."),
    Question("accurate", "Are they accurate? How do we know?", "Not said yet."),
    Question("cleansing", "Do they need cleansing? Which?", "Not said yet."),
)
QUESTIONS: Final = (*PROBLEM_QUESTIONS, *DATA_QUESTIONS)


@dataclass(frozen=True, slots=True)
class Interview:
    """Somebody to ask and to tell: ``ask(question, default) -> answer``, ``say(text)``."""

    ask: Callable[[str, str], str]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a new project before it is written down.

    ``given`` holds answers by the key of their question. ``yes`` is the value of a target of two
    words that counts as yes.
    """

    given: dict[str, str] = field(default_factory=dict)
    yes: str | None = None

    def __getitem__(self, key: str) -> str:
        for question in QUESTIONS:
            if question.key == key:
                return self.given.get(key, "").strip() or question.default
        raise KeyError(key)

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions of the model, one by one."""
        found = tuple(text.strip() for text in self["questions"].split(";") if text.strip())
        return found or (self["questions"],)


def complete(answers: Answers, interview: Interview | None, table: TableSeen | None) -> Answers:
    """The answers with every open question asked, or settled by what the data shows.

    Errors: ``project.no_such_column``, ``project.no_target`` when nothing could be the target,
    ``project.one_class``, ``project.many_classes``, ``project.no_such_class``.
    """
    given = dict(answers.given)
    for question in QUESTIONS:
        if question.key in given:
            continue
        default = _default(question, given, table)
        if question.key == "target" and table is not None:
            given["target"] = _ask_target(interview, question, default, table)
        elif interview is not None:
            given[question.key] = interview.ask(question.text, default)
        else:
            given[question.key] = default
    yes = answers.yes
    if table is not None:
        yes = _settle_target(table, given["target"], yes, interview)
    return Answers(given, yes)


def _default(question: Question, given: dict[str, str], table: TableSeen | None) -> str:
    if table is None:
        return question.default
    if question.key == "target":
        return next(iter(table.targets()), "")
    if question.key == "questions" and given.get("target"):
        return f"What will {given['target']} be for a new row?"
    if question.key == "have":
        return f"Yes: {table.file.name}."
    if question.key == "origin":
        return f"From the file {table.file.name}."
    return question.default


def _ask_target(
    interview: Interview | None, question: Question, default: str, table: TableSeen
) -> str:
    if interview is None:
        if not default:
            raise Invalid(
                "project.no_target",
                f"No column of {table.file.name!r} looks like something to predict.",
                hint="Name the target: a column of two values, or of many numbers.",
                known=list(table.header[:100]),
            )
        return default
    for _ in range(_TRIES):
        target = interview.ask(question.text, default).strip()
        if target in table.header:
            return target
        interview.say(f"There is no column {target[:80]!r}. {did_you_mean(target, table.header)}")
    return table.column(target).name


def _settle_target(
    table: TableSeen, target: str, yes: str | None, interview: Interview | None
) -> str | None:
    """The value that counts as yes, when the target has two values that are not 0 and 1."""
    column = table.column(target)
    if column.distinct < 2:  # noqa: PLR2004 - one value cannot be learned
        values = f"the value {column.classes[0]!r}" if column.classes else "nothing"
        raise Invalid(
            "project.one_class",
            f"The target {target!r} holds {values} in all {len(table.rows):,} rows seen.",
            hint="A model needs rows with different outcomes; take another column, or more rows.",
            column=target,
        )
    if yes is not None:
        if yes not in column.classes:
            message = f"The target {target!r} never holds {yes[:80]!r}."
            raise Invalid(
                "project.no_such_class", message, hint=did_you_mean(yes[:128], column.classes)
            )
        return yes
    if column.kind == "boolean" or _is_plain_number(column):
        return None
    if column.distinct > 2:  # noqa: PLR2004 - yes and no
        raise Invalid(
            "project.many_classes",
            f"The target {target!r} holds {column.distinct:,} different texts; "
            "a model predicts yes or no, or a number.",
            hint="Name the one value that counts as yes, or take a column of numbers.",
            column=target,
            values=list(column.classes),
        )
    likely = _likely_yes(table, column)
    if interview is None:
        return likely
    answer = interview.ask(f"Which value of {target!r} counts as yes?", likely).strip()
    return answer if answer in column.classes else likely


def _is_plain_number(column: ColumnSeen) -> bool:
    """Whether a target needs no definition: many numbers, or just 0 and 1."""
    if column.kind not in {"integer", "number"}:
        return False
    return column.distinct != 2 or {float(value) for value in column.classes} == {0.0, 1.0}  # noqa: PLR2004 - yes and no


def _likely_yes(table: TableSeen, column: ColumnSeen) -> str:
    """The greater number, a word for yes, or else the rarer value as the one worth predicting."""
    if column.kind in {"integer", "number"}:
        return max(column.classes, key=float)
    for value in column.classes:
        if value.lower() in {"yes", "y", "t", "positive"}:
            return value
    index = table.header.index(column.name)
    counts = {value: sum(row[index] == value for row in table.rows) for value in column.classes}
    return min(sorted(counts), key=counts.__getitem__)
