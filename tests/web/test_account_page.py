"""The account's page: picture, password, sessions, scopes of keys, second factor."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

from beanft.core.database import Database, utcnow
from beanft.security.throttle import USER_FAILURES
from beanft.users import second_factor, service
from beanft.users.models import ApiKey, User, UserSession

PASSWORD = "a good long password"
OTHER = "another quite long one"
PICTURE = "/account/picture"


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


def send_picture(browser: Any, content: bytes) -> Any:
    form = {"picture": (io.BytesIO(content), "me.png")}
    return browser.post(PICTURE, form, page="/account")


def address_of_picture(browser: Any) -> str:
    found = re.search(r'src="(/account/picture\?v=[^"]+)"', browser.get("/account").text)
    assert found
    return found.group(1)


def test_a_picture_of_ones_own(ada: Any, bob: Any, visitor: Any) -> None:
    browser = ada[1]
    before = address_of_picture(browser)
    initials = browser.get(before)
    assert initials.mimetype == "image/svg+xml"
    assert b">A</text>" in initials.data
    assert send_picture(browser, png()).status_code == 302
    after = address_of_picture(browser)
    assert after != before
    sent = browser.get(after)
    assert (sent.mimetype, Image.open(io.BytesIO(sent.data)).size) == ("image/webp", (256, 256))
    assert sent.headers["X-Content-Type-Options"] == "nosniff"
    assert sent.headers["Cache-Control"] == "private, max-age=86400"
    # Without its version, or with an old one, a browser has to ask again.
    assert browser.get(PICTURE).headers["Cache-Control"] == "private, no-cache"
    again = browser.get(PICTURE, headers={"If-None-Match": sent.headers["ETag"]})
    assert again.status_code == 304
    assert bob[1].get(after).mimetype == "image/svg+xml"  # his own
    assert visitor.get(PICTURE).status_code == 302
    assert browser.post(f"{PICTURE}/delete", page="/account").status_code == 302
    assert browser.get(PICTURE).mimetype == "image/svg+xml"


@pytest.mark.parametrize("content", [None, b"", b"<svg/>", png()[:60]])
def test_a_wrong_picture_is_refused_by_its_field(ada: Any, content: bytes | None) -> None:
    browser = ada[1]
    answer = (
        browser.post(PICTURE, page="/account")
        if content is None
        else send_picture(browser, content)
    )
    assert answer.status_code == 422
    assert re.search(r'class="problem">(Choose a|This is not a|The picture is)', answer.text)


def test_changing_the_password_ends_every_other_session(web: Flask, ada: Any) -> None:
    user, browser = ada
    elsewhere = type(browser)(web.test_client())
    elsewhere.post("/login", {"email": user.email, "password": PASSWORD})
    assert elsewhere.get("/account").status_code == 200
    old_cookie = browser.client.get_cookie("beanft").value
    form = {"current_password": "wrong", "password": OTHER, "again": OTHER}
    wrong = browser.post("/account/password", form, page="/account")
    assert (wrong.status_code, "The password is wrong" in wrong.text) == (422, True)
    form["current_password"] = PASSWORD
    weak = {**form, "password": "password12", "again": "password12"}
    refused = browser.post("/account/password", weak, page="/account")
    assert (refused.status_code, "easy to guess" in refused.text) == (422, True)
    assert elsewhere.get("/account").status_code == 200
    assert browser.post("/account/password", form, page="/account").status_code == 302
    assert browser.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 302
    # This session has begun anew, too: a copy of the cookie is worth nothing.
    elsewhere.client.set_cookie("beanft", old_cookie)
    assert elsewhere.get("/account").status_code == 302
    assert elsewhere.post("/login", {"email": user.email, "password": PASSWORD}).status_code == 422
    assert elsewhere.post("/login", {"email": user.email, "password": OTHER}).status_code == 302


def test_the_present_password_is_not_guessed_on_the_account_page(ada: Any) -> None:
    browser = ada[1]
    form = {"current_password": "wrong", "password": OTHER, "again": OTHER}
    for _ in range(USER_FAILURES):
        assert browser.post("/account/password", form, page="/account").status_code == 422
    form["current_password"] = PASSWORD
    assert browser.post("/account/password", form, page="/account").status_code == 429


def test_all_other_sessions_end_at_once(web: Flask, database: Database, ada: Any, bob: Any) -> None:
    user, browser = ada
    others = [type(browser)(web.test_client()) for _ in range(3)]
    for other in others:
        other.post("/login", {"email": user.email, "password": PASSWORD})
    assert "End all others" in browser.get("/account").text
    answer = browser.post("/account/sessions/end-others", page="/account")
    assert answer.status_code == 302
    assert "Sessions ended: 3" in browser.get("/account").text
    assert [other.get("/account").status_code for other in others] == [302] * 3
    assert bob[1].get("/account").status_code == 200
    with database.reading() as session:
        assert len(session.scalars(sa.select(UserSession)).all()) == 2


@pytest.mark.parametrize(
    ("form", "scopes", "days"),
    [
        ({}, None, None),
        ({"access": "everything", "scopes": "predict"}, None, None),
        ({"access": "predict", "life": "30"}, ["predict"], 30),
        ({"access": "chosen", "scopes": ["predict", "models:read"]}, ["models:read", "predict"], 0),
        ({"access": "predict", "life": "12345"}, ["predict"], None),
    ],
)
def test_scopes_and_expiry_of_a_key(
    database: Database, ada: Any, form: dict[str, Any], scopes: list[str] | None, days: int | None
) -> None:
    answer = ada[1].post("/account/keys", {"name": "report", **form}, page="/account")
    assert "new-key" in answer.text
    with database.reading() as session:
        key = session.scalars(sa.select(ApiKey)).one()
    assert key.scopes == scopes
    if days:
        assert key.expires_at is not None
        assert abs(key.expires_at - utcnow() - dt.timedelta(days=days)) < dt.timedelta(minutes=1)
    else:
        assert key.expires_at is None


@pytest.mark.parametrize("scopes", [[], ["everything"], ["predict", "<script>"]])
def test_no_key_for_nothing_or_for_what_is_not_there(ada: Any, scopes: list[str]) -> None:
    form = {"name": "report", "access": "chosen", "scopes": scopes}
    answer = ada[1].post("/account/keys", form, page="/account")
    assert answer.status_code == 422
    assert re.search("Choose at least one|There is no scope", answer.text)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time that codes are of stand still: a step ends every 30 seconds, and some tests take two."""
    now = utcnow()
    monkeypatch.setattr(second_factor, "utcnow", lambda: now)


