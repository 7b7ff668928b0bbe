"""Pages of trainings, models and their series."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, flash, jsonify, make_response, redirect, render_template, url_for
from flask import request as asked
from flask.typing import ResponseReturnValue

from beanft.core.errors import ConflictError, InvalidError
from beanft.extensions import site
from beanft.jobs import service as jobs
from beanft.jobs.models import Job
from beanft.jobs.series import series_name
from beanft.ml.errors import DataError
from beanft.ml.plan import ESTIMATORS
from beanft.predictions.inputs import DAYS, WORDS, drift
from beanft.training import card, forms, service, shares
from beanft.training.models import Model
from beanft.training.picture import pictures_of_plan
from beanft.training.progress import results_of
from beanft.training.series import get_series, held_out_score, series_id, series_of
from beanft.uploader.service import get_dataset
from beanft.users.current import current_user, require_user

blueprint = Blueprint("training", __name__)


@blueprint.app_template_filter("score")
def score(value: float | None, task: str) -> str:
    """Return a score for people."""
    return card.score_text(value, task)


@blueprint.app_template_filter("held_out")
def held_out(model: Model) -> str:
    """Return a model's score on held-out rows, for people."""
    return card.score_text(held_out_score(model), model.task)


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    """Give templates what they say scores with."""
    return {"cv_text": card.cv_text, "score_name": card.score_name}


@blueprint.route("/datasets/<dataset_id>/train", methods=["GET", "POST"])
def train(dataset_id: str) -> ResponseReturnValue:
    """Plan a training and start it."""
    here = site()
    dataset = get_dataset(here.database, require_user().id, dataset_id)
    profile = dataset.profile
    status = 200
    if asked.method == "POST":
        form = forms.read(profile, asked.form)
        try:
            job = service.start_training(
                here.database, here.queue, here.settings.limits, dataset, form.plan
            )
        except DataError as error:
            form.show(error)
            status = 422
        else:
            return redirect(url_for("training.job", job_id=job.id))
    else:
        form = forms.suggest(profile)
    page = render_template(
        "training/train.html",
        dataset=dataset,
        form=form,
        preset_name=series_name(replace(form.plan, name=""), dataset.name),
        estimators=ESTIMATORS,
        pictures=pictures_of_plan(profile, form.plan, ESTIMATORS),
        task_names=forms.TASK_NAMES,
    )
    return make_response(page, status)


def _outcome(job: Job) -> str | None:
    """Return where a training that succeeded leads: its model, or what it compared."""
    if job.state != "succeeded" or job.model_id is None:
        return None
    model = service.get_model(site().database, job.user_id, job.model_id)
    if len(results_of(job)) < 2:
        return url_for("training.model", model_id=model.id)
    return url_for("training.series", series_id=series_id(model), job=job.id)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """Show how far a training is; when it is done, lead to what came of it."""
    found = jobs.get_job(site().database, require_user().id, job_id)
    if where := _outcome(found):
        return redirect(where)
    return render_template("training/job.html", job=found, results=results_of(found))


@blueprint.get("/jobs/<job_id>/status")
def job_status(job_id: str) -> ResponseReturnValue:
    """Say how far a training is, for the page's script."""
    found = jobs.get_job(site().database, require_user().id, job_id)
    return jsonify(
        state=found.state,
        progress=found.progress,
        message=found.message,
        active=found.active,
        results=[result.to_dict() for result in results_of(found)],
    )


@blueprint.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    """Cancel a training."""
    if jobs.cancel(site().database, require_user().id, job_id):
        flash("The training is cancelled.", "good")
    return redirect(url_for("training.job", job_id=job_id))


@blueprint.get("/series/<series_id>")
def series(series_id: str) -> ResponseReturnValue:
    """Show all versions of a model, the best first, and what failed in the training asked for."""
    here, user = site(), require_user()
    found = get_series(here.database, user.id, series_id)
    job_id = asked.args.get("job")
    failed = []
    if job_id:
        job = jobs.get_job(here.database, user.id, job_id)
        failed = [result for result in results_of(job) if result.state == "failed"]
    return render_template("training/series.html", series=found, job_id=job_id, failed=failed)


