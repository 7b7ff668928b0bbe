"""``/healthz``, ``/readyz``, ``/version`` and ``/metrics``, on web and api alike."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, jsonify

from beanft.core.logs import logger
from beanft.extensions import Site, site
from beanft.health.service import Failing, Readiness

blueprint = Blueprint("health", __name__)


def identity(here: Site) -> dict[str, str]:
    """Return what runs here."""
    return {"version": here.settings.version, "revision": here.settings.revision}


def _readiness() -> Readiness:
    found = current_app.extensions.setdefault("beanft_readiness", Readiness(site()))
    return cast("Readiness", found)


def _say(failing: Failing | None) -> None:
    """Log why this task is not ready, once: who reads the log of a task that did not come up wants to know."""
    known = current_app.extensions.get("beanft_failing")
    if failing != known:
        current_app.extensions["beanft_failing"] = failing
        if failing is not None and failing.check != "draining":
            logger().warning("not_ready", check=failing.check, reason=failing.reason)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer while the process is alive; asks nothing else."""
    here = site()
    return jsonify(status="ok", service=here.service, **identity(here))


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Answer 200 when requests can be served, else 503 with the check that fails."""
    here = site()
    failing = _readiness().check()
    _say(failing)
    if failing is None:
        return jsonify(status="ready", service=here.service, **identity(here)), 200
    answer = jsonify(
        status="not ready",
        service=here.service,
        check=failing.check,
        reason=failing.reason,
        **identity(here),
    )
    return answer, 503


@blueprint.get("/version")
def version() -> Response:
    """Say what runs here."""
    return jsonify(identity(site()))


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give figures to Prometheus; the entry denies it from outside."""
    return Response(site().metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")
