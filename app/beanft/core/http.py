"""What happens around every request: identity, timing, logs, headers."""

from __future__ import annotations

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from beanft.core.logs import logger
from beanft.extensions import site
from beanft.security import headers

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
QUIET = frozenset({"health.healthz", "health.readyz", "health.metrics", "static"})


def request_id() -> str:
    """Return the id of the present request: the proxy's, or one made here."""
    found: str = g.request_id
    return found


def _before() -> None:
    g.started = time.perf_counter()
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if _REQUEST_ID.match(offered) else secrets.token_hex(12)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _after(response: Response) -> Response:
    here = site()
    response.headers["X-Beanft-Revision"] = here.settings.revision
    response.headers["X-Request-ID"] = g.request_id
    headers.secure(response.headers, https=request.is_secure)
    endpoint = request.endpoint or "none"
    if endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    seconds = time.perf_counter() - g.started
    method = request.method if request.method in METHODS else "other"
    here.metrics.request(method, endpoint, response.status_code, seconds)
    # A task that is not ready says why, once; ten probes a second would push that out of sight.
    if endpoint not in QUIET or response.status_code == 500:
        # The rule and not the address: some addresses hold a one-time token.
        logger().info(
            "request",
            method=method,
            route=str(request.url_rule or "-"),
            status=response.status_code,
            ms=round(seconds * 1000, 2),
        )
    return response


def install(app: Flask) -> None:
    """Put the above around every request, and trust one proxy."""
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app, x_for=1, x_proto=1, x_host=0
    )
    app.before_request(_before)
    app.after_request(_after)
