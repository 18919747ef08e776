"""Starting a project: from a CSV file, from nothing, or from an example."""

from __future__ import annotations

import csv
import io
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mainspring.core.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.projects import read_project
from mainspring.projects.starting import (
    QUESTIONS,
    Answers,
    Interview,
    look_at_csv,
    start_project,
    template_names,
)
from mainspring.projects.starting.start import example_files
from mainspring.projects.starting.table import MAX_BYTES

CHURN = "id;since;age;plan;reason;left\n" + "".join(
    f"C{i:03};2024-01-{i % 28 + 1:02};{20 + i % 30 if i % 7 else 'n/a'};"
    f"{'basic' if i % 2 else 'pro'};{'moved' if i % 3 == 0 else 'none'};"
    f"{'yes' if i % 3 == 0 else 'no'}\n"
    for i in range(90)
)
HOUSES = "rooms,area,price\n" + "".join(f"{i % 5},{i * 1.5},{1000 + i * 7}\n" for i in range(40))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "churn.csv"
    file.write_text(CHURN)
    return file


def features_of(folder: Path) -> Any:
    """The feature set of a project, as its Python file defines it."""
    return runpy.run_path(str(folder / "features.py"))["features"]


def error_of(call: Callable[[], object]) -> MainspringError:
    with pytest.raises(MainspringError) as caught:
        call()
    assert caught.value.hint
    return caught.value


def test_a_csv_file_becomes_a_project_that_is_read_back(tmp_path: Path, file: Path) -> None:
    """Key, time, target, source, expectations and features are proposed from what was seen."""
    started = start_project(
        tmp_path / "Why they leave",
        template="tabular",
        csv_file=file,
        answers=Answers({"target": "left", "objective": 'Keep "good" customers.\n$x'}),
    )
    spec = read_project(started.folder).spec
    assert spec.project.name == "why-they-leave"
    assert spec.problem.objective == 'Keep "good" customers.\n$x'
    assert (spec.problem.task, spec.problem.target) == ("binary", "is_left")
    assert spec.problem.target_sql == "\"left\" = 'yes'"
    rows, source = spec.datasets["rows"], spec.sources["rows"]
    assert (rows.key, rows.time) == (("id",), "since")
    assert rows.known_ahead == ("id", "since", "age", "plan")  # not 'reason': it settles 'left'
    assert (source.path, source.delimiter) == ("../churn.csv", ";")
    assert source.null_values == ("", "NA", "n/a")
    checks = {(each.check, each.column): each for each in rows.expect}
    assert (checks["in_range", "age"].min, checks["in_range", "age"].max) == (20, 49)
    assert checks["in_set", "plan"].values == ("basic", "pro")
    assert ("not_null", "age") not in checks
    assert any("'reason'" in note for note in started.notes)


def test_the_features_are_python_over_columns_that_are_known(tmp_path: Path, file: Path) -> None:
    """features.py compiles, and its expressions name the columns a model may look at."""
    started = start_project(
        tmp_path / "p", template="tabular", csv_file=file, answers=Answers({"target": "left"})
    )
    features = features_of(started.folder)
    (view,) = features.views
    assert view.columns == {"age": '"age"', "plan": '"plan"'}
    assert features.categories == ("plan",)


def test_what_was_asked_and_answered_is_written_down(tmp_path: Path, file: Path) -> None:
    """All nine questions are put once, in order, and stand with their answers in PROBLEM.md."""
    asked: list[str] = []
    answers = iter(
        [
            "Grow.",
            "They leave.",
            "Who? ; When?",
            "lfet",
            "left",
            "CRM.",
            "Yes.",
            "Sales.",
            "Mostly.",
            "No.",
            "no",
        ]
    )
    said: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return next(answers)

    started = start_project(
        tmp_path / "p",
        template="tabular",
        csv_file=file,
        interview=Interview(ask=ask, say=said.append),
    )
    assert list(dict.fromkeys(asked))[:9] == [question.text for question in QUESTIONS]
    assert said == ["There is no column 'lfet'. Did you mean 'left'?"]
    record = (started.folder / "PROBLEM.md").read_text()
    for question, answer in zip(QUESTIONS, ("Grow.", "They leave.", "Who? ; When?"), strict=False):
        assert f"**{question.text}**\n\n{answer}\n" in record
    spec = read_project(started.folder).spec
    assert spec.problem.questions == ("Who?", "When?")
    assert spec.problem.target_sql == "\"left\" = 'no'"
    assert spec.project.description == "They leave."
    assert spec.datasets["rows"].purpose == "CRM."
    assert "Accurate? Mostly." in spec.datasets["rows"].expect[0].why
    assert "# Cleansing: No." in (started.folder / "mainspring.toml").read_text()


