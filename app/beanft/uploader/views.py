"""Pages of data sets."""

from __future__ import annotations

from typing import BinaryIO, cast

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from beanft.core.errors import BeanftError, ConflictError, TooLargeError
from beanft.extensions import site
from beanft.ml.errors import DataError
from beanft.training.service import jobs_of_dataset
from beanft.uploader import service
from beanft.users.current import require_user

blueprint = Blueprint("uploader", __name__, url_prefix="/datasets")


def _list(status: int = 200, problems: list[str] | None = None) -> ResponseReturnValue:
    here = site()
    page = render_template(
        "uploader/index.html",
        datasets=service.datasets_of(here.database, require_user().id),
        limits=here.settings.limits,
        problems=problems or [],
    )
    return make_response(page, status)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """List a person's data sets."""
    require_user()
    return _list()


@blueprint.post("")
def upload() -> ResponseReturnValue:
    """Take a CSV file."""
    user = require_user()
    here = site()
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return _list(422, ["Choose a CSV file first."])
    try:
        dataset = service.add_dataset(
            here.database,
            here.storage,
            here.settings.limits,
            user_id=user.id,
            name=service.display_name(sent.filename),
            source=cast("BinaryIO", sent.stream),
        )
    except DataError as error:
        return _list(422, [problem.message for problem in error.problems])
    except (ConflictError, TooLargeError) as error:
        return _refused(error)
    flash("Uploaded. Have a look, then train a model on it.", "good")
    return redirect(url_for("uploader.detail", dataset_id=dataset.id))


def _refused(error: BeanftError) -> ResponseReturnValue:
    return _list(int(error.status), [error.detail])


@blueprint.get("/<dataset_id>")
def detail(dataset_id: str) -> ResponseReturnValue:
    """Show what a data set holds."""
    here = site()
    dataset = service.get_dataset(here.database, require_user().id, dataset_id)
    jobs = jobs_of_dataset(here.database, dataset.id)
    profile = dataset.profile
    return render_template("uploader/detail.html", dataset=dataset, profile=profile, jobs=jobs)


@blueprint.post("/<dataset_id>/delete")
def delete(dataset_id: str) -> ResponseReturnValue:
    """Delete a data set."""
    here = site()
    service.delete_dataset(here.database, here.storage, require_user().id, dataset_id)
    flash("The data set is deleted.", "good")
    return redirect(url_for("uploader.index"))
