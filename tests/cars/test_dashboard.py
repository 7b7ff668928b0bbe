"""The dashboard in a real browser."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import chromium, windows
from tests.browser.window import Window
from tests.cars.conftest import ROOT, Service, docker, start

__all__ = ["chromium"]
COLUMNS = ["car model", "mpg", "cyl", "wt", "hp"]


@pytest.fixture
def window(chromium: Browser, dashboard: Service) -> Iterator[Window]:
    """A window on the dashboard."""
    with windows(chromium, dashboard.base) as open_window:
        found = open_window(viewport={"width": 1200, "height": 1100})
        found.page.goto("/")
        expect(found.page.get_by_role("status")).to_have_text("32 of 32 cars")
        yield found


def models(page: Page) -> list[str]:
    """Return the first column of the table."""
    return [
        text.strip() for text in page.locator("#table tbody tr td:first-child").all_inner_texts()
    ]


def picture(page: Page) -> str:
    """Return the plot that is shown."""
    image = page.locator("#plot img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 100
    return image.get_attribute("src") or ""


def slider(page: Page, name: str) -> tuple[float, float]:
    """Return the two ends of a slider as somebody sees them."""
    box = page.locator(f".shiny-input-container:has(#{name})")
    return tuple(float(box.locator(end).inner_text()) for end in (".irs-from", ".irs-to"))  # type: ignore[return-value]


def drag(page: Page, name: str, handle: str, share: float) -> None:
    """Drag one handle of a slider to a share of its length."""
    box = page.locator(f".shiny-input-container:has(#{name})")
    line = box.locator(".irs-line").bounding_box()
    assert line is not None
    box.locator(f".irs-handle.{handle}").hover()
    page.mouse.down()
    page.mouse.move(line["x"] + line["width"] * share, line["y"] + 2, steps=5)
    page.mouse.up()


def test_filters_change_plot_and_table(window: Window, mtcars: pd.DataFrame) -> None:
    page = window.page
    assert models(page) == list(mtcars["car model"])
    first = picture(page)

    page.get_by_label("8", exact=True).uncheck()
    expect(page.get_by_role("status")).to_have_text("18 of 32 cars")
    assert models(page) == list(mtcars.query("cyl != 8")["car model"])
    expect(page.locator("#plot img")).not_to_have_attribute("src", first)
    second = picture(page)

    drag(page, "mpg", "from", 0.5)
    low, high = slider(page, "mpg")
    assert 15 < low < 30
    kept = mtcars[(mtcars["cyl"] != 8) & mtcars["mpg"].between(low, high)]
    expect(page.get_by_role("status")).to_have_text(f"{len(kept)} of 32 cars")
    assert models(page) == list(kept["car model"])
    expect(page.locator("#plot img")).not_to_have_attribute("src", second)

    drag(page, "wt", "to", 0.3)
    light, heavy = slider(page, "wt")
    kept = kept[kept["wt"].between(light, heavy)]
    expect(page.get_by_role("status")).to_have_text(f"{len(kept)} of 32 cars")
    assert models(page) == list(kept["car model"])
    expect(page.locator("#plot img")).to_have_attribute("alt", re.compile(f"of {len(kept)} cars"))
    window.settle()
    page.screenshot(path=ROOT / "build/cars-dashboard.png")


def test_no_car_is_no_fault(window: Window) -> None:
    page = window.page
    for cylinders in ("4", "6", "8"):
        page.get_by_label(cylinders, exact=True).uncheck()
    expect(page.get_by_role("status")).to_have_text("0 of 32 cars")
    assert models(page) == []
    picture(page)
    expect(page.locator(".shiny-output-error")).to_have_count(0)


def test_an_address_keeps_the_filters(window: Window, mtcars: pd.DataFrame) -> None:
    page = window.page
    page.get_by_label("4", exact=True).uncheck()
    expect(page.get_by_role("status")).to_have_text("21 of 32 cars")
    page.wait_for_url("**/?_inputs_&*")
    page.goto(page.url)
    expect(page.get_by_role("status")).to_have_text("21 of 32 cars")
    assert models(page) == list(mtcars[mtcars["cyl"] != 4]["car model"])


def test_it_has_no_barriers(window: Window) -> None:
    assert window.barriers() == []


def test_health_and_what_is_not_there(dashboard: Service) -> None:
    assert dashboard.ask("/readyz").text == "ready\n"
    assert dashboard.ask("/healthz").status == 200
    assert dashboard.ask("/nothing").status == 404


def test_a_browser_survives_that_its_task_is_replaced(chromium: Browser) -> None:
    """As at a deploy: filters stay, and work again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    before = start("cars-dashboard", port=port)
    containers = [before.container]
    try:
        with windows(chromium, before.base) as open_window:
            window = open_window()
            page = window.page
            page.goto("/")
            page.get_by_label("8", exact=True).uncheck()
            expect(page.get_by_role("status")).to_have_text("18 of 32 cars")
            docker("kill", "--signal", "TERM", before.container)
            docker("wait", before.container)
            containers.append(start("cars-dashboard", port=port).container)
            # The table of the new page: what is there before is grey.
            expect(page.locator("#shiny-disconnected-overlay")).to_have_count(0, timeout=60_000)
            expect(page.get_by_role("status")).to_have_text("18 of 32 cars")
            page.get_by_label("6", exact=True).uncheck()
            expect(page.get_by_role("status")).to_have_text("11 of 32 cars")
            assert len(models(page)) == 11
            # What it asks for while there is no task, or one that ends.
            for text in ("WebSocket", "net::ERR_", "answered 503"):
                window.allow(text)
    finally:
        docker("rm", "--force", *containers)
