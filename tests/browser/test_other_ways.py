"""The main way without JavaScript, and with nothing but a keyboard."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from beanft.training.sample import SAMPLES
from tests.browser.conftest import OpenWindow
from tests.browser.person import Person
from tests.browser.window import Window

MOST_TABS = 60


def test_the_main_way_works_without_javascript(open_window: OpenWindow) -> None:
    person = Person(open_window(java_script_enabled=False))
    person.register()
    person.upload(SAMPLES / "iris.csv")
    person.follow("Histogram")
    person.page.get_by_label("Column", exact=True).select_option("petal_length")
    person.press("Draw")
    person.page.get_by_text("The same as a table").click()
    expect(person.page.get_by_role("region", name="Figures").first).to_be_visible()
    person.go("/dashboard/mtcars")
    person.page.get_by_label("mpg, from").fill("25")
    person.press("Show")
    person.says("6 of 32")

    person.go("/datasets")
    person.follow("iris.csv")
    person.train("species", only=["Logistic regression", "Decision tree"])
    expect(person.page.get_by_role("progressbar")).to_be_visible()
    person.wait_for_models()  # the page loads itself again
    person.follow("Predict with the current one")
    person.predict(petal_length="6.1", petal_width="2.2")
    expect(person.answer).to_contain_text("virginica")
    assert person.predict_file(SAMPLES / "iris_TEST.csv").count("\n") == 31
    key = person.make_key("nightly report")
    assert key.startswith("bft_")
    person.log_out()


def tab_to(window: Window, target: Locator) -> None:
    """Press Tab until the target has the focus, and see that it shows."""
    for _ in range(MOST_TABS):
        window.page.keyboard.press("Tab")
        if target.evaluate("(e) => e === document.activeElement"):
            style = target.evaluate("(e) => getComputedStyle(e).outlineStyle")
            assert style != "none", "what has the focus does not show it"
            return
    raise AssertionError(f"{MOST_TABS} times Tab did not lead to {target}.")


def test_a_keyboard_is_enough(window: Window) -> None:
    page, person = window.page, Person(window)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()

    tab_to(window, page.get_by_role("link", name="Make an account"))
    page.keyboard.press("Enter")
    tab_to(window, page.get_by_label("E-mail address"))
    page.keyboard.type(person.email)
    tab_to(window, page.get_by_label("Password", exact=True))
    page.keyboard.type(person.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    page.goto("/")
    for name, value in {"petal_length": "6.1", "petal_width": "2.2"}.items():
        tab_to(window, page.get_by_label(name))
        page.keyboard.press("Control+A")
        page.keyboard.type(value)
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text("virginica")

    tab_to(window, page.get_by_role("button", name="Log out"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()
