"""Put the pages together: blueprints, sessions, CSRF, templates, errors."""

from __future__ import annotations

import datetime as dt

from flask import Flask
from flask_wtf import CSRFProtect

from beanft import assets, home
from beanft.charts import bars, heat_map
from beanft.config import Settings
from beanft.core.units import size_in_words
from beanft.dashboard.views import blueprint as dashboard
from beanft.error_pages import pages
from beanft.plots.views import blueprint as plots
from beanft.predictions.forms import field_name
from beanft.predictions.views import blueprint as predictions
from beanft.security.headers import csp_nonce
from beanft.training.views import blueprint as training
from beanft.uploader.bodies import PageRequest, limit_body
from beanft.uploader.views import blueprint as uploader
from beanft.users.account_views import blueprint as users
from beanft.users.current import current_user
from beanft.users.factor_views import blueprint as second_factor
from beanft.users.pictures import version as picture_version


def _moment(value: dt.datetime | None) -> str:
    """Return a moment for people, in UTC."""
    return "never" if value is None else value.strftime("%Y-%m-%d %H:%M UTC")


def _percent(value: float | None) -> str:
    """Return a share for people."""
    return "-" if value is None else f"{value * 100:.1f} %"


def _number(value: float | None) -> str:
    """Return a number for people, without needless digits."""
    return "-" if value is None else f"{value:.6g}"


def install(app: Flask, settings: Settings) -> None:
    """Make an application serve the pages."""
    app.config.update(
        # The __Host- mark makes browsers refuse the cookie from a sibling site.
        SESSION_COOKIE_NAME="__Host-beanft" if settings.cookie_secure else "beanft",
        SESSION_COOKIE_SECURE=settings.cookie_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=dt.timedelta(days=settings.session_days),
        WTF_CSRF_TIME_LIMIT=None,  # a form left open over lunch still works
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    app.request_class = PageRequest
    app.before_request(limit_body)  # before the check of forms, which reads them
    CSRFProtect(app)
    for blueprint in (home.blueprint, users, second_factor, uploader, training, predictions):
        app.register_blueprint(blueprint)
    app.register_blueprint(plots)
    app.register_blueprint(dashboard)
    pages.install(app)
    assets.install(app)
    filters = {"size": size_in_words, "moment": _moment, "percent": _percent, "number": _number}
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(
        current_user=current_user, field_name=field_name, bars=bars, heat_map=heat_map
    )
    app.jinja_env.globals.update(csp_nonce=csp_nonce, picture_version=picture_version)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"version": settings.version, "revision": settings.revision})
