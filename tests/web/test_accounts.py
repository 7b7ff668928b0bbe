"""Register, log in, sessions, keys, deletion."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from beanft.config import Settings
from beanft.core.database import Database
from beanft.jobs.models import Job
from beanft.security.throttle import USER_FAILURES
from beanft.training.models import Model
from beanft.uploader.models import Dataset
from beanft.users import service
from beanft.users.models import ApiKey, User, UserSession
from beanft.wsgi import create_web
from tests.kept import Kept

PASSWORD = "a good long password"


def test_register_then_out_and_in_again(visitor: Any) -> None:
    form = {"email": " Ada@Example.org ", "password": PASSWORD}
    answer = visitor.post("/register", form, page="/register")
    assert (answer.status_code, answer.location) == (302, "/datasets")
    assert "ada@example.org" in visitor.get("/account").text
    visitor.post("/logout", page="/account")
    assert visitor.get("/account").location == "/login?next=/account"
    answer = visitor.post("/login?next=/account", form)
    assert answer.location == "/account"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"email": "x", "password": PASSWORD}, "not an e-mail address|Enter an e-mail address"),
        ({"email": "a@example.org", "password": "short"}, "Use 10 to 200 characters"),
        ({"email": "", "password": ""}, "Enter a password"),
    ],
)
def test_a_wrong_registration_says_what(visitor: Any, form: dict[str, str], said: str) -> None:
    answer = visitor.post("/register", form, page="/register")
    assert answer.status_code == 422
    assert re.search(said, answer.text)


def test_an_address_registers_once(visitor: Any, make_user: Callable[[str], User]) -> None:
    make_user("ada@example.org")
    form = {"email": "ADA@example.org", "password": PASSWORD}
    answer = visitor.post("/register", form, page="/register")
    assert answer.status_code == 409
    assert "Log in instead" in answer.text


def test_wrong_passwords_are_throttled(visitor: Any, make_user: Callable[[str], User]) -> None:
    make_user("ada@example.org")
    wrong = {"email": "ada@example.org", "password": "wrong password"}
    for _ in range(USER_FAILURES):
        assert visitor.post("/login", wrong).status_code == 422
    answer = visitor.post("/login", {"email": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"]
    assert "Wait" in answer.text


def test_next_does_not_lead_away(visitor: Any, make_user: Callable[[str], User]) -> None:
    make_user("ada@example.org")
    form = {"email": "ada@example.org", "password": PASSWORD}
    assert visitor.post("/login?next=//evil.example", form).location == "/datasets"


@pytest.mark.parametrize("path", ["/login", "/register", "/logout", "/datasets", "/account/delete"])
def test_forms_without_a_token_are_refused(visitor: Any, path: str) -> None:
    answer = visitor.client.post(path, data={"email": "a@example.org", "password": PASSWORD})
    assert answer.status_code == 400
    assert "reload" in answer.text


def test_cookies_and_a_fresh_session_at_log_in(
    web: Flask, visitor: Any, make_user: Callable[[str], User]
) -> None:
    make_user("ada@example.org")
    answer = visitor.post("/login", {"email": "ada@example.org", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    with visitor.client.session_transaction() as session:
        token = session["token"]
        session.clear()
        session["token"] = token + "x"
    assert visitor.get("/account").status_code == 302


def test_secure_cookies_where_asked(settings: Settings) -> None:
    app = create_web(dataclasses.replace(settings, cookie_secure=True))
    answer = app.test_client().get("/login", base_url="https://localhost")
    assert answer.headers["Set-Cookie"].startswith("__Host-beanft=")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    app.extensions["beanft"].database.close()


def test_sessions_can_be_ended_by_their_owner_only(
    database: Database, ada: Any, bob: Any, web: Flask
) -> None:
    user, browser = ada
    with database.reading() as session:
        held = session.scalars(sa.select(UserSession).where(UserSession.user_id == user.id)).one()
    path = f"/account/sessions/{held.id}/end"
    assert bob[1].post(path, page="/account").status_code == 404
    assert browser.get("/account").status_code == 200
    assert browser.post(path, page="/account").status_code == 302
    assert browser.get("/account").status_code == 302


def test_a_one_time_link_sets_the_password_once(database: Database, visitor: Any) -> None:
    user = service.register(database, "new@example.org", None)
    path = f"/welcome/{service.make_link(database, user.id)}"
    form = {"password": PASSWORD, "again": "another password"}
    assert visitor.post(path, form, page=path).status_code == 422
    assert visitor.post(path, {**form, "again": PASSWORD}, page=path).status_code == 302
    assert visitor.get("/account").status_code == 200
    visitor.post("/logout", page="/account")
    assert visitor.post(path, {**form, "again": PASSWORD}).status_code == 404


def test_a_key_is_shown_once_and_kept_as_a_hash(database: Database, ada: Any) -> None:
    _user, browser = ada
    answer = browser.post("/account/keys", {"name": "report"}, page="/account")
    found = re.search(r'id="new-key">(bft_[^<]+)<', answer.text)
    assert found
    key = found.group(1)
    page = browser.get("/account").text
    assert key not in page
    assert key[:12] in page
    with database.reading() as session:
        row = session.scalars(sa.select(ApiKey)).one()
    assert key not in (row.key_hash, row.prefix)
    assert browser.post("/account/keys", {"name": ""}, page="/account").status_code == 422


def test_keys_of_others_cannot_be_revoked(database: Database, ada: Any, bob: Any) -> None:
    ada[1].post("/account/keys", {"name": "report"}, page="/account")
    with database.reading() as session:
        row = session.scalars(sa.select(ApiKey)).one()
    path = f"/account/keys/{row.id}/revoke"
    assert bob[1].post(path, page="/account").status_code == 404
    assert ada[1].post(path, page="/account").status_code == 302
    assert "revoked" in ada[1].get("/account").text


def test_an_account_goes_with_everything_in_it(
    kept_files: Kept, database: Database, ada: Any, iris: Any, make_model: Any
) -> None:
    user, browser = ada
    answer = browser.upload(b"a,y\n" + b"1,x\n2,z\n" * 9)
    form = {"target": "y", "features": "a", "estimator": "decision_tree"}
    assert browser.post(f"{answer.location}/train", form, page="/account").status_code == 302
    make_model(iris, user.id)
    browser.post("/account/keys", {"name": "report"}, page="/account")
    wrong = browser.post("/account/delete", {"password": "wrong"}, page="/account")
    assert (wrong.status_code, "Nothing was deleted" in wrong.text) == (422, True)
    assert browser.post("/account/delete", {"password": PASSWORD}, page="/account").location == "/"
    with database.reading() as session:
        for table in (User, UserSession, ApiKey, Dataset, Model, Job):
            assert session.scalars(sa.select(table)).all() == [], table
    assert kept_files.stored() == []


def test_no_secret_is_logged(
    ada: Any, capsys: pytest.CaptureFixture[str], database: Database, visitor: Any
) -> None:
    _user, browser = ada
    link = service.make_link(database, _user.id)
    visitor.get(f"/welcome/{link}")
    answer = browser.post("/account/keys", {"name": "report"}, page="/account")
    key = re.search(r'id="new-key">([^<]+)<', answer.text)
    assert key
    out = "".join(capsys.readouterr())
    for secret in (PASSWORD, link, key.group(1)):
        assert secret not in out
