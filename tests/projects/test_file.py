"""Reading mainspring.toml: a sound file becomes one value, a flawed one a list of problems."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.core.document import parse_document
from mainspring.core.errors import Invalid, NotFound
from mainspring.projects import ProjectFile, ProjectInvalid, parse_project, read_project
from mainspring.projects.check import check_value
from mainspring.projects.file import judge
from mainspring.projects.flaws import MAX_FLAWS

FULL, REGRESSION, SMALL = (
    Path(__file__).with_name(f"{name}.toml").read_text() for name in ("full", "regression", "small")
)


def problems_of(text: str) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ProjectInvalid) as caught:
        parse_project(text)
    return [(p.line, p.column, p.key, p.code) for p in caught.value.problems]


def test_a_file_that_uses_every_section_is_read() -> None:
    """A file with all sections and most keys becomes the value it describes."""
    spec, _ = parse_project(FULL)
    assert spec.problem.target == "late"
    assert spec.release.canary[1].share == 1.0
    assert spec.replay is not None
    assert spec.replay.history_until == "2013-05-01"
    assert spec.datasets["flights"].expect[0].min == 0


def test_dependent_defaults_follow_what_the_file_says() -> None:
    """Rows without a time are split by hash; a regression is compared by a regression metric."""
    small, _ = parse_project(SMALL)
    assert (small.training.split.method, small.training.resample) == ("hash", "row")
    regression, _ = parse_project(REGRESSION)
    assert (regression.training.baseline, regression.comparison.metric) == ("linear", "rmse")
    assert regression.retraining.cooldown == "1w"  # not the usual 14 days: it retrains weekly


def test_the_folder_and_the_file_give_the_same_project(tmp_path: Path) -> None:
    """A folder means its mainspring.toml; the digest is that of the bytes."""
    file = tmp_path / "mainspring.toml"
    file.write_text(SMALL)
    project = read_project(tmp_path)
    assert project == read_project(str(file))
    assert project.folder == tmp_path.resolve()
    assert project.digest == "sha256:" + hashlib.sha256(SMALL.encode()).hexdigest()
    assert project.where("problem", "task") == "mainspring.toml:6:1"


def test_a_folder_without_a_project_says_how_to_start_one(tmp_path: Path) -> None:
    """No file: not found, with the command that makes one."""
    with pytest.raises(NotFound, match="mainspring init") as caught:
        read_project(tmp_path)
    assert caught.value.code == "project.not_found"


def test_all_problems_of_a_file_are_told_at_once_as_a_compiler_does(tmp_path: Path) -> None:
    """Single keys and rules between keys, in the order of the file, each with its place."""
    file = tmp_path / "mainspring.toml"
    text = SMALL.replace("name = ", "nmae = 1\nname = ").replace('"binary"', "3")
    file.write_text(text + "[endpont]\n")
    with pytest.raises(ProjectInvalid) as caught:
        read_project(file)
    lines = caught.value.message.splitlines()
    assert lines[0].startswith("mainspring.toml:2:1: project.nmae: Unknown key in [project].")
    assert "Did you mean 'name'? Known: description, name." in lines[0]
    assert lines[1] == (
        "mainspring.toml:7:1: problem.task: Expected 'binary' or 'regression', not 3."
    )
    assert "Did you mean 'endpoint'?" in lines[2]
    assert caught.value.code == "project.unknown_key"
    assert caught.value.as_dict()["facts"]["count"] == 3


def test_rules_are_judged_beside_a_misspelt_key_but_not_as_its_consequence() -> None:
    """A misspelt key hides only the rules that it may itself have broken."""
    text = FULL.replace("label_known_at", "label_knwon_at").replace("share = 1.0", "share = 0.2")
    codes = [(key, code) for _, _, key, code in problems_of(text)]
    assert codes == [
        ("problem.label_knwon_at", "project.unknown_key"),
        ("release.canary[1].share", "project.contradiction"),
    ]


FLAWS = [
    ('task = "binary"', 'task = "binry"', "problem.task", "project.bad_value"),
    ('task = "binary"', "", "problem.task", "project.missing_key"),
    ('objective = "o"', 'objective = ""', "problem.objective", "project.out_of_range"),
    ('questions = ["q"]', 'questions = "q"', "problem.questions", "project.wrong_type"),
    ('questions = ["q"]', "questions = []", "problem.questions", "project.out_of_range"),
    ('questions = ["q"]', "questions = [1]", "problem.questions[0]", "project.wrong_type"),
    ('name = "small"', 'name = "Small"', "project.name", "project.bad_pattern"),
    ('name = "small"', 'name = "small\\n"', "project.name", "project.bad_pattern"),
    ("[sources.rows]", "[sources.Rows]", "sources.Rows", "project.bad_pattern"),
    ('target = "y"', 'target = "y"\ncosts = 3', "problem.costs", "project.wrong_type"),
    (
        'target = "y"',
        'target = "y"\ncosts = { under = nan }',
        "problem.costs.under",
        "project.out_of_range",
    ),
    (
        'target = "y"',
        'target = "y"\npredict_before = "2 hurs"',
        "problem.predict_before",
        "project.bad_pattern",
    ),
    (
        'target = "y"',
        'target = "y"\npredict_before = "999999w"',
        "problem.predict_before",
        "project.out_of_range",
    ),
    (
        'target = "y"',
        f'target = "{"y" * 300}"',
        "problem.target",
        "project.out_of_range",
    ),
]
ENDINGS = [
    ("[training]\nseed = 9e3", "training.seed", "project.wrong_type"),
    ("[training]\nseed = true", "training.seed", "project.wrong_type"),
    (f"[training]\nseed = {2**63}", "training.seed", "project.out_of_range"),
    ("[training]\nbootstrap = 3", "training.bootstrap", "project.out_of_range"),
    ('[comparison]\nrefit = "yes"', "comparison.refit", "project.wrong_type"),
    ("[comparison]\nconfidence = 1.0", "comparison.confidence", "project.out_of_range"),
    ('[retraining]\nevery = "fortnight"', "retraining.every", "project.bad_pattern"),
    ("[[training]]\nseed = 1", "training", "project.wrong_type"),
    ("[settings]\na = [1]", "settings.a", "project.wrong_type"),
    ('["a b"]\nx = 1', "'a b'", "project.unknown_key"),
]


@pytest.mark.parametrize(("old", "new", "key", "code"), FLAWS)
def test_a_key_that_is_wrong_by_itself_is_placed(old: str, new: str, key: str, code: str) -> None:
    """Wrong type, value, range, pattern, or missing: the code, the dotted key and its line."""
    assert old in SMALL
    text = SMALL.replace(old, new)
    (found,) = problems_of(text)
    assert found[2:] == (key, code)
    if code != "project.missing_key":
        last = key.rsplit(".", maxsplit=1)[-1].split("[", maxsplit=1)[0]
        assert last in text.splitlines()[found[0] - 1]


@pytest.mark.parametrize(("ending", "key", "code"), ENDINGS)
def test_a_wrong_section_at_the_end_is_placed(ending: str, key: str, code: str) -> None:
    """The same for the optional sections."""
    (found,) = problems_of(f"{SMALL}\n{ending}\n")
    assert found[2:] == (key, code)


def test_a_syntax_error_has_line_column_and_a_hint() -> None:
    """A text that is not TOML is told where it stops being TOML."""
    with pytest.raises(ProjectInvalid) as caught:
        parse_project("[project]\nname = late\n")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.code) == (2, 8, "project.bad_toml")
    assert "double quotes" in problem.hint


def test_a_file_in_another_encoding_names_the_byte(tmp_path: Path) -> None:
    """Not UTF-8: offset, line, column and what to do."""
    file = tmp_path / "mainspring.toml"
    file.write_bytes('[project]\nname = "größe"'.encode("cp1252"))
    with pytest.raises(ProjectInvalid, match="byte 0xf6 at offset 20") as caught:
        read_project(file)
    assert (caught.value.facts["line"], caught.value.facts["column"]) == (2, 11)
    assert caught.value.code == "project.not_utf8"


def test_a_file_that_cannot_be_a_project_file_is_not_read_whole(tmp_path: Path) -> None:
    """Beyond a megabyte it is data; the error says so."""
    file = tmp_path / "mainspring.toml"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ProjectInvalid) as caught:
        read_project(file)
    assert caught.value.code == "project.too_large"


def test_a_hopeless_file_is_cut_short() -> None:
    """Thousands of wrong keys give the first hundred problems, and the message a screenful."""
    text = "\n".join(f"k{i} = 1" for i in range(5000)) + "\n" + SMALL
    with pytest.raises(ProjectInvalid) as caught:
        parse_project(text)
    assert len(caught.value.problems) == MAX_FLAWS
    assert len(caught.value.message.splitlines()) == 21


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "check", "key", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_VALUE: dict[str, Any] = parse_document(FULL).value


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [path, *(p for key, item in items for p in _paths(item, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], new)
    return copy


@given(st.sampled_from(_paths(_VALUE)[1:]), _json)
@settings(max_examples=400, deadline=None)
def test_the_walk_finds_a_flaw_whenever_the_conversion_does(path: Any, new: Any) -> None:
    """Any value anywhere in a file: the walk refuses all that msgspec refuses, and never raises."""
    value = _with(_VALUE, path, new)
    flaws = list(check_value(value, ProjectFile))
    try:
        msgspec.convert(value, ProjectFile)
    except msgspec.ValidationError:
        assert flaws
    spec, all_flaws = judge(value)
    assert (spec is not None) or all_flaws


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_a_project_or_a_placed_problem(text: str) -> None:
    """Nothing but ProjectInvalid leaves the reader, and every problem has a place."""
    with pytest.raises(Invalid) as caught:
        parse_project(text)
    assert isinstance(caught.value, ProjectInvalid)
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in caught.value.problems)
