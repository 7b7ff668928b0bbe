"""Errors of the pages: in the site's style, saying what to do next."""

from __future__ import annotations

from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from beanft.core.http import request_id
from beanft.core.logs import logger
from beanft.error_pages.describe import Description, describe

CSRF_DETAIL = "The form was open for too long or cookies are off. Go back, reload and send again."


def error_page(said: Description) -> Response:
    """Return a description as a page."""
    response = make_response(
        render_template("error.html", said=said, request_id=request_id()), said.status
    )
    response.headers.update(said.headers)
    return response


def _handle(error: Exception) -> ResponseReturnValue:
    said = describe(error)
    if isinstance(error, CSRFError):
        said = Description(400, CSRF_DETAIL)
    if said.status == 401 and request.method == "GET":
        return redirect(url_for("users.login", next=request.full_path.rstrip("?")))
    if said.status >= 500:
        logger().error("request_failed", status=said.status, exc_info=error)
    return error_page(said)


def install(app: Flask) -> None:
    """Answer every error of an application with a page."""
    app.register_error_handler(Exception, _handle)
