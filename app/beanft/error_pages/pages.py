"""Errors of the pages: in the site's style, saying what to do next."""

from __future__ import annotations

from html import escape

from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from beanft.core.http import request_id
from beanft.core.logs import logger
from beanft.error_pages.describe import Description, describe
from beanft.users.current import settle_visitor

CSRF_DETAIL = "The form was open for too long or cookies are off. Go back, reload and send again."
# What is worth another try: the same address, where it was only looked at.
AGAIN = frozenset({408, 429, 500, 502, 503, 504})


def _here() -> str:
    return request.full_path.rstrip("?")


def ways_out(status: int) -> list[tuple[str, str]]:
    """Return what a person can do next: pairs of a link's text and its address."""
    home = ("To the first page", url_for("home.index"))
    if status == 401:
        return [("Log in", url_for("users.login")), home]
    if status in AGAIN and request.method in {"GET", "HEAD"}:
        return [("Try again", _here()), home]
    return [home]


def _plain(said: Description) -> str:
    """Return a page that needs no template, for when the templates are what is broken."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{said.status}</title>'
        f"<h1>{said.status} {escape(said.title)}</h1><p>{escape(said.detail)}</p>"
        f"<p>Request id <code>{escape(request_id())}</code></p></html>"
    )


def error_page(said: Description) -> Response:
    """Return a description as a page. It needs neither the database nor, at worst, a template."""
    # Below 500 the database was not what failed; who is logged in may be asked.
    settle_visitor(ask=said.status < 500)
    try:
        page = render_template(
            "error.html", said=said, request_id=request_id(), ways=ways_out(said.status)
        )
    except Exception as error:
        logger().error("error_page_failed", status=said.status, exc_info=error)
        page = _plain(said)
    response = make_response(page, said.status)
    response.headers.update(said.headers)
    return response


def _handle(error: Exception) -> ResponseReturnValue:
    said = describe(error)
    if isinstance(error, CSRFError):
        said = Description(400, CSRF_DETAIL)
    if said.status == 401 and request.method == "GET":
        return redirect(url_for("users.login", next=_here()))
    if said.status >= 500:
        logger().error("request_failed", status=said.status, exc_info=error)
    return error_page(said)


def install(app: Flask) -> None:
    """Answer every error of an application with a page."""
    app.register_error_handler(Exception, _handle)
