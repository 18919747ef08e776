"""Links and anchors of the documentation that lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

_FENCE: Final = re.compile(r"^(```+|~~~+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(
    r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)|(?:src|srcset|href)=\"([^\"]+)\""
)
_HEADING: Final = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_ANCHOR: Final = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
_ELSEWHERE: Final = ("http://", "https://", "mailto:")


def broken_links(root: Path, pages: list[Path]) -> Iterator[str]:
    """A line for each link to a file or heading that is not there."""
    for page in pages:
        text = _CODE.sub("", _FENCE.sub("", page.read_text("utf-8")))
        for match in _LINK.finditer(text):
            target = match[1] or match[2]
            if target.startswith(_ELSEWHERE):
                continue
            name, _, anchor = unquote(target).partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.exists() or not file.is_relative_to(root):
                yield f"{page.relative_to(root)}: {target} is not there"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{page.relative_to(root)}: {target} has no such heading"


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page, made from its headings as the usual viewers make them."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    found: dict[str, int] = {}
    names = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return frozenset(names)