def app_code(database: Database, user: User, steps: int = 0) -> str:
    found = service.find_user(database, user.id)
    assert found is not None
    assert found.totp_secret is not None
    return pyotp.TOTP(found.totp_secret).at(
        second_factor.utcnow() + steps * dt.timedelta(seconds=30)
    )


def turn_on(database: Database, user: User, browser: Any) -> list[str]:
    base = "/account/second-factor"
    assert "Set it up" in browser.get(base).text
    assert browser.post(f"{base}/begin", page="/account").location == base
    page = browser.get(base).text
    assert "<svg" in page
    assert "style=" not in page
    # The code of the step before: the present one is left for the log-in.
    form = {"code": app_code(database, user, -1), "current_password": PASSWORD}
    for wrong in ({"code": "12345"}, {"current_password": "wrong"}, {"code": ""}):
        assert browser.post(f"{base}/enable", {**form, **wrong}, page=base).status_code == 422
    page = browser.post(f"{base}/enable", form, page=base).text
    codes = re.findall(r"<li><code>([a-z2-7-]{29})</code>", page)
    assert len(codes) == second_factor.CODES
    assert codes[0] not in browser.get(base).text
    return codes


def test_log_in_takes_the_second_factor(web: Flask, database: Database, ada: Any) -> None:
    user, browser = ada
    turn_on(database, user, browser)
    stranger = type(browser)(web.test_client())
    assert stranger.get("/login/code").location == "/login"
    form = {"email": user.email, "password": PASSWORD}
    answer = stranger.post("/login?next=/models", form)
    assert answer.location == "/login/code?next=/models"
    assert stranger.get("/account").status_code == 302  # not in yet
    page = answer.location
    assert stranger.post(page, {"code": ""}, page=page).status_code == 422
    wrong = stranger.post(page, {"code": "000000"}, page=page)
    assert (wrong.status_code, "This code is wrong" in wrong.text) == (422, True)
    code = app_code(database, user)
    assert stranger.post(page, {"code": code}, page=page).location == "/models"
    assert stranger.get("/account").status_code == 200
    # The same code again is worth nothing.
    thief = type(browser)(web.test_client())
    thief.post("/login", form)
    assert thief.post("/login/code", {"code": code}, page="/login/code").status_code == 422


def test_a_changed_password_ends_half_a_log_in(web: Flask, database: Database, ada: Any) -> None:
    user, browser = ada
    codes = turn_on(database, user, browser)
    thief = type(browser)(web.test_client())
    thief.post("/login", {"email": user.email, "password": PASSWORD})
    assert thief.get("/login/code").status_code == 200
    form = {"current_password": PASSWORD, "password": OTHER, "again": OTHER}
    browser.post("/account/password", form, page="/account")
    assert thief.get("/login/code").location == "/login"
    # Nor does a one-time link lead past the second factor.
    link = f"/welcome/{service.make_link(database, user.id)}"
    guest = type(browser)(web.test_client())
    answer = guest.post(link, {"password": PASSWORD, "again": PASSWORD}, page=link)
    assert answer.location == "/login/code"
    assert guest.get("/account").status_code == 302
    page = "/login/code"
    assert guest.post(page, {"code": codes[0]}, page=page).location == "/datasets"


def test_half_a_log_in_lasts_ten_minutes(web: Flask, database: Database, ada: Any) -> None:
    user, browser = ada
    turn_on(database, user, browser)
    slow = type(browser)(web.test_client())
    slow.post("/login", {"email": user.email, "password": PASSWORD})
    with slow.client.session_transaction() as session:
        session["half"] = {**session["half"], "at": session["half"]["at"] - 601}
    assert slow.get("/login/code").location == "/login"


def test_new_codes_and_off_take_password_and_code(database: Database, ada: Any) -> None:
    user, browser = ada
    base = "/account/second-factor"
    codes = turn_on(database, user, browser)
    form = {"current_password": PASSWORD, "code": codes[0]}
    for action in ("codes", "disable"):
        for wrong in ({"code": "000000"}, {"current_password": "wrong"}, {"code": ""}):
            answer = browser.post(f"{base}/{action}", {**form, **wrong}, page=base)
            assert answer.status_code == 422
        browser.post("/account/password", page="/account")
    page = browser.post(f"{base}/codes", form, page=base).text
    renewed = re.findall(r"<li><code>([a-z2-7-]{29})</code>", page)
    assert set(renewed).isdisjoint(codes)
    form["code"] = renewed[0]
    assert browser.post(f"{base}/disable", form, page=base).status_code == 302
    assert "Set it up" in browser.get(base).text
    assert browser.post(f"{base}/codes", form, page="/account").status_code == 422
