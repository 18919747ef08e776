"""What holds for every command: help, exit codes, one document, no traceback."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring._entrypoints.cli import build_parser
from mainspring._entrypoints.cli.commands import COMMANDS
from mainspring._entrypoints.cli.examples import EXAMPLES
from mainspring._entrypoints.cli.monitor import first_of
from mainspring._entrypoints.cli.parser import below

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "src" / "mainspring" / "_entrypoints" / "cli"
FRAME = {"__init__", "commands", "opening", "output", "parser"}


def verbs():
    for noun in COMMANDS:
        parser = below(build_parser(noun))[noun]
        yield from ((noun, verb) for verb in below(parser))


def run(*words, cwd=None, **settings):
    return subprocess.run(
        [sys.executable, "-m", "mainspring", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
        **settings,
    )


def test_every_noun_has_its_file_and_every_file_its_noun():
    """A noun in the table works: its module is there; and no module is out of reach."""
    files = {path.stem for path in FOLDER.glob("*.py")} - FRAME
    assert {command.module for command in COMMANDS.values()} <= files


@pytest.mark.parametrize("noun", COMMANDS)
def test_help_of_every_noun(cli, noun):
    """``NOUN --help`` tells what it does, and is in the overview and in the reference."""
    told = cli(noun, "--help")
    assert told.code == 0
    assert noun in told.out
    assert not told.err
    assert f"  {noun}" in cli("--help").out
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert f"### {noun}\n" in page


@pytest.mark.parametrize(("noun", "verb"), list(verbs()))
def test_help_of_every_verb(cli, noun, verb):
    """``NOUN VERB --help`` works, every argument is explained, listings take --json."""
    told = cli(noun, verb, "--help")
    assert told.code == 0
    parser = below(below(build_parser(noun))[noun])[verb]
    options = {name for action in parser._actions for name in action.option_strings}
    assert "--json" in options or (noun, verb) == ("audit", "export")
    assert (parser.description or "")[:1].isupper()


@pytest.mark.parametrize("words", [(noun,) for noun in COMMANDS] + list(verbs()), ids=" ".join)
def test_help_shows_what_to_type(words):
    """Every noun and verb has an example, no line is wider than a page, every argument is told."""
    parser = build_parser(words[0])
    for word in words:
        parser = below(parser)[word]
    lines = (parser.description or "").splitlines()
    assert any("mainspring " in line for line in lines if line != lines[0])
    assert max(map(len, lines)) <= 110
    assert all(action.help for action in parser._actions if not below(parser)), words


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_can_be_typed(line):
    """What help says can be typed is what the command takes."""
    words = shlex.split(line)
    noun = words[2] if words[0].startswith("--") else words[0]
    assert build_parser(noun).parse_args(words).run


def test_help_is_also_a_word(cli):
    """``mainspring help`` and ``mainspring help NOUN VERB`` are what ``--help`` is."""
    assert cli("help").out == cli("--help").out
    assert cli("help", "models", "promote").out == cli("models", "promote", "--help").out


def test_wrong_use_shows_right_use(cli):
    """Who leaves an argument out is shown a whole command."""
    assert "Such as: mainspring run train\n" in cli("run").err
    assert "Such as: mainspring models show returns@champion\n" in cli("models", "show").err


def test_a_hint_names_the_workspace_that_was_named(ingested, cli, tmp_path, monkeypatch):
    """What a command says to type next works where the command was typed."""
    monkeypatch.chdir(tmp_path)
    named = cli("--workspace", str(ingested), "executions", "ls").err
    assert f"mainspring --workspace {ingested} run train" in named
    monkeypatch.chdir(ingested)
    assert "No execution yet: mainspring run train" in cli("executions", "ls").err


def test_wrong_use_ends_with_two_and_the_next_step(cli):
    """A misspelt noun, verb or option is answered with the nearest one, never a traceback."""
    for words, said in (
        (["dta"], "'data'"),
        (["data", "lst"], "'ls'"),
        (["data"], "ls, show"),
        (["data", "ls", "--jsn"], "--jsn"),
        (["--workspace"], "expected one argument"),
    ):
        answer = cli(*words)
        assert answer.code == 2, words
        assert said in answer.err, words
        assert not answer.out


def test_an_error_with_json_is_one_document(cli):
    """With --json standard output holds one document, also when the command fails."""
    answer = cli("data", "ls", "--json")
    assert answer.code == 3
    assert answer.document["error"]["code"] == "workspace.not_found"
    assert answer.document["error"]["hint"]
    assert cli("data", "nonsense", "--json").document["error"]["kind"] == "invalid"


def test_looking_around_makes_nothing(cli, tmp_path):
    """A listing outside a project says so and leaves no folder behind."""
    assert cli("models", "ls").code == 3
    assert cli("config", "show").code == 0
    assert cli("doctor").code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_workspace_may_be_named_before_or_behind(ingested, cli, tmp_path, monkeypatch):
    """--workspace works in front of the noun and behind the verb, from anywhere."""
    monkeypatch.chdir(tmp_path)
    for words in (
        ("--workspace", str(ingested), "data", "ls", "--json"),
        ("data", "ls", "--json", "--workspace", str(ingested)),
    ):
        assert cli(*words).document["datasets"][0]["version"] == 1


def test_no_server_is_pretended(cli):
    """A server's address is refused as unavailable instead of being ignored."""
    assert cli("--url", "http://localhost:1", "data", "ls").code == 5


