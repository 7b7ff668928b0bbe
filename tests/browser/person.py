"""What people do on the site, by the labels that they read."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Download, Locator, Page, expect

from tests.browser.window import Window

FIT_MILLISECONDS = 90_000


class Person:
    """Somebody with a window."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page: Page = window.page
        self.email = f"{secrets.token_hex(6)}@example.org"
        self.password = f"{secrets.token_hex(4)} walks over {secrets.token_hex(4)}"

    @property
    def here(self) -> str:
        """The path of the page that is open."""
        return "/" + self.page.url.split("/", 3)[3]

    @property
    def main(self) -> Locator:
        """The page's main part."""
        return self.page.get_by_role("main")

    def go(self, path: str) -> None:
        """Open a page."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path} answered {answer.status}"

    def press(self, name: str | re.Pattern[str]) -> None:
        """Press the first button with this name."""
        exact = isinstance(name, str)
        self.page.get_by_role("button", name=name, exact=exact).first.click()

    def follow(self, name: str | re.Pattern[str]) -> None:
        """Follow the first link with this name in the page's main part."""
        self.main.get_by_role("link", name=name, exact=isinstance(name, str)).first.click()

    def fill(self, label: str, text: str) -> None:
        """Fill in a field."""
        self.page.get_by_label(label, exact=True).fill(text)

    def heading(self, name: str | re.Pattern[str]) -> None:
        """Expect the page to have this heading."""
        expect(self.page.get_by_role("heading", name=name).first).to_be_visible()

    def says(self, text: str | re.Pattern[str]) -> None:
        """Expect the page's main part to say this."""
        expect(self.main).to_contain_text(text)

    def download(self, link: Locator) -> Download:
        """Press what downloads something and return that."""
        with self.page.expect_download() as found:
            link.click()
        return found.value

    def register(self) -> None:
        """Make an account."""
        self.go("/register")
        self.fill("E-mail address", self.email)
        self.fill("Password", self.password)
        self.press("Register")
        self.is_logged_in()

    def log_in(self) -> None:
        """Log in."""
        self.go("/login")
        self.fill("E-mail address", self.email)
        self.fill("Password", self.password)
        self.press("Log in")
        self.is_logged_in()

    def is_logged_in(self) -> None:
        """Expect to be logged in."""
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()

    def log_out(self) -> None:
        """Log out."""
        self.press("Log out")
        expect(self.page.get_by_role("link", name="Log in").first).to_be_visible()

    def upload(self, path: Path) -> None:
        """Upload a file; the data set's page opens."""
        self.go("/datasets")
        self.page.get_by_label("CSV file").set_input_files(path)
        self.press("Upload")
        self.heading(path.name)

    def take_sample(self, name: str) -> None:
        """Take a sample; the data set's page opens."""
        self.go("/datasets")
        self.press(name)
        self.heading(f"{name}.csv")

    def train(self, target: str | None = None, only: Iterable[str] = ()) -> None:
        """Train on the data set whose page is open.

        Args:
            target: the column to predict, else what the form suggests.
            only: names of the estimators to compare, else all.

        """
        self.follow("Train a model")
        if target is not None:
            self.page.get_by_label("Column to predict", exact=True).select_option(target)
        if only:
            group = self.page.get_by_role("group", name="What to compare").first
            for box in group.get_by_role("checkbox").all():
                box.set_checked(False)
            for name in only:
                group.get_by_role("checkbox", name=name).check()
        self.press("Train")

    def wait_for_models(self) -> None:
        """Wait until the training whose page is open has ended and leads to what came of it."""
        failed = self.main.get_by_text("failed", exact=True)
        made = self.main.get_by_role("link", name=re.compile("^Predict"))
        # A page that is about to load itself again shows how each estimator did.
        expect(made.or_(self.page.get_by_role("link", name="Train again")).first).to_be_visible(
            timeout=FIT_MILLISECONDS
        )
        assert made.count(), self.main.inner_text()
        assert not failed.count(), self.main.inner_text()

    def predict(self, **cells: str) -> None:
        """Fill in the form of the page that predicts, and send it."""
        for name, value in cells.items():
            field = self.page.get_by_label(name, exact=True)
            if field.evaluate("(e) => e.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        self.press("Predict")

    @property
    def answer(self) -> Locator:
        """What was predicted."""
        return self.page.locator("#answer")

    def predict_file(self, path: Path) -> str:
        """Send a CSV file from the page that predicts and return what comes back."""
        self.page.get_by_label("CSV file").set_input_files(path)
        got = self.download(self.page.get_by_role("button", name="Predict and download"))
        return Path(got.path()).read_text(encoding="utf-8-sig")

    def make_key(self, name: str) -> str:
        """Make an API key and return it."""
        self.go("/account")
        self.fill("Name", name)
        self.press("Make a key")
        return self.page.locator("#new-key").inner_text().strip()
