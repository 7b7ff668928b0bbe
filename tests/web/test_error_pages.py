"""Pages of errors: what to do next, a request id, and no need of the database."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, abort, render_template

from beanft.config import Settings
from beanft.core.errors import InvalidError, ThrottledError
from beanft.error_pages import pages
from beanft.error_pages.describe import ADVICE
from beanft.wsgi import create_web

STATUSES = (400, 403, 404, 405, 413, 422, 429, 500, 503)


def with_failures(app: Flask) -> Flask:
    """Add an address for each error, before the first request."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def fail(status: int) -> None:
        abort(status)

    def break_template() -> str:
        return render_template("no-such.html")

    def wrong() -> None:
        errors = [{"message": "Row 3 is wrong."}, {"message": "<b>Row 4</b> is wrong."}]
        raise InvalidError("Two rows are wrong.", errors=errors)

    def throttled() -> None:
        raise ThrottledError("Wait.", retry_after=7)

    app.add_url_rule("/fail/<int:status>", view_func=fail, methods=["GET", "POST"])
    app.add_url_rule("/fail/template", view_func=break_template)
    app.add_url_rule("/fail/rows", view_func=wrong)
    app.add_url_rule("/fail/throttled", view_func=throttled)
    return app


@pytest.fixture
def failing(web: Flask) -> Flask:
    """The pages, with addresses that fail."""
    return with_failures(web)


@pytest.mark.parametrize("status", STATUSES)
def test_each_error_says_what_to_do_next(failing: Flask, status: int) -> None:
    answer = failing.test_client().get(f"/fail/{status}", headers={"X-Request-ID": "abcdefgh"})
    assert answer.status_code == status
    text = re.sub(r"\s+", " ", answer.text)
    assert ADVICE[status].replace("'", "&#39;") in text
    assert "Request id <code>abcdefgh</code>" in text
    assert '<a class="button" href="' in text
    assert '<link rel="stylesheet"' in text
    again = f'href="/fail/{status}">Try again' in text
    assert again == (status in {429, 500, 503})


def test_who_is_not_logged_in_is_led_to_the_form(failing: Flask) -> None:
    client = failing.test_client()
    assert client.get("/account?x=1").location == "/login?next=/account?x%3D1"
    failing.config["WTF_CSRF_ENABLED"] = False
    answer = client.post("/datasets")
    assert answer.status_code == 401
    assert 'href="/login">Log in' in answer.text


def test_parts_are_listed_and_escaped_and_headers_kept(failing: Flask) -> None:
    client = failing.test_client()
    text = client.get("/fail/rows").text
    assert "<li>Row 3 is wrong.</li>" in text
    assert "&lt;b&gt;Row 4" in text
    assert client.get("/fail/throttled").headers["Retry-After"] == "7"


def test_a_broken_template_still_answers(failing: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = failing.test_client()
    assert "broke on our side" in client.get("/fail/template").text

    def broken(*_: object, **__: object) -> str:
        raise ValueError("secret detail")

    monkeypatch.setattr(pages, "render_template", broken)
    answer = client.get("/nothing", headers={"X-Request-ID": "abc<defgh"})
    assert answer.status_code == 404
    assert "404 Not Found" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "secret detail" not in answer.text


@pytest.fixture(params=["gone", "damaged", "a directory"])
def broken(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Flask]:
    """The pages on a database that is broken."""
    path = tmp_path / "db" / "beanft.sqlite3"
    path.unlink()
    if request.param == "damaged":
        path.write_bytes(b"This is no database at all." * 1000)
    elif request.param == "a directory":
        path.mkdir()
    else:
        settings = dataclasses.replace(settings, database_url="sqlite:////proc/beanft/x.sqlite3")
    app = with_failures(create_web(dataclasses.replace(settings, environment="local")))
    yield app
    if "database" in app.extensions["beanft"].__dict__:
        app.extensions["beanft"].database.close()


@pytest.mark.sqlite
@pytest.mark.parametrize("path", ["/", "/account", "/login", "/nothing", "/fail/500", "/fail/403"])
def test_errors_need_no_database(broken: Flask, path: str) -> None:
    client = broken.test_client()
    with client.session_transaction() as session:
        session["token"] = "of somebody who was logged in"
    answer = client.get(path)
    wanted = {"/nothing": 404, "/fail/500": 500, "/fail/403": 403}.get(path)
    assert answer.status_code == wanted if wanted else answer.status_code in {500, 503}
    assert answer.headers["X-Request-ID"] in answer.text
    assert '<link rel="stylesheet"' in answer.text, "not in the site's style"
    assert "Log in" in answer.text
    assert "sqlite" not in answer.text.lower()


@pytest.mark.sqlite
def test_a_database_that_is_away_asks_to_come_back(
    settings: Settings, tmp_path: Path, web: Flask
) -> None:
    (tmp_path / "db" / "beanft.sqlite3").unlink()
    (tmp_path / "db" / "beanft.sqlite3").mkdir()
    answer = web.test_client().get("/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert 'href="/">Try again' in answer.text