def test_numbers_to_predict_make_a_regression(tmp_path: Path) -> None:
    """Many numbers are a regression; rows without a key are numbered, and that is said."""
    file = tmp_path / "houses.csv"
    file.write_text(HOUSES.replace("2,3.0,1014", "2,3.0,1014\n2,3.0,1014"))
    started = start_project(tmp_path / "p", template="tabular", csv_file=file)
    spec = read_project(started.folder).spec
    assert (spec.problem.task, spec.problem.target) == ("regression", "price")
    assert spec.datasets["rows"].key == ("row_number",)
    assert "No column names a row" in spec.datasets["rows"].clean[0].why
    assert (spec.training.split.method, spec.training.resample) == ("hash", "row")
    assert "numbered" in started.notes[0]


@pytest.mark.parametrize("zero_one", [("0", "1"), ("false", "true")])
def test_a_target_that_is_yes_or_no_already_needs_no_definition(
    tmp_path: Path, zero_one: tuple[str, str]
) -> None:
    """0 and 1, true and false are taken as they are."""
    file = tmp_path / "a.csv"
    file.write_text("id,x,y\n" + "".join(f"k{i},{i % 7},{zero_one[i % 2]}\n" for i in range(20)))
    started = start_project(
        tmp_path / "p", template="tabular", csv_file=file, answers=Answers({"target": "y"})
    )
    problem = read_project(started.folder).spec.problem
    assert (problem.task, problem.target, problem.target_sql) == ("binary", "y", None)


def test_the_empty_template_is_a_project(tmp_path: Path) -> None:
    """Without data the project holds the answers, an editor schema and comments to go on from."""
    started = start_project(tmp_path / "new" / "2 ideas", answers=Answers({"objective": "o"}))
    spec = read_project(started.folder).spec
    assert (spec.project.name, spec.problem.objective) == ("project-2-ideas", "o")
    schema = started.folder / ".mainspring.schema.json"
    first = (started.folder / "mainspring.toml").read_text().splitlines()[0]
    assert first == f"#:schema ./{schema.name}"
    assert schema.read_text().startswith("{")
    assert features_of(started.folder).views[0].columns == {"amount": "amount"}


