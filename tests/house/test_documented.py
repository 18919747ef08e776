"""The documentation is true: what is in the code stands in it, and what stands in it is there."""

import ast
import importlib
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

from mainspring._entrypoints.cli.commands import COMMANDS
from mainspring.core.settings import SETTINGS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mainspring"
REFERENCE = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT / "scripts"))

from docs import generated, pages  # noqa: E402 - the scripts are no package
from docs_links import broken_links  # noqa: E402
from docs_snippets import Command, blocks, commands, matches  # noqa: E402
from reference_errors import CODE, error_codes  # noqa: E402
from reference_events import event_kinds  # noqa: E402

FACES = sorted(
    path
    for path in SOURCE.glob("*/__init__.py")
    if not path.parent.name.startswith("_") and path.parent.name not in {"core", "ports"}
)
LAWS = [
    *sorted((SOURCE / "ports").glob("[!_]*.py")),
    *sorted(SOURCE.glob("*/ports.py")),
    SOURCE / "core" / "errors.py",
    SOURCE / "core" / "events.py",
    SOURCE / "core" / "settings.py",
]


def rows(page):
    """The first cells of the page's tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", (REFERENCE / page).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_pages_are_current(path):
    """A reference page says what the code says now."""
    same = path.read_text("utf-8") == generated()[path]()
    assert same, "run: python scripts/docs.py --generate"


def test_every_setting_is_documented():
    """Each setting has its row, by the name that the project file uses."""
    assert rows("settings.md") == {setting.name for setting in SETTINGS}


def test_every_error_code_is_documented():
    """Each code that the source raises has its row, and each can be told without running it."""
    found, unknown = error_codes(SOURCE)
    assert not unknown
    missing = {one.code for one in found} - rows("errors.md")
    assert not missing


def test_docstrings_name_only_codes_that_are_raised():
    """A code promised in an 'Errors:' section is raised somewhere under that name."""
    raised = {one.code for one in error_codes(SOURCE)[0]}
    stages = {code.split(".")[0] for code in raised}
    wrong = [
        f"{path.relative_to(ROOT)}: {code}"
        for path in LAWS
        for code in re.findall(r"``([a-z_]+\.[a-z_]+)``", path.read_text("utf-8"))
        if code.split(".")[0] in stages and CODE.match(code) and code not in raised
    ]
    assert not wrong, "\n".join(wrong)


def test_every_event_kind_is_documented():
    """Each kind that a stage declares has its row, and the table holds all that are declared."""
    assert rows("events.md") == set(event_kinds(SOURCE))
    calls = [
        path
        for path in SOURCE.rglob("*.py")
        if path.name != "events.py" and re.search(r"= kind\(\s*\"[a-z]+\.", path.read_text("utf-8"))
    ]
    assert not calls, "kinds are declared in events.py"


def test_every_command_is_documented():
    """Each noun of the command line has its heading in the reference."""
    page = (REFERENCE / "commands.md").read_text("utf-8")
    headings = set(re.findall(r"^#+ `?(?:mainspring )?([a-z]+)", page, re.MULTILINE))
    assert not set(COMMANDS) - headings


def test_the_documentation_names_only_commands_that_exist():
    """'mainspring NOUN' in a guide and 'make TARGET' anywhere are real."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = []
    for page in pages():
        text = page.read_text("utf-8")
        said = re.findall(r"(?:^\$ |`)mainspring (?:--[a-z]+ \S+ )*([a-z]+)\b", text, re.MULTILINE)
        made = re.findall(r"(?:^\$? ?|`)make ([a-z-]+)\b", text, re.MULTILINE)
        wrong += [f"{page.name}: mainspring {noun}" for noun in set(said) - set(COMMANDS)]
        wrong += [f"{page.name}: make {target}" for target in set(made) - targets]
    assert not wrong, "\n".join(wrong)


def test_every_public_name_of_faces_ports_and_errors_is_explained():
    """A face tells its stage; a port and an error tell what the caller gets."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in FACES
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    for path in LAWS:
        tree = ast.parse(path.read_text("utf-8"))
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in unexplained(tree)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FACES, ids=lambda path: path.parent.name)
def test_every_name_of_a_face_is_explained(path):
    """What a stage offers says what the caller gets; a generated docstring does not count."""
    face = importlib.import_module(f"mainspring.{path.parent.name}")
    wrong = []
    for name in getattr(face, "__all__", ()):
        value = getattr(face, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            told = value.__doc__ or ""
            if not told.strip() or told.startswith(f"{name}("):
                wrong.append(name)
    assert not wrong


def unexplained(tree):
    """The public classes, functions and methods without a docstring."""
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.name
            if isinstance(node, ast.ClassDef) and "Protocol" in ast.unparse(node):
                yield from (
                    f"{node.name}.{one.name}"
                    for one in node.body
                    if isinstance(one, ast.FunctionDef) and not ast.get_docstring(one)
                )


def test_the_drawn_layers_are_the_import_contract():
    """The picture of the layers in architecture.md is the contract in pyproject.toml, row by row."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = next(one.text for one in blocks(text) if one.text.startswith("_entrypoints | testing"))
    assert [re.split(r"\s{2,}", line)[0] for line in drawn.splitlines()] == contract


def test_no_page_names_a_place_on_somebodys_machine():
    """Paths in the documentation are relative to the project, or plainly examples."""
    place = re.compile(r"(?<![\w.])/(?:home|root|work|Users|tmp|var|private)/")
    wrong = [page.name for page in pages() if place.search(page.read_text("utf-8"))]
    assert not wrong


def test_links_lead_somewhere():
    """Each link to a file or heading of the project finds it."""
    assert not list(broken_links(ROOT, pages()))


def test_change_notes_are_named_by_what_and_kind():
    """A release can sort the notes: WHAT.KIND.md with a known kind, and not empty."""
    notes = [path for path in (ROOT / "changes").glob("*.md") if path.name != "README.md"]
    kind = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md")
    wrong = [
        path.name for path in notes if not kind.fullmatch(path.name) or not path.stat().st_size
    ]
    assert notes
    assert not wrong


def test_a_console_block_is_read_as_a_person_reads_it():
    """Commands, their output, an expected failure and a continued line are told apart."""
    text = "$ one \\\n  more\nout\n\n$ two  # exits with 3\n$ three &\nready\n"
    assert list(commands(text)) == [
        Command("one \\\n  more", "out\n\n", 0, background=False),
        Command("two  # exits with 3", "", 3, background=False),
        Command("three", "ready\n", 0, background=True),
    ]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a  b\n", "a b", True),
        ("version ...", "version 3", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...", "a", True),
        ("a\n...\nd", "a\nb", False),
        ("a", "a\nb", False),
        ("1.5", "1x5", False),
    ],
)
def test_output_is_compared_loosely_but_not_blindly(expected, printed, same):
    """Spaces and '...' are lenient; everything else must be there."""
    assert matches(expected, printed) is same
