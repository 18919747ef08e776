"""What every page keeps: nothing of a stored text runs, and nothing on it is inline."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser

from pages_workspace import ATTACKS, HIDDEN, MARKUP, MODEL, Site

from mainspring._entrypoints._http import OPEN
from mainspring._entrypoints.ui import pages_mount
from mainspring._entrypoints.ui.figures import span
from mainspring._entrypoints.ui.literal import visible
from mainspring._entrypoints.ui.rendering import address

Filled = tuple[Site, list[str]]
VOID = {"meta", "link", "input", "img", "br", "wbr", "hr"}


class Page(HTMLParser):
    """The elements of a page, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.read = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.read += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_every_page_answers(filled: Filled) -> None:
    """Each page of the filled server is there, whole HTML that no cache keeps."""
    found, addresses = filled
    for target in addresses:
        answer = found.get(target)
        assert answer.status in {200, 400, 404}, target
        assert answer.headers["content-type"] == "text/html; charset=utf-8", target
        assert not Page(answer.text).open, target


def test_no_page_holds_what_the_policy_forbids(filled: Filled) -> None:
    """No inline script, style or handler, nothing from elsewhere; and the policy says so too."""
    found, addresses = filled
    for target in addresses:
        answer = found.get(target)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        page = Page(answer.text)
        for script in page.all("script"):
            assert (script["src"] or "").startswith("/static/"), target
        assert page.all("style") == [], target
        for tag, attributes in page.elements:
            assert not {name for name in attributes if name.startswith("on") or name == "style"}, (
                f"{target}: {tag} {attributes}"
            )
            for name in ("href", "src", "action", "hx-get", "data-series"):
                if name in attributes:
                    assert re.match(r"[/#](?!/)", attributes[name] or ""), f"{target}: {attributes}"


def test_stored_texts_are_shown_literally(filled: Filled) -> None:
    """Names, values and reasons that hold markup are read as they were written."""
    found, addresses = filled
    assert all(attack in Page(found.get(addresses[0]).text).read for attack in ATTACKS)
    run = Page(found.get(addresses[4]).text).read
    assert ATTACKS[1] in run
    assert MARKUP in run
    for target in (address("models", MODEL), address("models", MODEL, 3)):
        assert MODEL in Page(found.get(target).text).read
        assert MARKUP in Page(found.get(target).text).read


def test_unseen_characters_are_written_out(filled: Filled) -> None:
    """A direction-changing character in a value shows as its code point and turns nothing."""
    found, addresses = filled
    text = found.get(addresses[4]).text
    assert "a⟨U+202E⟩b⟨U+2066⟩c" in text
    assert HIDDEN not in text
    assert visible("tab\tline\nnul\x00") == "tab⇥line↵nul⟨U+0000⟩"
    assert visible("Grüße, 東京") == "Grüße, 東京"


def test_every_route_asks_for_a_right(empty: Site) -> None:
    """Only the style sheet, scripts and icon are open; every page is read-only."""
    routes = empty.application.router.routes
    assert {r.pattern for r in routes if r.permission == OPEN} == {"/static/{path*}"}
    assert {r.method for r in routes} == {"GET"}
    assert {r.permission for r in routes} - {OPEN} == {("runs", "read"), ("models", "read")}
    assert pages_mount.__doc__


def test_labels_and_headings_are_there_for_a_screen_reader(filled: Filled) -> None:
    """One h1 per page, a caption per table, a scope per heading cell, a label per field."""
    found, addresses = filled
    for target in addresses:
        page = Page(found.get(target).text)
        assert len(page.all("h1")) == 1, target
        assert len(page.all("caption")) == len(page.all("table")), target
        assert all("scope" in cell for cell in page.all("th")), target
        labelled = {label.get("for") for label in page.all("label")}
        fields = [f for f in page.all("input") + page.all("select") if f.get("type") != "hidden"]
        for field in fields:
            wrapped = field.get("type") == "checkbox"  # inside its label, or with its own
            assert wrapped or field.get("id") in labelled, f"{target}: {field}"
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids)), target


def test_what_is_not_there_says_what_to_do(empty: Site) -> None:
    """Unknown addresses, runs, models and versions are pages with a way on."""
    empty.registry.models.register("late")
    unknown = ("/nothing", "/runs/x", "/runs/" + "0" * 32, "/models/none", "/models/late/7")
    numbers = ("/models/late/0", "/models/late/x", "/models/late/99999999999999999999")
    for target in (*unknown, *numbers, "/static/none.css", "/static/../ui.py"):
        answer = empty.get(target)
        assert answer.status in {400, 404}, target
        assert 'href="/models"' in answer.text, target
        assert answer.headers["content-type"].startswith("text/html")


def test_empty_pages_tell_the_next_step(empty: Site) -> None:
    """A new server shows what to run first, not a bare table."""
    assert "MLFLOW_TRACKING_URI" in empty.get("/").text
    assert "mainspring run" in empty.get("/models").text
    assert "Choose two runs or more" in empty.get("/compare").text
    empty.registry.models.register("late")
    assert "No version yet" in empty.get("/models/late").text


def test_files_of_the_pages_can_be_kept(empty: Site) -> None:
    """Style and scripts are named by their bytes and kept for a year; licences come along."""
    page = Page(empty.get("/").text)
    targets = [a["href"] for a in page.all("link")] + [a["src"] for a in page.all("script")]
    for target in targets:
        answer = empty.get(target or "")
        assert answer.status == 200, target
        assert "immutable" in answer.headers["cache-control"], target
    assert "immutable" not in empty.get("/static/pages.css?v=old").headers["cache-control"]
    for name in ("htmx", "uplot"):
        assert empty.get(f"/static/vendor/{name}-LICENSE.txt").status == 200


def test_foreign_files_are_those_of_their_releases(empty: Site) -> None:
    """Each vendored file has the bytes that the list of versions says, and is in that list."""
    listed = set()
    for line in empty.get("/static/vendor/versions.txt").text.splitlines():
        digest, name, *_ = line.split()
        body = empty.get(f"/static/vendor/{name}").text.encode()
        assert hashlib.sha256(body).hexdigest() == digest, name
        listed.add(name)
    assert listed == {"htmx.min.js", "uplot.min.js", "uplot.min.css"}


def test_lengths_of_time_read_well() -> None:
    """From parts of a second to days; nothing for a run that goes on."""
    assert span(0, 1_500) == "1.5 s"
    assert span(0, 61_000) == "1 min 1 s"
    assert span(0, 90_000_000) == "1 d 1 h"
    assert span(0, None) == ""
