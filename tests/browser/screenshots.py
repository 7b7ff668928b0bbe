"""Pictures of every page, light and dark, on a desktop and a phone, and the page that shows them.

Usage: ``bin/browser screenshots``, which is ``make screenshots``. Pictures of pages that are no
more are removed.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import launch_options, windows
from tests.browser.live_site import LiveSite
from tests.browser.person import Person
from tests.browser.tour import PAGES, Tour
from tests.browser.window import SCHEMES, SIZES

MOST_BYTES = 150_000
MOST_HEIGHT = {"desktop": 1500, "phone": 1700}


def small(picture: bytes, height: int) -> bytes:
    """Return a PNG cut to ``height`` and of as many colours as fit the bytes.

    Raises:
        ValueError: even 16 colours are too many.

    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(height, image.height)))
    for colours in (128, 64, 32, 16):
        packed = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        if packed.tell() <= MOST_BYTES:
            return packed.getvalue()
    raise ValueError(f"A picture has {packed.tell()} bytes, and {MOST_BYTES} are the most.")


def shoot(tour: Tour, name: str, folder: Path) -> list[Path]:
    """Take the four pictures of a page."""
    window, made = tour.window(name), []
    for size in SIZES:
        for scheme in SCHEMES:
            window.look(size, scheme)
            tour.open(name)
            picture = window.page.screenshot(full_page=True, animations="disabled")
            path = folder / f"{name}-{size}-{scheme}.png"
            path.write_bytes(small(picture, MOST_HEIGHT[size]))
            made.append(path)
    return made


def text(folder: str) -> str:
    """Return docs/pages.md, with links to the pictures in ``folder`` beside it."""
    looks = [f"{size}-{scheme}" for size in SIZES for scheme in SCHEMES]
    names = " | ".join(look.replace("-", ", ") for look in looks)
    lines = [
        "# The pages",
        "",
        "Every page as a person meets it: on a desktop and a phone (360 px), in light and in dark. The browser tests",
        "walk through the same pages (`make test-browser`): axe-core finds no serious or critical barrier on any of",
        "them in any of these looks, none is wider than the phone, and the console stays empty. `make screenshots`",
        "takes the pictures and writes this page.",
        "",
        f"| page | {names} |",
        "|---|---|---|---|---|",
    ]
    for name, about in PAGES.items():
        pictures = " | ".join(
            f"[![{name}, {look}]({folder}/{name}-{look}.png)]({folder}/{name}-{look}.png)"
            for look in looks
        )
        lines.append(f"| {about} | {pictures} |")
    return "\n".join([*lines, ""])


def main(folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        LiveSite(Path(scratch)).running() as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(**launch_options())
        with windows(browser, site.base) as open_window:
            tour = Tour(Person(open_window()), open_window())
            tour.prepare()
            for name in PAGES:
                made += shoot(tour, name, folder)
                print(f"  {name}")
        browser.close()
    for old in set(folder.glob("*.png")) - set(made):
        old.unlink()
    folder.with_name("pages.md").write_text(text(folder.name), encoding="utf-8")
    total = sum(path.stat().st_size for path in made)
    print(f"{len(made)} pictures, {total / 1e6:.1f} MB, in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
