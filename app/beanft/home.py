"""The first page, and the sample data to download."""

from __future__ import annotations

from flask import Blueprint, render_template, send_from_directory
from flask.typing import ResponseReturnValue

from beanft.core.errors import NotFoundError
from beanft.extensions import site
from beanft.plots.hero import PICTURE, iris_dots
from beanft.training.service import released_models
from beanft.uploader.samples import FILES, FOLDER

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Say what this is, and let people try the sample model."""
    models = released_models(site().database)
    model = models[0] if models else None
    species, flowers = iris_dots()
    return render_template(
        "home.html",
        model=model,
        schema=model.schema if model else None,
        species=species,
        flowers=flowers,
        picture=PICTURE,
    )


@blueprint.get("/samples/<name>")
def sample(name: str) -> ResponseReturnValue:
    """Send a sample file."""
    if name not in FILES:
        raise NotFoundError("There is no such sample.")
    return send_from_directory(FOLDER, name, as_attachment=True, mimetype="text/csv")
