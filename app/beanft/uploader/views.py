"""Pages of data sets."""

from __future__ import annotations

from typing import BinaryIO, cast
from urllib.parse import quote

from flask import (
    Blueprint,
    Response,
    flash,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from beanft.core.errors import BeanftError, ConflictError, InvalidError, TooLargeError
from beanft.extensions import site
from beanft.ml.errors import DataError
from beanft.ml.reading import Reading
from beanft.training.service import jobs_of_dataset
from beanft.uploader import forms, service
from beanft.uploader.models import Dataset
from beanft.uploader.samples import SAMPLE_SETS, add_sample
from beanft.uploader.sparks import spark
from beanft.users.current import require_user

blueprint = Blueprint("uploader", __name__, url_prefix="/datasets")


def _list(status: int = 200, problems: list[str] | None = None) -> ResponseReturnValue:
    here = site()
    user = require_user()
    page = render_template(
        "uploader/index.html",
        datasets=service.datasets_of(here.database, user.id),
        usage=service.usage_of(here.database, here.settings.limits, user.id),
        limits=here.settings.limits,
        samples=SAMPLE_SETS,
        problems=problems or [],
    )
    return make_response(page, status)


def _script_asks() -> bool:
    return request.accept_mimetypes.best == "application/json"


def _refused(status: int, problems: list[str]) -> ResponseReturnValue:
    if _script_asks():
        return make_response(jsonify(problems=problems), status)
    return _list(status, problems)


def _refused_by(error: BeanftError) -> ResponseReturnValue:
    return _refused(int(error.status), [error.detail])


@blueprint.get("")
def index() -> ResponseReturnValue:
    """List a person's data sets."""
    require_user()
    return _list()


@blueprint.post("")
def upload() -> ResponseReturnValue:
    """Take a CSV file; a script that shows its progress gets JSON."""
    user = require_user()
    here = site()
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return _refused(422, ["Choose a CSV file first."])
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
        return _refused(422, [problem.message for problem in error.problems])
    except (ConflictError, TooLargeError) as error:
        return _refused_by(error)
    flash("Uploaded. Have a look, then train a model on it.", "good")
    place = url_for("uploader.detail", dataset_id=dataset.id)
    if _script_asks():
        return make_response(jsonify(location=place), 201)
    return redirect(place)


@blueprint.post("/samples/<name>")
def sample(name: str) -> ResponseReturnValue:
    """Put a copy of a sample among a person's data sets."""
    user = require_user()
    here = site()
    try:
        dataset = add_sample(here.database, here.storage, here.settings.limits, user.id, name)
    except ConflictError as error:
        return _refused_by(error)
    flash(f"{dataset.name} is yours. Have a look, then train a model on it.", "good")
    return redirect(url_for("uploader.detail", dataset_id=dataset.id))


def _find(dataset_id: str) -> Dataset:
    return service.get_dataset(site().database, require_user().id, dataset_id)


def _page(
    dataset: Dataset,
    status: int = 200,
    *,
    form: forms.ReadingForm | None = None,
    name: str | None = None,
    name_problem: str | None = None,
) -> ResponseReturnValue:
    profile = dataset.profile
    page = render_template(
        "uploader/detail.html",
        dataset=dataset,
        profile=profile,
        form=form or forms.shown(profile),
        sparks=[spark(column) for column in profile.columns],
        jobs=jobs_of_dataset(site().database, dataset.id),
        name=dataset.name if name is None else name,
        name_problem=name_problem,
    )
    return make_response(page, status)


@blueprint.get("/<dataset_id>")
def detail(dataset_id: str) -> ResponseReturnValue:
    """Show what a data set holds and how it was read."""
    return _page(_find(dataset_id))


@blueprint.post("/<dataset_id>/reading")
def read_again(dataset_id: str) -> ResponseReturnValue:
    """Read a data set's file as its owner says."""
    here = site()
    dataset = _find(dataset_id)
    before = Reading.from_dict(dataset.reading_data)
    form, reading = forms.read(dataset.profile, before, request.form)
    try:
        service.read_again(
            here.database,
            here.storage,
            here.settings.limits,
            dataset.user_id,
            dataset.id,
            reading,
        )
    except DataError as error:
        form.show(error)
        return _page(dataset, 422, form=form)
    flash("The file is read as you said.", "good")
    return redirect(url_for("uploader.detail", dataset_id=dataset.id))


@blueprint.post("/<dataset_id>/rename")
def rename(dataset_id: str) -> ResponseReturnValue:
    """Give a data set another name."""
    dataset = _find(dataset_id)
    name = request.form.get("name", "")
    try:
        service.rename_dataset(site().database, dataset.user_id, dataset.id, name)
    except InvalidError as error:
        return _page(dataset, 422, name=name, name_problem=error.detail)
    flash("The data set is renamed.", "good")
    return redirect(url_for("uploader.detail", dataset_id=dataset.id))


@blueprint.get("/<dataset_id>/download")
def download(dataset_id: str) -> ResponseReturnValue:
    """Send a data set as CSV in UTF-8 that no spreadsheet runs."""
    dataset = _find(dataset_id)
    response = Response(service.dataset_csv(site().storage, dataset), mimetype="text/csv")
    name = dataset.name if dataset.name.lower().endswith(".csv") else f"{dataset.name}.csv"
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return response


@blueprint.post("/<dataset_id>/delete")
def delete(dataset_id: str) -> ResponseReturnValue:
    """Delete a data set."""
    here = site()
    service.delete_dataset(here.database, here.storage, require_user().id, dataset_id)
    flash("The data set is deleted.", "good")
    return redirect(url_for("uploader.index"))