def test_many_names_are_cut_in_a_table():
    """Forty inputs that moved are three names and a number; three are three."""
    assert first_of(["a", "b", "c"]) == "a, b, c"
    assert first_of([f"n{at}" for at in range(40)]) == "n0, n1, n2 and 37 more"
    assert first_of([]) == ""


def test_a_closed_pipe_is_no_error(ingested):
    """``mainspring ... | head`` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mainspring", "data", "show", "rows"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ingested,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_program_itself(ingested):
    """Run as a program: JSON on standard output only, hints elsewhere, the exit code outside."""
    done = run("data", "ls", "--json", cwd=ingested)
    assert json.loads(done.stdout)["datasets"][0]["rows"] == 60
    assert run("data", "show", "nothing", cwd=ingested).returncode == 3
    assert run("--version").stdout.startswith("mainspring ")


def test_control_characters_never_reach_the_terminal(project, cli):
    """A name with an escape sequence is printed as its code."""
    answer = cli("data", "show", "a\x1b[2Jb")
    assert "\x1b" not in answer.err
    assert answer.code == 3


LISTINGS = [(noun, verb) for noun, verb in verbs() if verb == "ls"]
HEAVY = {"numpy", "duckdb", "deltalake", "sklearn", "lightgbm", "httptools", "jinja2", "pandas"}


@pytest.mark.parametrize(("noun", "verb"), LISTINGS)
def test_a_listing_loads_nothing_heavy(ingested, noun, verb):
    """Every plain listing reads the database or a file: no array, table or web library."""
    code = f"import sys\nfrom mainspring._entrypoints.cli import main\nmain([{noun!r}, {verb!r}])\n"
    code += f"print('loaded', *sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ingested, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded", done.stderr


@pytest.mark.slow
def test_a_listing_starts_quickly(ingested, tmp_path):
    """A plain listing takes at most twenty times the processor time of a bare interpreter."""
    settings = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)

    def seconds(*command):
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(5):
            subprocess.run(command, cwd=ingested, check=True, capture_output=True, env=settings)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime

    bare = seconds(sys.executable, "-c", "pass")
    for words in LISTINGS:
        known = subprocess.run(
            [sys.executable, "-m", "mainspring", *words],  # compiles
            cwd=ingested,
            check=False,
            capture_output=True,
            env=settings,
        )
        if known.returncode == 3:  # this project has no such thing to list
            continue
        assert seconds(sys.executable, "-m", "mainspring", *words) < 20 * bare, words
