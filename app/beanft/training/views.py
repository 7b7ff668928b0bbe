"""Pages of trainings and models."""

from __future__ import annotations

from flask import Blueprint, flash, jsonify, make_response, redirect, render_template, url_for
from flask import request as asked
from flask.typing import ResponseReturnValue

from beanft.extensions import site
from beanft.jobs import service as jobs
from beanft.ml.errors import DataError
from beanft.ml.plan import ESTIMATORS
from beanft.training import forms, service
from beanft.uploader.service import get_dataset
from beanft.users.current import current_user, require_user

blueprint = Blueprint("training", __name__)


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
    page = render_template("training/train.html", dataset=dataset, form=form, estimators=ESTIMATORS)
    return make_response(page, status)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """Show how far a training is; when it is done, lead to its model."""
    here = site()
    found = jobs.get_job(here.database, require_user().id, job_id)
    if found.state == "succeeded" and found.model_id:
        return redirect(url_for("training.model", model_id=found.model_id))
    return render_template("training/job.html", job=found)


@blueprint.get("/jobs/<job_id>/status")
def job_status(job_id: str) -> ResponseReturnValue:
    """Say how far a training is, for the page's script."""
    found = jobs.get_job(site().database, require_user().id, job_id)
    return jsonify(
        state=found.state, progress=found.progress, message=found.message, active=found.active
    )


@blueprint.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    """Cancel a training."""
    if jobs.cancel(site().database, require_user().id, job_id):
        flash("The training is cancelled.", "good")
    return redirect(url_for("training.job", job_id=job_id))


@blueprint.get("/models")
def models() -> ResponseReturnValue:
    """List a person's models."""
    found = service.models_of(site().database, require_user().id)
    return render_template("training/models.html", models=found)


@blueprint.get("/models/<model_id>")
def model(model_id: str) -> ResponseReturnValue:
    """Show a model: how good it is, what it takes, and forms to use it."""
    user = current_user()
    found = service.get_model(site().database, user.id if user else None, model_id)
    return render_template(
        "training/model.html",
        model=found,
        schema=found.schema,
        values={},
        errors={},
        answer=None,
        file_problems=[],
    )


@blueprint.post("/models/<model_id>/delete")
def delete(model_id: str) -> ResponseReturnValue:
    """Delete a model."""
    here = site()
    service.delete_model(here.database, here.storage, require_user().id, model_id)
    flash("The model is deleted.", "good")
    return redirect(url_for("training.models"))
