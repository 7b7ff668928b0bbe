"""The two applications, as servers load them: ``beanft.wsgi:web`` and ``beanft.wsgi:api``."""

from __future__ import annotations

from flask import Flask

from beanft.config import Settings, load_settings
from beanft.core import http
from beanft.core.logs import configure_logs
from beanft.core.memory import settle
from beanft.extensions import NAME, Site

FORM_BYTES = 200_000
MULTIPART_BYTES = 100_000  # what a form adds around its file


def _base(settings: Settings, service: str, *, static: bool) -> Flask:
    app = Flask("beanft", static_folder="static" if static else None)
    app.extensions[NAME] = Site(settings, service)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        TESTING=settings.environment == "test",
        MAX_FORM_MEMORY_SIZE=FORM_BYTES,
    )
    http.install(app)
    from beanft.health.views import blueprint as health

    app.register_blueprint(health)
    return app


def create_web(settings: Settings) -> Flask:
    """Make the application that serves pages."""
    from beanft.pages import install

    app = _base(settings, "web", static=True)
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.upload_max_bytes + MULTIPART_BYTES
    install(app, settings)
    return app


def create_api(settings: Settings) -> Flask:
    """Make the application that serves ``/api/v1``."""
    from beanft.api import access, datasets, documents, model_views, predict, trainings
    from beanft.api.direct import DirectPredictions
    from beanft.error_pages.problems import install

    app = _base(settings, "api", static=False)
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.api_max_bytes
    for area in (datasets, trainings, model_views, predict, documents):
        app.register_blueprint(area.blueprint)
    access.install(app)
    install(app)
    here: Site = app.extensions[NAME]
    admit = access.admit_predictions(here)
    app.wsgi_app = DirectPredictions(app, here, admit)  # type: ignore[method-assign]
    return app


def web() -> Flask:
    """Make the pages' application from the environment."""
    configure_logs("web")
    app = create_web(load_settings())
    settle()
    return app


def api() -> Flask:
    """Make the API's application from the environment."""
    configure_logs("api")
    app = create_api(load_settings())
    settle()
    return app
