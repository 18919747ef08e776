"""Every error code in the source, found without running it: kind, message, and where it is raised.

A code is the first argument of a call of an error class. It may be a literal, a constant of the
module, one of two literals, or a parameter of a function whose callers pass it on; the last is
followed from call to call, which is why this reads the whole source at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

KINDS: Final = {
    "Invalid": "invalid",
    "Denied": "denied",
    "NotFound": "not_found",
    "Conflict": "conflict",
    "Unavailable": "unavailable",
    "TimedOut": "timeout",
    "Broken": "broken",
}
EXITS: Final = {
    "invalid": 2,
    "denied": 4,
    "not_found": 3,
    "conflict": 1,
    "unavailable": 5,
    "timeout": 5,
    "broken": 1,
}
# Values that carry a code to an error raised later: where in the call stand code and message.
CARRIERS: Final = {"Flaw": (0, 2), "FileProblem": (5, 3)}
_CARRIED_IN: Final = "projects"
CODE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z")
_BY_CASE: Final = "(kind)"  # a class chosen at run time, in a variable of that name
MAX_HOPS: Final = 6
LONGEST_MESSAGE: Final = 160


@dataclass(frozen=True, slots=True)
class Found:
    """One place that raises one code."""

    code: str
    kind: str
    message: str
    hint: str
    place: str


@dataclass(frozen=True, slots=True)
class Caller:
    """A function that raises what it is given: where its code, message and hint come from."""

    kind: str
    code: str
    message: ast.expr | None
    hint: ast.expr | None
    parameters: tuple[str, ...]
    module: Path


Around = tuple[ast.FunctionDef | None, ast.Call]


@dataclass(slots=True)
class Source:
    """Every module of the package, parsed once."""

    root: Path
    trees: dict[Path, ast.Module] = field(default_factory=dict)
    calls: dict[Path, list[Around]] = field(default_factory=dict)

    def read(self) -> Source:
        for path in sorted(self.root.rglob("*.py")):
            if "_examples" not in path.parts:
                self.trees[path] = ast.parse(path.read_text("utf-8"))
                self.calls[path] = list(_calls(self.trees[path]))
        return self

    def place(self, path: Path) -> str:
        return ".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__")


@cache
def error_codes(package: Path) -> tuple[list[Found], list[str]]:
    """Every place that raises a code, by code; and the places whose code could not be told."""
    source = Source(package).read()
    kinds = {**_classes(source), **dict.fromkeys(CARRIERS, "invalid"), _BY_CASE: "by the case"}
    found: list[Found] = []
    unknown: list[str] = []
    for path, tree in source.trees.items():
        constants = _constants(tree)
        for function, call in source.calls[path]:
            name = _called(call)
            if name == "kind" and _argument(call, None, "hint") is not None:
                name = _BY_CASE
            if name in CARRIERS and not source.place(path).startswith(_CARRIED_IN):
                continue
            if name not in kinds or not (call.args or call.keywords):
                continue
            at = CARRIERS.get(name, (0, 1))
            code, message = _argument(call, at[0], "code"), _argument(call, at[1], "message")
            if code is None:
                continue
            message = _local(message, function)
            codes = _codes(code, constants, function)
            if codes:
                hint = _argument(call, None, "hint")
                found += [
                    Found(each, kinds[name], _text(message), _text(hint), source.place(path))
                    for each in codes
                ]
            elif function is not None and isinstance(code, ast.Name):
                passed = Caller(
                    kinds[name],
                    code.id,
                    message,
                    _argument(call, None, "hint"),
                    _parameters(function),
                    path,
                )
                more, lost = _passed(source, function, passed, hops=0)
                found += more
                unknown += lost
            elif name not in CARRIERS and not _inside_an_error(tree, call):
                unknown.append(f"{source.place(path)}:{call.lineno}")
    unique = {(one.code, one.kind, one.message, one.place): one for one in found}
    ordered = sorted(unique.values(), key=lambda one: (one.code, one.place, one.message))
    return ordered, sorted(set(unknown))


def _passed(
    source: Source, function: ast.FunctionDef, passed: Caller, *, hops: int
) -> tuple[list[Found], list[str]]:
    """The codes that callers of a function hand to it."""
    found: list[Found] = []
    unknown: list[str] = []
    if passed.code not in passed.parameters or hops > MAX_HOPS:
        return [], [f"{function.name}:{function.lineno}"]
    at = passed.parameters.index(passed.code)
    for path, tree in source.trees.items():
        if function.name.startswith("_") and path != passed.module:
            continue
        constants = _constants(tree)
        for around, call in source.calls[path]:
            if _called(call) != function.name:
                continue
            shift = 1 if passed.parameters[0] in {"self", "cls"} else 0
            code = _argument(call, at - shift, passed.code)
            if code is None:
                continue
            message = _local(_given(call, passed.message, passed.parameters, shift), around)
            hint = _given(call, passed.hint, passed.parameters, shift)
            codes = _codes(code, constants, around)
            if codes:
                found += [
                    Found(each, passed.kind, _text(message), _text(hint), source.place(path))
                    for each in codes
                ]
            elif around is not None and isinstance(code, ast.Name):
                further = Caller(passed.kind, code.id, message, hint, _parameters(around), path)
                more, lost = _passed(source, around, further, hops=hops + 1)
                found, unknown = found + more, unknown + lost
            else:
                unknown.append(f"{source.place(path)}:{call.lineno}")
    return found, unknown


def _given(
    call: ast.Call, wanted: ast.expr | None, parameters: tuple[str, ...], shift: int
) -> ast.expr | None:
    """What a call passes for a parameter; anything but a parameter stays as it is."""
    if not isinstance(wanted, ast.Name) or wanted.id not in parameters:
        return wanted
    return _argument(call, parameters.index(wanted.id) - shift, wanted.id) or wanted


def _classes(source: Source) -> dict[str, str]:
    """The error classes and their kinds, those of the stages included."""
    kinds = dict(KINDS)
    classes = [
        node
        for tree in source.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    for _ in range(3):
        for node in classes:
            for base in node.bases:
                kind = kinds.get(_last(base))
                if kind is not None and node.name not in kinds:
                    kinds[node.name] = kind
    for node in classes:  # one with a constructor of its own is told by what that passes on
        if node.name not in KINDS and any(
            isinstance(one, ast.FunctionDef) and one.name == "__init__" for one in node.body
        ):
            kinds.pop(node.name, None)
    return kinds


def _inside_an_error(tree: ast.Module, call: ast.Call) -> bool:
    """Whether the call stands in an error class of its own (its ``__init__`` passes things on)."""
    return any(
        isinstance(node, ast.ClassDef)
        and any(_last(base) in KINDS for base in node.bases)
        and node.lineno <= call.lineno <= (node.end_lineno or node.lineno)
        for node in ast.walk(tree)
    )


def _calls(tree: ast.Module) -> Iterator[Around]:
    """Every call with the function around it; ``super().__init__`` of an error counts as its class."""

    def walk(node: ast.AST, around: ast.FunctionDef | None, kind: str) -> Iterator[Around]:
        for child in ast.iter_child_nodes(node):
            inner, within = around, kind
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = child  # type: ignore[assignment]
            if isinstance(child, ast.ClassDef):
                within = child.name
            if isinstance(child, ast.Call):
                if ast.unparse(child.func) == "super().__init__":
                    child.func = ast.Name(within)
                yield inner, child
            yield from walk(child, inner, within)

    yield from walk(tree, None, "")


def _constants(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found.update({one.id: value.value for one in targets if isinstance(one, ast.Name)})
    return found


def _codes(
    node: ast.expr, constants: dict[str, str], function: ast.FunctionDef | None
) -> list[str]:
    """The codes an expression can be; none when that cannot be told here."""
    if isinstance(node, ast.Constant):
        text = node.value
        return [text] if isinstance(text, str) and CODE.match(text) else []
    if isinstance(node, ast.IfExp):
        return [*_codes(node.body, constants, function), *_codes(node.orelse, constants, function)]
    if isinstance(node, ast.JoinedStr):
        text = _text(node)
        return [text.replace("…", "*")] if "." in text.split("…")[0] else []
    if isinstance(node, ast.Name):
        if node.id in constants and CODE.match(constants[node.id]):
            return [constants[node.id]]
        return _assigned(node.id, constants, function)
    return []


def _assigned(name: str, constants: dict[str, str], function: ast.FunctionDef | None) -> list[str]:
    """The codes that a function itself gives to a local name."""
    if function is None or name in _parameters(function):
        return []
    found: list[str] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == name for one in node.targets
        ):
            found += _codes(node.value, constants, None)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            pairs = zip(node.targets[0].elts, getattr(node.value, "elts", []), strict=False)
            for target, value in pairs:
                if isinstance(target, ast.Name) and target.id == name:
                    found += _codes(value, constants, None)
    return found


def _local(node: ast.expr | None, function: ast.FunctionDef | None) -> ast.expr | None:
    """What a function itself gives to a local name; anything else stays as it is."""
    if function is None or not isinstance(node, ast.Name) or node.id in _parameters(function):
        return node
    given = (
        one.value
        for one in ast.walk(function)
        if isinstance(one, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == node.id for target in one.targets)
    )
    return next(given, node)


def _argument(call: ast.Call, position: int | None, name: str) -> ast.expr | None:
    named = next((one.value for one in call.keywords if one.arg == name), None)
    if named is not None or position is None:
        return named
    return call.args[position] if 0 <= position < len(call.args) else None


def _parameters(function: ast.FunctionDef) -> tuple[str, ...]:
    every = function.args
    return tuple(one.arg for one in (*every.posonlyargs, *every.args, *every.kwonlyargs))


def _called(call: ast.Call) -> str:
    return _last(call.func)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr | None) -> str:
    """A message as a person would see it, with … where a particular is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        parts = [str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values]
        return re.sub("…+", "…", "".join(parts))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return _text(node.body) or _text(node.orelse)
    return "…" if node is not None else ""


