"""Pages that predict: one row by a form, or a CSV file."""

from __future__ import annotations

from typing import BinaryIO, cast

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from beanft.extensions import site
from beanft.ml.errors import DataError
from beanft.predictions import forms
from beanft.predictions.explanation import pushes
from beanft.predictions.recent import latest, remember
from beanft.predictions.service import predictions_csv
from beanft.training.models import Model
from beanft.users.current import current_user, require_user

blueprint = Blueprint("predictions", __name__, url_prefix="/models/<model_id>")


def _page(model: Model, status: int = 200, **values: object) -> ResponseReturnValue:
    user = current_user()
    context: dict[str, object] = {
        "values": {},
        "errors": {},
        "answer": None,
        "file_problems": [],
        "latest": latest(site().database, user.id, model.id) if user else [],
    }
    page = render_template(
        "predictions/page.html", model=model, schema=model.schema, **{**context, **values}
    )
    return make_response(page, status)


@blueprint.get("/predict")
def page(model_id: str) -> ResponseReturnValue:
    """Show the form, filled in with one of the latest rows if that is asked for."""
    here, user = site(), current_user()
    model = here.predictor.model(user.id if user else None, model_id)
    asked = request.args.get("row")
    rows = latest(here.database, user.id, model.id) if user and asked else []
    values = next((entry.inputs for entry in rows if entry.id == asked), {})
    return _page(model, values=values)


@blueprint.post("/predict")
def predict(model_id: str) -> ResponseReturnValue:
    """Predict one row; a released model answers anybody."""
    here, user = site(), current_user()
    model = here.predictor.model(user.id if user else None, model_id)
    values = forms.read_row(model.schema, request.form)
    try:
        predicted = here.predictor.predict_cells(model, list(values), [list(values.values())])
    except DataError as error:
        return _page(model, 422, values=values, errors=forms.errors_by_column(error))
    here.metrics.predicted(1)
    answer = forms.row_answer(model, predicted)
    if user is not None:
        remember(here.database, user.id, model.id, values, answer.to_dict())
    why = pushes(here.artefacts, model, values)
    return _page(model, values=values, answer=answer, pushes=why)


@blueprint.post("/predict-csv")
def predict_csv(model_id: str) -> ResponseReturnValue:
    """Predict a CSV file and send it back with the predictions."""
    here = site()
    model = here.predictor.model(require_user().id, model_id)
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return _page(model, 422, file_problems=["Choose a CSV file first."])
    try:
        table, answer = here.predictor.predict_csv(model, cast("BinaryIO", sent.stream))
    except DataError as error:
        problems = [problem.sentence() for problem in error.problems]
        return _page(model, 422, file_problems=problems)
    here.metrics.predicted(len(answer))
    response = Response(predictions_csv(model, table, answer), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="predictions.csv"'
    return response
