"""Tables: files that are refused, read again as their owner says, and looked at by a dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.person import Person
from tests.browser.window import Window

MakeFile = Callable[[str, bytes], Path]


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_a_bad_file_is_refused_with_a_reason(
    script: bool, open_window: OpenWindow, files: MakeFile
) -> None:
    person = Person(open_window(java_script_enabled=script))
    person.register()
    person.go("/datasets")
    bad = files("twice.csv", b"width,width\n1,2\n3,4\n")
    person.page.get_by_label("CSV file").set_input_files(bad)
    person.press("Upload")
    expect(person.page.get_by_role("alert")).to_contain_text("width")
    person.window.allow("/datasets answered 422")
    # And then a good one.
    person.upload(files("good.csv", b"width,height\n1,2\n3,4\n"))


def test_a_file_is_dropped_on_the_page(person: Person) -> None:
    person.go("/datasets")
    person.page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["width,height\\n1,2\\n3,4\\n"], "dropped.csv"));
          const here = document.querySelector("[data-drop]");
          for (const type of ["dragenter", "dragover", "drop"]) {
            here.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
          }
        }"""
    )
    person.heading("dropped.csv")


def test_a_file_is_read_again_as_its_owner_says(person: Person, files: MakeFile) -> None:
    page = person.page
    person.upload(files("codes.csv", b"1,10\n2,20\n3,30\n4,40\n"))
    page.get_by_label("First line", exact=True).select_option(label="Values already")
    person.press("Read it again")
    expect(page.get_by_role("columnheader", name="column_1").first).to_be_visible()
    expect(page.get_by_text("4", exact=True).first).to_be_visible()
    page.get_by_label("Type of column_1").select_option("text")
    person.press("Read it again with these types")
    expect(page.get_by_label("Type of column_1")).to_have_value("text")

    person.fill("Name", "postal codes.csv")
    person.press("Rename")
    person.heading("postal codes.csv")
    page.get_by_text("Delete this data set").click()
    person.press("Delete it for good")
    person.says("deleted")
    expect(page.get_by_text("postal codes.csv")).to_have_count(0)


def test_a_dashboard_answers_without_loading_again(window: Window) -> None:
    """Anybody may look at the sample: its filters narrow charts and rows at once."""
    person = Person(window)
    page = window.page
    person.go("/dashboard")
    person.follow(re.compile("32 rows"))
    assert min(window.ink()) > 500
    passed = page.locator("#passed")
    expect(passed).to_have_text("32 of 32")
    page.evaluate("() => { window.sameDocument = true; }")
    page.get_by_label("mpg, from").fill("25")
    expect(passed).to_have_text("6 of 32")
    assert page.evaluate("() => window.sameDocument === true")
    assert min(window.ink()) > 500
    data = person.download(page.get_by_role("link", name="Download these rows"))
    assert len(Path(data.path()).read_text(encoding="utf-8-sig").splitlines()) == 7