def errors_page(package: Path) -> str:
    """The reference page of error codes."""
    found, _ = error_codes(package)
    lines = [
        "# Error codes",
        "",
        (
            "Every error that Mainspring raises on purpose carries a stable code, one sentence, a hint "
            "that says what to do next, and the facts of the case. The kind decides the exit code of "
            "the command line and the status of an HTTP answer; the code says which error it is. "
            "`…` stands for a particular of the case. On the terminal the code is the last line, in "
            "square brackets; with `--json` it is `error.code`."
        ),
        "",
        "| kind | exit code | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {kind} | {EXITS[kind]} | {_MEANINGS[kind]} |" for kind in KINDS.values()]
    for stage in sorted({one.code.split(".")[0] for one in found}):
        lines += [
            "",
            f"## {stage}",
            "",
            "| code | kind | message | raised in |",
            "|---|---|---|---|",
        ]
        lines += _rows(one for one in found if one.code.split(".")[0] == stage)
    return "\n".join(lines) + "\n"


_MEANINGS: Final = {
    "invalid": "It can never work as it was sent; sending it again will not help.",
    "denied": "The caller may not do this.",
    "not_found": "The thing named does not exist.",
    "conflict": "The thing exists, but its present state forbids this.",
    "unavailable": "Something needed is away; trying again may help.",
    "timeout": "It took longer than it was given.",
    "broken": "Stored bytes or an invariant are not what they must be; nothing was changed.",
}


def _rows(found: Iterable[Found]) -> list[str]:
    """One row a code: its kinds, its messages, and the modules that raise it."""
    by_code: dict[str, list[Found]] = {}
    for one in found:
        by_code.setdefault(one.code, []).append(one)
    rows = []
    for code, ones in sorted(by_code.items()):
        kinds = ", ".join(dict.fromkeys(one.kind for one in ones))
        messages = [one.message for one in ones if one.message.strip("… .")]
        told = "<br>".join(cell(_short(one)) for one in dict.fromkeys(messages)) or "(varies)"
        places = ", ".join(f"`{one}`" for one in dict.fromkeys(one.place for one in ones))
        rows.append(f"| `{code}` | {kinds} | {told} | {places} |")
    return rows


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def cell(text: str) -> str:
    """A text that stays inside one cell of a Markdown table."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")
