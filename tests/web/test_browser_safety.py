"""What a browser is told: headers, cookies, sessions, and where a form may lead."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from flask import Flask

from beanft.config import Settings
from beanft.core.database import Database
from beanft.users import keys
from beanft.wsgi import create_web


def test_headers_of_every_kind_of_answer(
    web: Flask, api: Flask, database: Database, ada: Any
) -> None:
    user, browser = ada
    _key, secret = keys.make_key(database, user.id, "report")
    https = {"X-Forwarded-Proto": "https"}
    key = {**https, "Authorization": f"Bearer {secret}"}
    client = api.test_client()
    answers = {
        "page": browser.client.get("/account", headers=https),
        "picture": browser.client.get("/account/picture", headers=https),
        "static": browser.client.get("/static/site.css", headers=https),
        "redirect": web.test_client().get("/account", headers=https),
        "error": browser.client.get("/nothing", headers=https),
        "api": client.get("/api/v1/models", headers=key),
        "api error": client.get("/api/v1/models", headers=https),
        "api nothing": client.get("/nothing", headers=https),
    }
    for name, answer in answers.items():
        for header, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ):
            assert answer.headers[header] == value, (name, header)
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'", name
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", name
        assert "unsafe" not in str(policy), name
        if name.startswith("api"):
            assert policy["form-action"] == "'none'"
        else:
            assert policy["form-action"] == policy["style-src"] == "'self'"
            assert policy["object-src"] == "'none'"
            assert policy["img-src"] == "'self' data: blob:"
    assert "Strict-Transport-Security" not in browser.client.get("/").headers
    assert "no-store" in answers["page"].headers["Cache-Control"]
    answers["static"].close()


def test_a_planted_cookie_is_worth_nothing(web: Flask, visitor: Any, make_user: Any) -> None:
    make_user("ada@example.org")
    with visitor.client.session_transaction() as session:
        session["token"] = "known to the thief"
        session["planted"] = True
    form = {"email": "ada@example.org", "password": "a good long password"}
    before = visitor.token("/login")
    visitor.post("/login", form)
    with visitor.client.session_transaction() as session:
        assert session["token"] != "known to the thief"
        assert "planted" not in session
    # A form's token of before the log-in is no token of the session.
    answer = visitor.client.post("/logout", data={"csrf_token": before})
    assert answer.status_code == 400
    assert visitor.get("/account").status_code == 200


def test_a_session_ends_on_the_server(web: Flask, ada: Any) -> None:
    browser = ada[1]
    cookie = browser.client.get_cookie("beanft").value
    copied = web.test_client()
    copied.set_cookie("beanft", cookie)
    assert copied.get("/account").status_code == 200
    browser.post("/logout", page="/account")
    copied.set_cookie("beanft", cookie)
    assert copied.get("/account").status_code == 302


def test_cookies_are_for_this_site_over_https_and_not_for_scripts(settings: Settings) -> None:
    app = create_web(dataclasses.replace(settings, cookie_secure=True))
    base = "https://localhost"
    client = app.test_client()
    page = client.get("/register", base_url=base).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    form = {
        "csrf_token": found.group(1),
        "email": "a@example.org",
        "password": "a good long password",
    }
    headers = {"Referer": f"{base}/register"}
    answer = client.post("/register", data=form, base_url=base, headers=headers)
    assert answer.status_code == 302
    (cookie,) = answer.headers.getlist("Set-Cookie")
    name, *flags = cookie.split("; ")
    assert name.startswith("__Host-beanft=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(flags)
    assert not any(flag.startswith("Domain") for flag in flags)
    # Over HTTPS, a form that another site sends is refused even with a token.
    forged = {"Referer": "https://evil.example/"}
    assert client.post("/login", data=form, base_url=base, headers=forged).status_code == 400
    app.extensions["beanft"].database.close()


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"],
)
@pytest.mark.parametrize("page", ["/login", "/register"])
def test_next_leads_nowhere_else(visitor: Any, make_user: Any, page: str, target: str) -> None:
    if page == "/login":
        make_user("ada@example.org")
    form = {"email": "ada@example.org", "password": "a good long password"}
    answer = visitor.client.post(
        page, query_string={"next": target}, data={**form, "csrf_token": visitor.token(page)}
    )
    assert answer.status_code == 302
    assert answer.location == "/datasets"
