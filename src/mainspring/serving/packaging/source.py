"""The source that answering takes, copied out of this installation under another name.

A wheel carries it, so that an application needs no Mainspring and answers with the code that the
gateway answers with. Which modules: those reached by imports from the roots, at module level;
packages become empty, because their faces would bring in whole stages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from typing import Final

HOUSE: Final = "mainspring"
_IMPORT = re.compile(rf"^(\s*(?:from|import) ){HOUSE}\.", re.MULTILINE)


def copied(roots: Iterable[str], under: str) -> dict[str, bytes]:
    """Files below ``under`` (a package's dotted name) by path, with imports that stay inside it."""
    found: dict[str, bytes] = {}
    for module in sorted(_closure(roots)):
        parts = module.split(".")[1:]
        for depth in range(len(parts)):
            folder = "/".join(parts[:depth])
            found.setdefault(f"{folder}/__init__.py".lstrip("/"), b"")
        found["/".join(parts) + ".py"] = _IMPORT.sub(rf"\1{under}.", _text(module)).encode()
    return dict(sorted(found.items()))


def _closure(roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported(ast.parse(_text(module)).body)
    return found


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    """The modules of ours that statements import; what only type checkers read is left out."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield from _imported([*node.body, *node.orelse])
        elif isinstance(node, ast.If):
            yield from _imported(node.orelse)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{HOUSE}."):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_module(inner) else str(node.module)


def _is_module(name: str) -> bool:
    package = name.rpartition(".")[0]
    spec = find_spec(package)
    return bool(spec and spec.submodule_search_locations) and find_spec(name) is not None


def _text(module: str) -> str:
    *folders, name = module.split(".")[1:]
    return files(HOUSE).joinpath(*folders, f"{name}.py").read_text("utf-8")
