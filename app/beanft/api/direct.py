"""The short way to a prediction, past Flask, for the request that is most of the traffic.

A plain request for predictions that can be answered with 200 is answered here, by the same
functions as in ``predict`` and with the same headers. Anything else, be it unusual or wrong,
goes to Flask as if nothing had happened; so every error comes from one place. Flask's routing,
contexts and hooks cost some ten times what such a prediction does.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.datastructures import Headers

from beanft.api.access import ADMITTED
from beanft.api.predict import ENDPOINT, FLAGS, answer_json, read_rows
from beanft.api.schemas import JSON
from beanft.core import http
from beanft.extensions import Site
from beanft.security import headers
from beanft.users.keys import Principal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BEFORE, AFTER = "/api/v1/models/", "/predictions"
RULE = f"{BEFORE}<model_id>{AFTER}"
CONTENT_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
ACCEPTED = frozenset({None, "*/*", "application/json"})
QUERIES = {"": False, **{f"probabilities={text}": wanted for text, wanted in FLAGS.items()}}


class DirectPredictions:
    """A WSGI application in front of Flask's.

    Args:
        app: the API's application, to which anything but a plain prediction goes.
        here: its services.
        admit: takes one request from what a caller may send in a while, and returns headers that
            tell them, or None if they may send no more. A request that was admitted here and
            then goes to Flask has ``beanft.admitted`` in its environment, not to be counted twice.

    """

    def __init__(
        self,
        app: Flask,
        here: Site,
        admit: Callable[[Principal], list[tuple[str, str]] | None] | None = None,
    ) -> None:
        self._flask: WSGIApplication = app.wsgi_app
        self._here = here
        self._admit = admit
        self._most_bytes = here.settings.limits.api_max_bytes
        self._most_rows = here.settings.limits.predict_max_rows
        self._headers = {https: self._preset(https=https) for https in (False, True)}

    def _preset(self, *, https: bool) -> list[tuple[str, str]]:
        """Return the headers that every answer has."""
        found = Headers({"Content-Type": JSON, "Cache-Control": "no-store"})
        found["X-Beanft-Revision"] = self._here.settings.revision
        headers.secure(found, https=https, pages=False)
        return list(found)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a plain prediction, or let Flask answer."""
        path: str = environ["PATH_INFO"]
        if not path.startswith(BEFORE) or not path.endswith(AFTER):
            return self._flask(environ, start_response)
        started = time.perf_counter()
        request_id = http.identify(environ.get("HTTP_X_REQUEST_ID", ""))
        found = self._answer(environ, path[len(BEFORE) : -len(AFTER)])
        if found is None:
            environ["HTTP_X_REQUEST_ID"] = request_id
            return self._flask(environ, start_response)
        body, more = found
        start_response(
            "200 OK",
            [
                *self._headers[http.is_https(environ)],
                ("X-Request-ID", request_id),
                ("Content-Length", str(len(body))),
                *more,
            ],
        )
        http.finished(self._here, "POST", ENDPOINT, RULE, 200, started)
        return [body]

    def _answer(
        self, environ: WSGIEnvironment, model_id: str
    ) -> tuple[bytes, list[tuple[str, str]]] | None:
        """Return the body and more headers of a 200, or None if that isn't what is due."""
        probabilities = QUERIES.get(environ["QUERY_STRING"])
        scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        length = environ.get("CONTENT_LENGTH", "")
        if (
            probabilities is None
            or environ["REQUEST_METHOD"] != "POST"
            or environ.get("CONTENT_TYPE") not in CONTENT_TYPES
            or environ.get("HTTP_ACCEPT") not in ACCEPTED
            or "HTTP_TRANSFER_ENCODING" in environ
            or scheme != "Bearer"
            or not (length.isascii() and length.isdigit() and int(length) <= self._most_bytes)
        ):
            return None
        try:
            principal = self._here.keys.principal(key)
            # Nobody waits here for the body of a stranger: there is one thread.
            if principal is None:
                return None
            more = self._admit(principal) if self._admit else []
            if more is None:
                return None
            environ[ADMITTED] = principal.key_id
            model = self._here.predictor.model(principal.user_id, model_id)
            content = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"] = io.BytesIO(content)  # for Flask, should it come to that
            rows = read_rows(content, self._most_rows)
            return answer_json(self._here, model, rows, probabilities=probabilities), more
        except Exception:
            return None  # Flask meets the same one, logs it and explains it