def test_an_example_is_taken_with_its_data_and_without_caches(tmp_path: Path) -> None:
    """Everything but hidden files and compiled code belongs to an example."""
    for name in ("mainspring.toml", "data/a.csv", "__pycache__/x.pyc", ".git/config", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert dict(example_files(tmp_path)) == {
        "data/a.csv": b"data/a.csv",
        "mainspring.toml": b"mainspring.toml",
    }


def test_every_shipped_example_can_be_started(tmp_path: Path) -> None:
    """Each example is a template by its name, and reads as a project."""
    for name in set(template_names()) - {"empty", "tabular"}:
        started = start_project(tmp_path / name, template=name)
        assert read_project(started.folder).spec.problem.questions


def test_an_unknown_template_names_the_known_ones(tmp_path: Path) -> None:
    """A misspelt template gives the nearest; nothing is made."""
    error = error_of(lambda: start_project(tmp_path / "p", template="tabluar"))
    assert isinstance(error, NotFound)
    assert "tabular" in error.hint
    assert not (tmp_path / "p").exists()
    assert {"empty", "tabular"} <= set(template_names())


@pytest.mark.parametrize("name", ["mainspring.toml", "features.py", "PROBLEM.md"])
def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path, name: str) -> None:
    """Any file that is there already is a conflict; the folder stays as it was."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / name).write_text("mine")
    error = error_of(lambda: start_project(folder))
    assert isinstance(error, Conflict)
    assert error.code == "project.exists"
    assert name in error.message
    assert [each.name for each in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["p"]


def test_a_project_starts_in_a_folder_that_holds_data(tmp_path: Path, file: Path) -> None:
    """Files that are not in the way stay, and the source is named from inside."""
    started = start_project(
        tmp_path, template="tabular", csv_file=file, answers=Answers({"target": "left"})
    )
    assert read_project(tmp_path).spec.sources["rows"].path == "churn.csv"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*started.files, file.name])


def test_an_answer_that_makes_no_project_leaves_no_trace(tmp_path: Path) -> None:
    """What cannot be read back is not put in place."""
    error = error_of(lambda: start_project(tmp_path / "p", answers=Answers({"target": "x" * 300})))
    assert error.code == "project.out_of_range"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A file cannot hold a project, nor can a path below it."""
    (tmp_path / "p").write_text("")
    assert error_of(lambda: start_project(tmp_path / "p")).code == "project.exists"
    assert error_of(lambda: start_project(tmp_path / "p" / "q")).code == "project.unwritable"


