"""The snippets of a page, run in order in an empty folder as a reader would run them.

What is run is told by the first word after the fence:

* ``python``: run; all blocks of a page share their names. An ``output`` block right after it holds
  what it prints.
* ``console``: each line that begins with ``$`` is run by a shell with the project's programs on the
  path; the lines under it are what it prints (standard error included). A command must succeed,
  unless its line ends with ``# exits with N``. A command that ends with ``&`` goes on in the
  background until the page is over; the lines under it are waited for.
* any block with ``file=NAME`` after the first word is written to that file and not run.
* every other block is shown only.

A block inside an HTML comment is run too: it prepares what the page takes for granted. ``$DOCS`` is
the folder of the documentation. ``...`` in expected output stands for any text in its line; alone on a line for any lines.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_EXITS: Final = re.compile(r"#\s*exits with (\d+)\s*$")
COMMAND_SECONDS: Final = 120
READY_SECONDS: Final = 60
# Runs blocks of Python as they come in, one JSON line each, and answers with what they printed.
_INTERPRETER: Final = """
import contextlib, io, json, sys, traceback
answer, names = sys.stdout, {"__name__": "__main__"}
for line in sys.stdin:
    block, printed, error = json.loads(line), io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(block["code"], block["name"], "exec"), names)
        except BaseException:
            error = traceback.format_exc()
    answer.write(json.dumps({"printed": printed.getvalue(), "error": error}) + "\\n")
    answer.flush()
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it stands, its words, its text."""

    line: int
    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def file(self) -> str | None:
        return next((one.removeprefix("file=") for one in self.words if one[:5] == "file="), None)


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a console block and what it prints."""

    text: str
    expected: str
    status: int
    background: bool


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [
        Block(text.count("\n", 0, match.start()) + 1, tuple(match[1].split()), match[2])
        for match in _FENCE.finditer(text)
    ]


def runs_something(text: str) -> bool:
    """Whether a page has a snippet that is run."""
    return any(one.language in {"python", "console"} and not one.file for one in blocks(text))


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block."""
    joined = text.replace("\\\n", "\\\0")  # a continued command is one line
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        line, _, expected = part.replace("\0", "\n").partition("\n")
        while line.endswith("\\"):
            more, _, expected = expected.partition("\n")
            line += "\n" + more
        told = _EXITS.search(line)
        background = line.rstrip().endswith("&")
        yield Command(line.rstrip(" &"), expected, int(told[1]) if told else 0, background)


def matches(expected: str, printed: str) -> bool:
    """Whether output is as expected; the number of spaces between words does not count."""
    wanted = [" ".join(line.split()) for line in expected.strip().splitlines() if line.strip()]
    seen = [" ".join(line.split()) for line in printed.strip().splitlines() if line.strip()]
    return _lines_match(wanted, seen)


def _lines_match(wanted: list[str], seen: list[str]) -> bool:
    if not wanted:
        return not seen
    if wanted[0] == "...":
        return any(_lines_match(wanted[1:], seen[i:]) for i in range(len(seen) + 1))
    if not seen:
        return False
    first = ".*".join(re.escape(part) for part in re.split(r" ?\.\.\. ?", wanted[0]))
    return re.fullmatch(first, seen[0]) is not None and _lines_match(wanted[1:], seen[1:])


class Page:
    """A page being read: its folder, its Python, and what it left running."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.environment = _environment(folder)
        self._python: subprocess.Popen[str] | None = None
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, text: str) -> str | None:
        """What went wrong first, or None."""
        every = blocks(text)
        for block, after in zip(every, [*every[1:], None], strict=True):
            if block.file:
                file = self.folder / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
                continue
            wrong = None
            if block.language == "python":
                output = after.text if after is not None and after.language == "output" else None
                wrong = self._run_python(block, output)
            elif block.language == "console":
                wrong = next(filter(None, map(self._run_command, commands(block.text))), None)
            if wrong:
                return f"{self.name}:{block.line}: {wrong}"
        return None

    def close(self) -> None:
        """Ends what the page started."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._python is not None:
            self._python.stdin.close()  # type: ignore[union-attr]
            self._python.kill()
            self._python.wait()

    def _run_python(self, block: Block, expected: str | None) -> str | None:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _INTERPRETER],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        asked, answers = self._python.stdin, self._python.stdout
        if asked is None or answers is None:
            raise RuntimeError("The interpreter has no pipes.")
        asked.write(json.dumps({"code": block.text, "name": f"{self.name}:{block.line}"}) + "\n")
        asked.flush()
        answer: dict[str, Any] = json.loads(_line(answers, self._python) or "{}")
        if answer.get("error", "The interpreter went away."):
            return str(answer.get("error", "the interpreter went away or took too long"))
        if expected is not None and not matches(expected, answer["printed"]):
            return _difference(expected, answer["printed"])
        return None

    def _run_command(self, command: Command) -> str | None:
        if command.background:
            return self._start(command)
        process = subprocess.Popen(
            ["/bin/bash", "-c", command.text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            printed = process.communicate(timeout=COMMAND_SECONDS)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"$ {command.text}\ntook longer than {COMMAND_SECONDS} s"
        if process.returncode != command.status:
            return f"$ {command.text}\nexits with {process.returncode}\n{printed}"
        if command.expected.strip() and not matches(command.expected, printed):
            return f"$ {command.text}\n{_difference(command.expected, printed)}"
        return None

    def _start(self, command: Command) -> str | None:
        log = self.folder / f".background-{len(self._running)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                ["/bin/bash", "-c", command.text],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            printed = log.read_text("utf-8", "replace")
            if matches(command.expected, printed):
                return None
            if time.monotonic() > deadline or process.poll() is not None:
                return f"$ {command.text}\n{_difference(command.expected, printed)}"
            time.sleep(0.05)


def _line(stream: IO[str], process: subprocess.Popen[str]) -> str:
    """A line of the interpreter's answers; it is ended when it takes too long."""
    watch = threading.Timer(COMMAND_SECONDS, process.kill)
    watch.start()
    try:
        return stream.readline()
    finally:
        watch.cancel()


def _environment(folder: Path) -> dict[str, str]:
    """What a reader's terminal has: the project's programs, and no settings."""
    kept = {name: value for name, value in os.environ.items() if name[:11] != "MAINSPRING_"}
    programs = str(Path(sys.executable).parent)
    path = f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"
    mine = {"PATH": path, "HOME": str(folder), "LOGNAME": "you", "USER": "you", "COLUMNS": "100"}
    mine["DOCS"] = str(Path(__file__).resolve().parent.parent / "docs")
    return {**kept, **mine, "PYTHONPATH": "", "PYTHONWARNINGS": "error"}


def _difference(expected: str, printed: str) -> str:
    return f"expected:\n{expected.rstrip()}\nprinted:\n{printed.rstrip()[-4000:]}"
