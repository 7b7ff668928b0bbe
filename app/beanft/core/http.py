"""What happens around every request: identity, timing, logs, headers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from beanft.core.logs import logger
from beanft.extensions import Site, site
from beanft.security import headers

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
QUIET = frozenset({"health.healthz", "health.readyz", "health.metrics", "static", "dist"})
# Predictions come by the thousand a second. The entry logs each of them, and here they are
# counted; only one that failed or took long says something that those two don't.
TERSE_ENDPOINT = "api_predictions.predict"
SLOW_SECONDS = 1.0


def request_id() -> str:
    """Return the id of the present request: the proxy's, or one made here."""
    found: str = g.request_id
    return found


def identify(offered: str) -> str:
    """Return a request's id, the proxy's if it offered one, and have the logs name it."""
    found = offered if _REQUEST_ID.match(offered) else secrets.token_hex(12)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=found)
    return found


def is_https(environ: Mapping[str, Any]) -> bool:
    """Tell whether a visitor came by HTTPS, as the one trusted proxy says."""
    said: str = environ.get("HTTP_X_FORWARDED_PROTO", "")
    return (said.rpartition(",")[2].strip() or environ["wsgi.url_scheme"]) == "https"


def finished(
    here: Site, method: str, endpoint: str, rule: str, status: int, started: float
) -> None:
    """Count an answered request, and log it if it is worth a line.

    Args:
        here: the services.
        method: of the request.
        endpoint: what answered.
        rule: the rule of the address and not the address: some hold a one-time token.
        status: of the answer.
        started: when the request came, by ``time.perf_counter``.

    """
    seconds = time.perf_counter() - started
    here.metrics.request(method, endpoint, status, seconds)
    # A task that is not ready says why, once; ten probes a second would push that out of sight.
    if endpoint in QUIET and status != 500:
        return
    if endpoint == TERSE_ENDPOINT and status == 200 and seconds < SLOW_SECONDS:
        return
    logger().info("request", method=method, route=rule, status=status, ms=round(seconds * 1000, 2))


def _before() -> None:
    g.started = time.perf_counter()
    g.request_id = identify(request.headers.get("X-Request-ID", ""))


def _after(response: Response) -> Response:
    here = site()
    response.headers["X-Beanft-Revision"] = here.settings.revision
    response.headers["X-Request-ID"] = g.request_id
    headers.secure(response.headers, https=request.is_secure, pages=here.service == "web")
    endpoint = request.endpoint or "none"
    if endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    method = request.method if request.method in METHODS else "other"
    rule = str(request.url_rule or "-")
    finished(here, method, endpoint, rule, response.status_code, g.started)
    return response


def install(app: Flask) -> None:
    """Put the above around every request, and trust one proxy."""
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app, x_for=1, x_proto=1, x_host=0
    )
    app.before_request(_before)
    app.after_request(_after)
