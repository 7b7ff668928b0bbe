"""Every page, on a phone and a desktop, in light and dark: no barrier, and nothing sticks out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import OpenWindow, windows
from tests.browser.live_site import ROOT, LiveSite
from tests.browser.person import Person
from tests.browser.screenshots import text
from tests.browser.tour import PAGES, Tour
from tests.browser.window import Window


@pytest.fixture(scope="module")
def open_tour_window(chromium: Browser, site: LiveSite) -> Iterator[OpenWindow]:
    """Windows for all tests here."""
    with windows(chromium, site.base) as act:
        yield act


@pytest.fixture(scope="module")
def tour(open_tour_window: OpenWindow) -> Tour:
    """Every page, made."""
    tour = Tour(Person(open_tour_window()), open_tour_window())
    tour.prepare()
    assert tour.paths.keys() == PAGES.keys()
    return tour


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_and_no_barrier_and_fits_a_phone(name: str, tour: Tour) -> None:
    tour.open(name)
    window = tour.window(name)
    found = window.judge() + window.faults
    window.faults.clear()  # they are this page's, not the next one's
    assert not found, "\n".join(found)


def test_the_judges_see_what_is_wrong(window: Window) -> None:
    """A page made worse on purpose is found out, so silence above means something."""
    window.page.goto("/login")
    window.page.evaluate(
        """() => {
          const bare = document.createElement("button");
          const wide = document.createElement("div");
          wide.append("x".repeat(400));
          const script = document.createElement("script");
          script.append("document.title = 'taken over'");
          document.querySelector("main").append(bare, wide, script);
        }"""
    )
    window.look("phone", "light")
    assert any(text.startswith("button-name") for text in window.barriers())
    assert window.overflow()
    assert window.page.title() != "taken over"
    refused = [text for text in window.faults if "Content Security Policy" in text]
    assert refused
    window.page.evaluate("() => fetch('/nowhere').then((answer) => answer.text())")
    window.page.evaluate("() => { setTimeout(() => { throw new Error('broken'); }) }")
    window.settle()
    assert any("/nowhere answered 404" in text for text in window.faults)
    assert any("broken" in text for text in window.faults)
    window.faults.clear()


def test_the_docs_show_every_page() -> None:
    page = ROOT / "docs" / "pages.md"
    assert page.read_text(encoding="utf-8") == text("screenshots"), "run 'make screenshots'"
    linked = set(re.findall(r"\]\((\S+?\.png)\)", page.read_text(encoding="utf-8")))
    there = {f"screenshots/{path.name}" for path in (ROOT / "docs/screenshots").glob("*.png")}
    assert linked == there
