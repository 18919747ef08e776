"""Opens the pages of a server in Chromium: python look.py CHROMIUM ADDRESS < PATHS.

Prints one line of JSON: what went wrong, as texts, and how many curves were drawn.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

TIMEOUT_MS = 15_000
faults: list[str] = []


def watch(page: Page, host: str) -> None:
    """Notes dialogs, errors on the console (a broken policy is one) and calls to elsewhere."""

    def dialog(found: Any) -> None:
        faults.append(f"{page.url}: dialog {found.message}")
        found.dismiss()

    def console(message: Any) -> None:
        # The browser's own note on a page that answers 400 or 404, which some here are meant to.
        expected = "the server responded with a status of 4" in message.text
        if message.type in {"error", "warning"} and not expected:
            faults.append(f"{page.url}: {message.type} {message.text}")

    def request(sent: Any) -> None:
        if urlsplit(sent.url).netloc != host and not sent.url.startswith("data:"):
            faults.append(f"{page.url}: asked {sent.url}")

    page.on("dialog", dialog)
    page.on("console", console)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("request", request)


def expect(holds: bool, what: str) -> None:
    if not holds:
        faults.append(what)


def look(context: BrowserContext, address: str, paths: list[str]) -> int:
    """Opens every page and scrolls to its end; how many curves were drawn."""
    curves = 0
    for path in paths:
        page = context.new_page()
        watch(page, urlsplit(address).netloc)
        page.goto(address + path, wait_until="networkidle", timeout=TIMEOUT_MS)
        for figure in page.locator("figure[data-series]").all():
            figure.scroll_into_view_if_needed()
            figure.locator("canvas").wait_for(timeout=TIMEOUT_MS)
            curves += 1
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        expect(not wide, f"{path}: wider than the window")
        page.close()
    return curves


def work_the_table(context: BrowserContext, address: str, path: str) -> None:
    """Filters and sorts as a reader does; the page stays, its table changes."""
    page = context.new_page()
    watch(page, urlsplit(address).netloc)
    page.goto(address + path, timeout=TIMEOUT_MS)
    page.evaluate("window.stayed = true")
    rows = page.locator("table.runs tbody tr")
    every = rows.count()
    page.fill("#filter", "params.rate = '0.1'")
    page.press("#filter", "Enter")
    rows.nth(1).wait_for(state="detached", timeout=TIMEOUT_MS)
    expect("filter=" in page.url, "the filter is not in the address")
    page.fill("#filter", "metrics.loss <")
    page.press("#filter", "Enter")
    page.locator("[role=alert]").wait_for(timeout=TIMEOUT_MS)
    expect(page.input_value("#filter") == "metrics.loss <", "the filter as typed is lost")
    page.fill("#filter", "")
    page.press("#filter", "Enter")
    rows.nth(every - 1).wait_for(timeout=TIMEOUT_MS)
    page.click("th[aria-sort] a:text('loss')")
    page.locator("th[aria-sort=descending] a:text('loss')").wait_for(timeout=TIMEOUT_MS)
    expect(page.evaluate("window.stayed === true"), "the whole page was loaded again")
    page.go_back()
    page.locator("th[aria-sort=descending] a:text('Started')").wait_for(timeout=TIMEOUT_MS)
    page.close()


def watch_a_run(context: BrowserContext, address: str, path: str) -> None:
    """A running run asks for news again and again, and stays one page."""
    page = context.new_page()
    watch(page, urlsplit(address).netloc)
    page.goto(address + path, timeout=TIMEOUT_MS)
    for _ in range(2):
        with page.expect_response(address + path, timeout=TIMEOUT_MS):
            pass
    expect(page.locator("#now h1").count() == 1, "the facts of a run are there twice, or not")
    page.close()


def work_by_keyboard(context: BrowserContext, address: str, path: str) -> None:
    """The first key press shows where one is, and leads past the menu."""
    page = context.new_page()
    page.goto(address + path, timeout=TIMEOUT_MS)
    page.keyboard.press("Tab")
    seen = page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement);"
        "return [document.activeElement.className, s.outlineStyle, s.outlineWidth]; })()"
    )
    expect(seen == ["skip", "solid", "2px"], f"the focus is not seen: {seen}")
    page.keyboard.press("Enter")
    expect(page.evaluate("document.activeElement.id") == "main", "the menu is not skipped")
    page.close()


def work_without_scripts(browser: Browser, address: str, path: str) -> None:
    """Filter, comparison and links work where scripts are off."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + path, timeout=TIMEOUT_MS)
    page.fill("#filter", "params.depth = '7'")
    page.click("text=Apply")
    expect("params.depth" in page.url, "the filter needs scripts")
    boxes = page.locator("td.pick input")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.click("text=Compare the chosen")
    expect(page.locator("h1").inner_text() == "Compare 2 runs", "comparing needs scripts")
    context.close()


def follow_links(context: BrowserContext, address: str) -> None:
    """A link that MLflow's client prints leads to the page meant."""
    page = context.new_page()
    watch(page, urlsplit(address).netloc)
    page.goto(f"{address}/#/experiments/0", timeout=TIMEOUT_MS)
    page.wait_for_url("**/?experiment=0", timeout=TIMEOUT_MS)
    page.close()


def work_the_waterfall(context: BrowserContext, address: str, path: str) -> None:
    """Another span is told in place."""
    page = context.new_page()
    watch(page, urlsplit(address).netloc)
    page.goto(address + path, timeout=TIMEOUT_MS)
    page.evaluate("window.stayed = true")
    page.click("table.waterfall a:text('open')")
    page.locator("h2#span:text('open')").wait_for(timeout=TIMEOUT_MS)
    expect("span=" in page.url, "the span is not in the address")
    expect(page.evaluate("window.stayed === true"), "the whole page was loaded again")
    page.close()


def main(chromium: str, address: str, paths: list[str]) -> None:
    traced = next(path for path in paths if path.startswith("/traces/"))
    running = [path for path in paths if path.startswith("/runs/")][1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        curves = 0
        for scheme, width in (("light", 1280), ("dark", 390)):
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 900}
            )
            curves = look(context, address, paths)
            context.close()
        context = browser.new_context()
        work_the_table(context, address, paths[0])
        watch_a_run(context, address, running)
        work_by_keyboard(context, address, paths[0])
        follow_links(context, address)
        work_the_waterfall(context, address, traced)
        context.close()
        work_without_scripts(browser, address, paths[0])
        browser.close()
    print(json.dumps({"faults": faults, "curves": curves}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].rstrip("/"), sys.stdin.read().split())