@blueprint.post("/models/<model_id>/promote")
def promote(model_id: str) -> ResponseReturnValue:
    """Make a version the current one."""
    model = service.promote(site().database, require_user().id, model_id)
    flash(f"Version {model.version} is the current one now.", "good")
    return redirect(url_for("training.series", series_id=series_id(model)))


@blueprint.get("/models")
def models() -> ResponseReturnValue:
    """List a person's series of models, and the released models."""
    here, user = site(), require_user()
    return render_template(
        "training/models.html",
        series=series_of(here.database, user.id),
        released=service.released_models(here.database),
    )


def _model_page(model: Model, status: int = 200, **values: object) -> ResponseReturnValue:
    """Show a model; its owner finds forms there, who may only use it doesn't."""
    here, user = site(), current_user()
    context: dict[str, object] = {"series": None}
    if user is not None and model.user_id == user.id:
        context = {
            "series": get_series(here.database, user.id, series_id(model)),
            "shares": shares.shares_of(here.database, user.id, model.id),
            "drift": drift(here.database, model),
            "drift_days": DAYS,
            "drift_words": WORDS,
            "notes": None,
            "notes_max_chars": service.NOTES_MAX_CHARS,
        }
    page = render_template("training/model.html", **{**card.facts(model), **context, **values})
    return make_response(page, status)


@blueprint.get("/models/<model_id>")
def model(model_id: str) -> ResponseReturnValue:
    """Show a model: how good it is, what it takes, what it is for, who may use it."""
    user = current_user()
    found = service.get_model(site().database, user.id if user else None, model_id)
    return _model_page(found)


@blueprint.post("/models/<model_id>/notes")
def notes(model_id: str) -> ResponseReturnValue:
    """Say what a model is for."""
    here, user = site(), require_user()
    said = asked.form.get("notes", "")
    try:
        service.set_notes(here.database, user.id, model_id, said)
    except InvalidError as error:
        found = service.get_model(here.database, user.id, model_id)
        return _model_page(found, 422, notes=said, notes_problem=error.detail)
    flash("It is noted on the model's card.", "good")
    return redirect(url_for("training.model", model_id=model_id, _anchor="card"))


@blueprint.post("/models/<model_id>/delete")
def delete(model_id: str) -> ResponseReturnValue:
    """Delete a model."""
    here = site()
    service.delete_model(here.database, here.storage, require_user().id, model_id)
    flash("The model is deleted.", "good")
    return redirect(url_for("training.models"))


@blueprint.post("/models/<model_id>/shares")
def make_share(model_id: str) -> ResponseReturnValue:
    """Make a link that shows a model, and show the link, this once."""
    here, user = site(), require_user()
    try:
        _share, token = shares.make_share(here.database, user.id, model_id)
    except ConflictError as error:
        found = service.get_model(here.database, user.id, model_id)
        return _model_page(found, 409, share_problems=[error.detail])
    found = service.get_model(here.database, user.id, model_id)
    return _model_page(found, new_link=url_for("training.shared", token=token, _external=True))


@blueprint.post("/models/<model_id>/shares/<share_id>/revoke")
def revoke_share(model_id: str, share_id: str) -> ResponseReturnValue:
    """Revoke a link."""
    shares.revoke_share(site().database, require_user().id, model_id, share_id)
    flash("The link is revoked.", "good")
    return redirect(url_for("training.model", model_id=model_id, _anchor="access"))


@blueprint.get("/shared/<token>")
def shared(token: str) -> ResponseReturnValue:
    """Show a model to whoever has a link to it, without forms."""
    found = shares.shared_model(site().database, token)
    response = make_response(render_template("training/shared.html", **card.facts(found)))
    response.headers["X-Robots-Tag"] = "noindex"
    return response
