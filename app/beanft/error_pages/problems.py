"""Errors of the API: RFC 9457 problem details."""

from __future__ import annotations

import orjson
from flask import Flask, Response

from beanft.core.http import request_id
from beanft.core.logs import logger
from beanft.error_pages.describe import Description, describe

CONTENT_TYPE = "application/problem+json"


def problem_response(said: Description) -> Response:
    """Return a description as problem+json.

    ``errors`` lists parts of the input, each with a ``message`` and where known ``row`` (data
    rows count from 1), ``line``, ``column`` or ``field``.
    """
    body = {
        "type": "about:blank",
        "title": said.title,
        "status": said.status,
        "detail": said.detail,
        "request_id": request_id(),
    }
    if said.errors:
        body["errors"] = said.errors
    response = Response(orjson.dumps(body), said.status, content_type=CONTENT_TYPE)
    response.headers.update(said.headers)
    return response


def _handle(error: Exception) -> Response:
    said = describe(error)
    if said.status >= 500:
        logger().error("request_failed", status=said.status, exc_info=error)
    return problem_response(said)


def install(app: Flask) -> None:
    """Answer every error of an application with problem+json."""
    app.register_error_handler(Exception, _handle)
