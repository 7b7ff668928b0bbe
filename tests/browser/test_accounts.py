"""Accounts: a picture, a second factor, and an end of other sessions."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pyotp
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.person import Person


def test_a_second_factor_is_set_up_and_asked_for(person: Person) -> None:
    page = person.page
    person.go("/account")
    person.follow("Set it up")
    person.press("Set it up")
    page.get_by_text("Type it instead").click()
    secret = page.locator("#totp-secret").inner_text().strip()
    page.get_by_role("textbox", name=re.compile("code", re.IGNORECASE)).fill(
        pyotp.TOTP(secret).now()
    )
    page.get_by_label("password").first.fill(person.password)
    person.press("Turn it on")
    person.heading("Your recovery codes")
    codes = page.get_by_role("listitem").all_inner_texts()
    assert len(set(codes)) == 10
    person.log_out()

    person.go("/login")
    person.fill("E-mail address", person.email)
    person.fill("Password", person.password)
    person.press("Log in")
    person.heading("Enter your code")
    assert page.goto("/datasets") is not None
    person.heading("Log in")  # a password alone is not enough

    person.go("/login")
    person.fill("E-mail address", person.email)
    person.fill("Password", person.password)
    person.press("Log in")
    page.get_by_role("textbox", name=re.compile("code", re.IGNORECASE)).fill(codes[0])
    person.press("Log in")
    person.is_logged_in()


def test_a_picture_takes_the_place_of_the_initials(
    person: Person, files: Callable[[str, bytes], Path]
) -> None:
    page = person.page
    drawn = io.BytesIO()
    Image.new("RGB", (400, 200), (200, 30, 30)).save(drawn, "PNG")
    person.go("/account")
    expect(page.get_by_role("img", name="Your initials")).to_be_visible()
    page.locator("#picture input[type=file]").set_input_files(files("me.png", drawn.getvalue()))
    person.press("Use this picture")
    portrait = page.get_by_role("img", name="Your picture")
    expect(portrait).to_be_visible()
    size = portrait.evaluate("async (e) => (await e.decode(), [e.naturalWidth, e.naturalHeight])")
    assert size[0] == size[1] > 0
    person.press("Delete the picture")
    expect(page.get_by_role("img", name="Your initials")).to_be_visible()


def test_another_session_is_ended_from_here(person: Person, open_window: OpenWindow) -> None:
    other = Person(open_window())
    other.email, other.password = person.email, person.password
    other.log_in()
    person.go("/account")
    person.press("End all others")
    other.page.goto("/account")
    other.heading("Log in")
    person.go("/account")
    person.is_logged_in()