BAD_FILES = [
    (b"", "project.csv_empty", "empty"),
    (b" \n\n", "project.csv_empty", "empty"),
    (b"a,b\n", "project.csv_empty", "no rows"),
    (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", "project.csv_no_header", "'5.1'"),
    (b"a,,c\n1,2,3\n", "project.csv_no_header", "Column 2"),
    (b"a,b,A\n1,2,3\n", "project.csv_duplicate_column", "a, A"),
    (b"a,b\n1,2\n1,2,3\n", "project.csv_ragged", "Line 3"),
    (b'a,b\n"1,2\n' + b"x" * 200_000, "project.csv_broken", "no CSV"),
    ("a,b\nStraße,1\n".encode("cp1252"), "project.csv_not_utf8", "byte 0xdf at offset 8"),
    (b"\xef\xbb\xbfa,b\n\xff,1\n", "project.csv_not_utf8", "byte 0xff at offset 7"),
    ("a,b\n1,2\n".encode("utf-16"), "project.csv_not_utf8", "utf-16"),
    (b"a,b\nx\x81\xff,1\n", "project.csv_not_utf8", "latin1"),
    (b"a,b\nx,\xe2\x82", "project.csv_not_utf8", "offset 6"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code", "words"), BAD_FILES)
def test_a_bad_file_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, data: bytes, code: str, words: str
) -> None:
    """Empty, without header, torn or in another encoding: each with its place and a hint."""
    file = tmp_path / "a.csv"
    file.write_bytes(data)
    error = error_of(lambda: start_project(tmp_path / "p", template="tabular", csv_file=file))
    assert error.code == code
    assert words in error.message
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("answers", "code", "hint"),
    [
        (Answers({"target": "lfet"}), "project.no_such_column", "'left'"),
        (Answers({"target": "same"}), "project.one_class", "different outcomes"),
        (Answers({"target": "many"}), "project.many_classes", "counts as yes"),
        (Answers({"target": "left"}, yes="yse"), "project.no_such_class", "'yes'"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    tmp_path: Path, answers: Answers, code: str, hint: str
) -> None:
    """Missing, of one class, of many texts: with the nearest spelling or what to do."""
    rows = "".join(f"{i},{'yes' if i % 2 else 'no'},s,m{i}\n" for i in range(30))
    file = tmp_path / "a.csv"
    file.write_text("id,left,same,many\n" + rows)
    error = error_of(
        lambda: start_project(tmp_path / "p", template="tabular", csv_file=file, answers=answers)
    )
    assert (error.code, hint in error.hint) == (code, True)


def test_a_missing_file_gives_the_nearest_name(tmp_path: Path, file: Path) -> None:
    """The hint is a file of the same folder."""
    error = error_of(lambda: look_at_csv(file.with_name("chrun.csv")))
    assert isinstance(error, NotFound)
    assert "'churn.csv'" in error.hint
    no_file = error_of(lambda: start_project(tmp_path / "p", template="tabular"))
    assert no_file.code == "project.csv_missing"


def test_a_file_with_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    """A key and a target alone leave no feature."""
    file = tmp_path / "a.csv"
    file.write_text("id,y\n" + "".join(f"k{i},{i % 2}\n" for i in range(9)))
    error = error_of(lambda: start_project(tmp_path / "p", template="tabular", csv_file=file))
    assert error.code == "project.no_features"
    file.write_text("id,x,y\n" + "".join(f"k{i},{i % 2},{i % 2}\n" for i in range(9)))
    shadow = error_of(lambda: start_project(tmp_path / "p", template="tabular", csv_file=file))
    assert "settles it" in shadow.message


def test_only_the_beginning_of_a_large_file_is_read(tmp_path: Path) -> None:
    """A file beyond the limit is looked at by whole lines from its beginning, and that is said."""
    file = tmp_path / "big.csv"
    line = "é" * 500 + ",1\n"
    file.write_text("a,b\n" + line * (MAX_BYTES // 1000))
    table = look_at_csv(file)
    assert not table.complete
    assert 0 < len(table.rows) < MAX_BYTES // 1000
    assert {row[1] for row in table.rows} == {"1"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_by_what_cuts_lines_evenly(tmp_path: Path, delimiter: str) -> None:
    """Other delimiters inside quotes do not mislead."""
    file = tmp_path / "a.csv"
    rows = [["name", "n"], *([f"a,b;{i}|\tc", str(i)] for i in range(9))]
    with file.open("w", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    table = look_at_csv(file)
    assert (table.delimiter, table.header) == (delimiter, ("name", "n"))


KINDS = [
    (["1", "-2", "+3"], "integer"),
    (["1", "2.5", "1e3"], "number"),
    (["true", "False", ""], "boolean"),
    (["2024-02-29", "2024-01-01"], "date"),
    (["2024-02-29 10:00:00", "2024-01-01"], "timestamp"),
    (["2024-02-30", "2024-01-01"], "text"),
    (["", "NA"], "empty"),
    (["1", "x"], "text"),
]


@pytest.mark.parametrize(("cells", "kind"), KINDS)
def test_types_are_seen_in_the_values(tmp_path: Path, cells: list[str], kind: str) -> None:
    """A type holds for every value that is not missing."""
    file = tmp_path / "a.csv"
    file.write_text("c,d\n" + "".join(f"{cell},x\n" for cell in cells))
    assert look_at_csv(file).columns[0].kind == kind


_cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)
_names = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "P", "S", "Zs"]), min_size=1, max_size=8),
    min_size=3,
    max_size=5,
    unique_by=lambda name: name.strip().lower(),
)


@given(header=_names, data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_table_becomes_a_project_or_an_error_with_a_hint(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], data: st.DataObject
) -> None:
    """Whatever names and cells hold, what is written is read back, or the reason is told."""
    rows = [
        [data.draw(_cells) for _ in header[:-1]] + [str(i % 2)]
        for i in range(data.draw(st.integers(2, 8)))
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    folder = tmp_path_factory.mktemp("any")
    file = folder / "it's [a] $file.csv"
    file.write_text(text.getvalue(), newline="")
    answers = Answers({"target": header[-1].strip(), "accurate": data.draw(_cells)})
    try:
        started = start_project(folder / "p", template="tabular", csv_file=file, answers=answers)
    except Invalid as error:
        event(error.code)
        assert [each.name for each in folder.iterdir()] == [file.name]  # noqa: PT017 - not of error
        return
    event("started")
    assert features_of(started.folder).views
    spec = read_project(started.folder).spec
    assert set(spec.datasets["rows"].known_ahead) <= {name.strip() for name in header}
