"""``/api/v1/trainings``: start, list, watch and cancel trainings."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from beanft.api import listing, schemas
from beanft.api.access import authenticate
from beanft.api.answers import conditional, created, json_response, page_response
from beanft.api.asking import PAGING, choice, json_object, page, query, wrong
from beanft.api.plans import check_body, make_plan
from beanft.core.errors import ConflictError, NotFoundError
from beanft.extensions import site
from beanft.jobs import service as jobs
from beanft.training.service import start_training
from beanft.uploader.service import get_dataset

blueprint = Blueprint("api_trainings", __name__, url_prefix="/api/v1/trainings")
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
FILTERS = ("dataset", "state")


@blueprint.post("")
def start() -> Response:
    """Start a training; answers when it is queued."""
    principal = authenticate("trainings:write")
    here = site()
    query(())
    body = json_object()
    check_body(body)
    try:
        dataset = get_dataset(here.database, principal.user_id, body["dataset"])
    except NotFoundError as error:
        raise wrong("dataset", "is none of your data sets") from error
    plan = make_plan(body, dataset.profile)
    job = start_training(here.database, here.queue, here.settings.limits, dataset, plan)
    location = url_for("api_trainings.detail", training_id=job.id)
    return created(schemas.training_detail(job), location, 202)


@blueprint.get("")
def index() -> Response:
    """List the caller's trainings, the latest first."""
    principal = authenticate("models:read", "trainings:write")
    asked = query((*PAGING, *FILTERS))
    found = listing.trainings(
        site().database,
        principal.user_id,
        page(asked),
        dataset=asked.get("dataset"),
        state=choice(asked, "state", STATES),
    )
    return page_response("trainings", found, schemas.training_summary, asked)


@blueprint.get("/<training_id>")
def detail(training_id: str) -> Response:
    """Show one training with what is known of each estimator so far."""
    principal = authenticate("models:read", "trainings:write")
    query(())
    found = jobs.get_job(site().database, principal.user_id, training_id)
    return conditional(schemas.training_detail(found))


@blueprint.post("/<training_id>/cancel")
def cancel(training_id: str) -> Response:
    """Cancel a training; cancelling it again changes nothing."""
    principal = authenticate("trainings:write")
    here = site()
    query(())
    changed = jobs.cancel(here.database, principal.user_id, training_id)
    found = jobs.get_job(here.database, principal.user_id, training_id)
    if not changed and found.state != "cancelled":
        raise ConflictError(f"The training is over: it has {found.state}.")
    return json_response(schemas.training_detail(found))
