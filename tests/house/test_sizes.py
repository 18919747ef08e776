"""A ratchet: files, functions and broad handlers may get fewer and smaller, not more and larger."""

import ast
import json
import re
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mainspring"
RECORD = Path(__file__).with_name("sizes.json")
# One part in fifty above what is recorded passes, so that a mended line does not need a new record.
TOLERANCE = 1.02
BROAD = re.compile(r"\b(Base)?Exception\b")
LOWER = (
    "Split what grew by what it is for (the largest are named below), or catch the error that is "
    "meant. A smaller figure is recorded in tests/house/sizes.json, a larger one is not."
)


def functions(tree):
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def is_broad(node):
    """Whether it is a bare 'except' or one that names Exception or BaseException."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    return node.type is None or bool(BROAD.search(ast.unparse(node.type)))


def lines_of(node):
    return (node.end_lineno or node.lineno) - node.lineno + 1


def measured(texts):
    """The figures of sources by their names, and the places that make them what they are."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    files = {name: len(text.splitlines()) for name, text in texts.items()}
    parts = {
        f"{name}:{node.lineno} {node.name}": lines_of(node)
        for name, tree in trees.items()
        for node in functions(tree)
    }
    broad = [
        f"{name}:{node.lineno}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if is_broad(node)
    ]
    figures = {
        "file_lines_median": median(files.values()),
        "file_lines_90th_percentile": quantiles(files.values(), n=10, method="inclusive")[8],
        "file_lines_largest": max(files.values()),
        "function_lines_median": median(parts.values()),
        "function_lines_90th_percentile": quantiles(parts.values(), n=10, method="inclusive")[8],
        "broad_handlers_per_1000_lines": round(1000 * len(broad) / sum(files.values()), 3),
    }
    return figures, largest(files) + largest(parts) + broad


def largest(lines):
    some = sorted(lines.items(), key=lambda item: -item[1])[:5]
    return [f"{name}: {count} lines" for name, count in some]


def grown(figures, recorded):
    """One sentence for each figure beyond what is recorded."""
    return [
        f"{name} is {figures[name]:g}, recorded is {limit:g}"
        for name, limit in recorded.items()
        if figures[name] > limit * TOLERANCE
    ]


def test_files_functions_and_broad_handlers_do_not_grow():
    """No figure of the source is beyond the one in sizes.json."""
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in SOURCE.rglob("*.py")
        if "_examples" not in path.parts
    }
    figures, places = measured(texts)
    recorded = json.loads(RECORD.read_text("utf-8"))
    assert figures.keys() == recorded.keys()
    assert not grown(figures, recorded), "\n".join([*grown(figures, recorded), LOWER, *places])


def test_what_grew_is_seen():
    """A longer function, a longer file and a broad handler each move their figure."""
    small = "def one():\n    try:\n        pass\n    except ValueError:\n        pass\n"
    before, _ = measured({"a.py": small, "b.py": small})
    longer = small.replace("        pass\n", "        pass\n        pass\n")
    after, places = measured({"a.py": longer, "b.py": small.replace("ValueError", "Exception")})
    assert grown(before, before) == []
    assert len(grown(after, before)) == len(before)
    assert places[-1] == "b.py:4"
