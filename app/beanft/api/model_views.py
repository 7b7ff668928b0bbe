"""``/api/v1/models``: list, look at, promote and delete models.

Where a model is looked at or asked, the id of its series means the series' current version.
"""

from __future__ import annotations

from flask import Blueprint, Response

from beanft.api import listing, schemas
from beanft.api.access import authenticate
from beanft.api.answers import conditional, json_response, page_response
from beanft.api.asking import PAGING, choice, flag, page, query
from beanft.api.openapi.model import model_document
from beanft.api.plans import TASKS
from beanft.extensions import site
from beanft.training import service

blueprint = Blueprint("api_models", __name__, url_prefix="/api/v1/models")
TEXT_FILTERS = ("series", "dataset", "training", "estimator")
FILTERS = (*TEXT_FILTERS, "task", "current", "released")


@blueprint.get("")
def index() -> Response:
    """List the caller's models and the released ones, the latest first."""
    principal = authenticate("models:read")
    asked = query((*PAGING, *FILTERS))
    only = listing.ModelFilter(
        **{name: asked.get(name) for name in TEXT_FILTERS},
        task=choice(asked, "task", TASKS),
        current=flag(asked, "current"),
        released=flag(asked, "released"),
    )
    found = listing.models(site().database, principal.user_id, page(asked), only)
    return page_response("models", found, schemas.model_summary, asked)


@blueprint.get("/<model_id>")
def detail(model_id: str) -> Response:
    """Show one model with its schema and measures."""
    principal = authenticate("models:read", "predict")
    query(())
    found = service.resolve_model(site().database, principal.user_id, model_id)
    return conditional(schemas.model_detail(found))


@blueprint.get("/<model_id>/openapi.json")
def document(model_id: str) -> Response:
    """Describe one model's predictions, with the types of its columns."""
    principal = authenticate("models:read", "predict")
    query(())
    here = site()
    found = service.resolve_model(here.database, principal.user_id, model_id)
    return conditional(model_document(found, here.settings.limits.predict_max_rows))


@blueprint.post("/<model_id>/promote")
def promote(model_id: str) -> Response:
    """Make a model the current one of its series; doing it again changes nothing."""
    principal = authenticate("models:write")
    query(())
    found = service.promote(site().database, principal.user_id, model_id)
    return json_response(schemas.model_detail(found))


@blueprint.delete("/<model_id>")
def delete(model_id: str) -> Response:
    """Delete one version of a model and its file."""
    principal = authenticate("models:write")
    query(())
    here = site()
    service.delete_model(here.database, here.storage, principal.user_id, model_id)
    return Response(status=204)
