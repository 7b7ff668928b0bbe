"""A browser window that notices what a person would not.

Errors in the console, refused scripts, requests that fail, and what axe-core calls a barrier.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response

GRAVE = ("serious", "critical")
DESKTOP, PHONE = (1100, 800), (360, 740)
SIZES = {"desktop": DESKTOP, "phone": PHONE}
SCHEMES = ("light", "dark")
# Chromium says so of each answer from 400 up; answers are judged by `_answered`.
OF_ANSWERS = "Failed to load resource: the server responded with a status of"


def axe_source() -> str:
    """Return axe-core, which `bin/browser` has fetched."""
    path = Path(os.environ.get("BEANFT_AXE", ""))
    if not path.is_file():
        raise RuntimeError("axe-core is not here: run 'make test-browser' or bin/browser.")
    return path.read_text(encoding="utf-8")


class Window:
    """A page, and the list of what went wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self._axe = axe_source()
        context.on("console", self._said)
        context.on("weberror", lambda error: self._note(f"uncaught: {error.error}"))
        context.on("response", self._answered)

    def _note(self, text: str) -> None:
        self.faults.append(f"{self.page.url}: {text}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(OF_ANSWERS):
            self._note(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        """A page may say 404 or 422; nothing may fail, and what a page loads has to be there."""
        page = response.request.is_navigation_request()
        if response.status >= (500 if page else 400):
            self._note(f"{response.request.method} {response.url} answered {response.status}")

    def allow(self, text: str) -> None:
        """Forget faults that say this: the test provoked them."""
        self.faults = [fault for fault in self.faults if text not in fault]

    def look(self, size: str, scheme: str) -> None:
        """Become a phone or a desktop, light or dark."""
        width, height = SIZES[size]
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.page.set_viewport_size({"width": width, "height": height})

    def settle(self) -> None:
        """Wait until what the page loads is there and drawn."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def reveal(self) -> None:
        """Scroll down and up again: charts are drawn when they come into sight."""
        self.settle()
        self.page.evaluate(
            """async () => {
              const step = () => new Promise((done) => requestAnimationFrame(done));
              for (let y = 0; y < document.body.scrollHeight; y += innerHeight / 2) {
                scrollTo(0, y);
                await step();
                await step();
              }
              scrollTo(0, 0);
            }"""
        )
        self.settle()

    def barriers(self) -> list[str]:
        """Return axe-core's serious and critical findings on the page as it looks now."""
        if not self.page.evaluate("() => typeof window.axe === 'object'"):
            self.page.evaluate(self._axe)
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await window.axe.run(document, {resultTypes: ['violations']})).violations"
        )
        return [
            f"{rule['id']}: {rule['help']}: "
            + "; ".join(
                f"{node['html'][:160]} ({node['failureSummary']})" for node in rule["nodes"][:3]
            )
            for rule in found
            if rule["impact"] in GRAVE
        ]

    def overflow(self) -> str:
        """Return what makes the page wider than the window; empty if nothing does."""
        found: str = self.page.evaluate(
            """() => {
              const most = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= most) return "";
              const wide = [...document.body.querySelectorAll("*")].filter((e) =>
                e.getBoundingClientRect().right > most + 1 && !e.closest(".scroll"));
              return `${document.documentElement.scrollWidth} px wide: `
                + wide.slice(0, 5).map((e) => e.cloneNode(false).outerHTML.slice(0, 120)).join(" ");
            }"""
        )
        return found

    def ink(self) -> list[int]:
        """Return of each place for a chart how many pixels are drawn on; 0 where it is squeezed."""
        self.reveal()
        found: list[int] = self.page.evaluate(
            """() => [...document.querySelectorAll("[data-chart] .canvas")].map((place) => {
              const canvas = place.querySelector("canvas");
              if (!canvas || place.clientHeight + 1 < parseFloat(place.style.height)) return 0;
              return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
                .filter((value, at) => at % 4 === 3 && value > 0).length;
            })"""
        )
        return found

    def judge(self) -> list[str]:
        """Return the barriers and overflows of the present page in all four looks."""
        found = []
        for size in SIZES:
            for scheme in SCHEMES:
                self.look(size, scheme)
                found += [f"{size}, {scheme}: {text}" for text in self.barriers()]
            if text := self.overflow():
                found.append(f"{size}: {text}")
        return found
