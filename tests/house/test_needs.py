"""No test is skipped in silence: what is missing on a build machine fails there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import needs

TESTS = Path(__file__).parents[1]
OWN_WAYS = re.compile(r"\b(pytest\.skip|importorskip|skipif|mark\.skip|unittest\.skip)\b")


def _report(reason: str, outcome: str = "skipped") -> pytest.TestReport:
    where = ("test_x.py", 1, f"Skipped: {reason}")
    return pytest.TestReport("test_x.py::x", ("test_x.py", 1, "x"), {}, outcome, where, "call")  # type: ignore[arg-type]


def test_every_test_asks_in_one_place():
    """Nothing but tests/needs.py decides to skip."""
    found = [
        f"{path.relative_to(TESTS)}:{number}"
        for path in TESTS.rglob("*.py")
        if path not in {Path(__file__), TESTS / "needs.py"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if OWN_WAYS.search(line)
    ]
    assert not found, "Ask tests/needs.py instead."


def test_at_home_a_missing_service_skips(monkeypatch):
    """With how to install it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"a tool is missing; to install it: do this"):
        needs.without("a tool", "do this")
    report = _report("a tool is missing")
    needs.strictly(report)
    assert report.outcome == "skipped"


def test_on_a_build_machine_a_missing_service_fails(monkeypatch):
    """Also when a test decides on its own, or a library's helper does."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"a tool is missing; to install it: do this"):
        needs.without("a tool", "do this")
    report = _report("could not import 'a tool'")
    needs.strictly(report)
    assert report.outcome == "failed"


def test_what_the_kernel_refuses_is_skipped_with_its_words(monkeypatch):
    """On a build machine too: no installation would help."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception) as skipped:
        needs.refused("to mount", "permission\ndenied")
    report = _report(str(skipped.value))
    needs.strictly(report)
    assert report.outcome == "skipped"
    assert "the kernel refuses to mount: permission denied" in report.longrepr[2]


def test_what_passed_or_failed_stays_so(monkeypatch):
    """Only skips are judged."""
    monkeypatch.setenv("CI", "true")
    for outcome in ("passed", "failed"):
        report = _report("", outcome)
        needs.strictly(report)
        assert report.outcome == outcome


def test_what_tests_ask_for_is_installed_by_one_command():
    """Each Debian package and client that the tests ask for has its line in scripts/services.py."""
    from scripts.services import PACKAGES

    assert set(needs.PACKAGES.values()) <= set(PACKAGES)
