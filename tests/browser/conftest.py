"""A live site, and windows of one browser. A fault in a window fails the test that opened it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.live_site import LiveSite
from tests.browser.person import Person
from tests.browser.window import Window

WAIT_MILLISECONDS = 20_000


def launch_options() -> dict[str, Any]:
    """Return how Chromium is started: Debian's, without a sandbox where root can't have one."""
    path = os.environ.get("BEANFT_CHROMIUM") or shutil.which("chromium")
    if not path:
        raise RuntimeError("There is no Chromium: run 'make test-browser', or install chromium.")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": path, "args": [*arguments, "--disable-dev-shm-usage"]}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A running site of this process' own."""
    with LiveSite(tmp_path_factory.mktemp("site")).running() as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        yield browser
        browser.close()


OpenWindow = Callable[..., Window]


@contextlib.contextmanager
def windows(chromium: Browser, base: str) -> Iterator[OpenWindow]:
    """Give a function that opens windows; afterwards no fault may have been seen in any."""
    opened: list[Window] = []

    def act(**options: Any) -> Window:
        context = chromium.new_context(base_url=base, accept_downloads=True, **options)
        context.set_default_timeout(WAIT_MILLISECONDS)
        opened.append(Window(context))
        return opened[-1]

    try:
        yield act
    finally:
        for window in opened:
            window.context.close()
    faults = [fault for window in opened for fault in window.faults]
    assert not faults, "\n".join(faults)


@pytest.fixture
def open_window(chromium: Browser, site: LiveSite) -> Iterator[OpenWindow]:
    """Open windows, each a browser without a past."""
    with windows(chromium, site.base) as act:
        yield act


@pytest.fixture
def window(open_window: OpenWindow) -> Window:
    """A window."""
    return open_window()


@pytest.fixture
def person(window: Window) -> Person:
    """Somebody with an account of their own, logged in."""
    person = Person(window)
    person.register()
    return person


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Return a function that writes a file to upload."""

    def act(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return act
