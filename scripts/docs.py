"""Keeps the documentation true: writes the generated pages, follows the links, runs the snippets.

``python scripts/docs.py`` writes ``docs/reference``, then checks everything. ``--check`` writes
nothing and fails when a generated page is not current. ``--generate`` only writes. Pages may be
named to check only those; the rules for snippets stand in ``docs_snippets.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from docs_links import broken_links
from docs_snippets import Page, runs_something
from reference_commands import commands_page
from reference_errors import error_codes, errors_page
from reference_events import events_page
from reference_project_file import project_file_page
from reference_settings import settings_page

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "src" / "mainspring"
REFERENCE: Final = ROOT / "docs" / "reference"
MARK: Final = "<!-- Written by scripts/docs.py from the code. Change the code, then run it. -->\n\n"
WORKERS: Final = 2


def generated() -> dict[Path, Callable[[], str]]:
    """The generated pages and what writes each."""
    found: dict[Path, Callable[[], str]] = {
        REFERENCE / "settings.md": settings_page,
        REFERENCE / "errors.md": lambda: errors_page(PACKAGE),
        REFERENCE / "events.md": lambda: events_page(PACKAGE),
        REFERENCE / "project-file.md": lambda: project_file_page(ROOT),
    }
    marked = {path: partial(_marked, page) for path, page in found.items()}
    return {**marked, REFERENCE / "commands.md": commands_page}


def _marked(page: Callable[[], str]) -> str:
    return MARK + page()


def pages() -> list[Path]:
    """Every page of the documentation."""
    top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    rest = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md")]
    return [ROOT / name for name in top] + sorted(rest)


def stale() -> list[str]:
    """The generated pages that differ from what the code says, and codes that cannot be told."""
    wrong = [
        f"{path.relative_to(ROOT)} is not current: run python scripts/docs.py --generate"
        for path, page in generated().items()
        if not path.exists() or path.read_text("utf-8") != page()
    ]
    _, unknown = error_codes(PACKAGE)
    return wrong + [
        f"{place}: an error whose code cannot be told from the source" for place in unknown
    ]


def run_page(page: Path) -> str | None:
    """Runs the snippets of a page in a folder of its own; what went wrong first."""
    text = page.read_text("utf-8")
    if not runs_something(text):
        return None
    started = time.monotonic()
    name = str(page.relative_to(ROOT))
    with tempfile.TemporaryDirectory(prefix="mainspring-docs-", ignore_cleanup_errors=True) as made:
        reading = Page(name, Path(made))
        try:
            wrong = reading.run(text)
        finally:
            reading.close()
    print(
        f"{'FAILED' if wrong else 'ok':<7}{time.monotonic() - started:6.1f} s  {name}", flush=True
    )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--generate", action="store_true", help="only write the generated pages")
    parser.add_argument("pages", nargs="*", type=Path, help="run the snippets of these pages only")
    asked = parser.parse_args()
    if not asked.check:
        REFERENCE.mkdir(parents=True, exist_ok=True)
        for path, page in generated().items():
            path.write_text(page(), encoding="utf-8", newline="\n")
    if asked.generate:
        return 0
    chosen = [path.resolve() for path in asked.pages] or pages()
    problems = [] if asked.pages else [*stale(), *broken_links(ROOT, chosen)]
    with ThreadPoolExecutor(WORKERS) as pool:
        problems += [wrong for wrong in pool.map(run_page, chosen) if wrong]
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
