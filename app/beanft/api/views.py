"""``/api/v1``: models and their predictions, for programs with a key."""

from __future__ import annotations

import io

import orjson
from flask import Blueprint, Response, request

from beanft.api import schemas
from beanft.api.access import authenticate
from beanft.api.schemas import CSV, JSON, json_response
from beanft.core.errors import (
    BadRequestError,
    InvalidError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from beanft.extensions import site
from beanft.health.views import identity
from beanft.predictions.service import predictions_csv
from beanft.training import service as training
from beanft.training.models import Model

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


@blueprint.get("/version")
def version() -> Response:
    """Say what runs here; needs no key."""
    return json_response(identity(site()))


@blueprint.get("/models")
def models() -> Response:
    """List the caller's models and the released ones."""
    principal = authenticate()
    found = training.models_of(site().database, principal.user_id)
    return json_response({"models": [schemas.model_summary(model) for model in found]})


@blueprint.get("/models/<model_id>")
def model_detail(model_id: str) -> Response:
    """Show one model with its schema and measures."""
    principal = authenticate()
    return json_response(schemas.model_detail(site().predictor.model(principal.user_id, model_id)))


@blueprint.post("/models/<model_id>/predictions")
def predict(model_id: str) -> Response:
    """Predict rows of JSON or CSV; answers JSON, or CSV where ``Accept`` asks for it."""
    principal = authenticate()
    model = site().predictor.model(principal.user_id, model_id)
    if request.mimetype == JSON:
        return _predict_json(model)
    if request.mimetype == CSV:
        return _predict_csv(model)
    raise UnsupportedMediaTypeError(f"Send {JSON} or {CSV}, and say which in Content-Type.")


def _wants_csv() -> bool:
    if "Accept" not in request.headers:
        return False
    return request.accept_mimetypes.best_match([JSON, CSV], default=JSON) == CSV


def _wants_probabilities() -> bool:
    text = request.args.get("probabilities", "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise InvalidError(
            "probabilities must be true or false.",
            errors=[{"field": "probabilities", "message": "must be true or false"}],
        )
    return text in {"true", "1"}


def _predict_json(model: Model) -> Response:
    here = site()
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}.") from None
    rows = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        message = "must be a list of at least one row"
        raise InvalidError(
            'Send {"rows": [{...}]}: rows ' + message + ".",
            errors=[{"field": "rows", "message": message}],
        )
    most = here.settings.limits.predict_max_rows
    if len(rows) > most:
        raise TooLargeError(f"At most {most} rows at once.")
    answer = here.predictor.predict_objects(model, rows)
    here.metrics.predicted(len(rows))
    if _wants_csv():
        schema = model.schema
        header = [feature.name for feature in schema.features]
        cells = [["" if row[n] is None else str(row[n]) for n in header] for row in rows]
        return Response(predictions_csv(model, header, cells, answer), mimetype=CSV)
    return json_response(schemas.predictions(model, answer, probabilities=_wants_probabilities()))


def _predict_csv(model: Model) -> Response:
    here = site()
    content = io.BytesIO(request.get_data(cache=False))
    header, rows, answer = here.predictor.predict_csv(model, content)
    here.metrics.predicted(len(rows))
    if _wants_csv():
        return Response(predictions_csv(model, header, rows, answer), mimetype=CSV)
    return json_response(schemas.predictions(model, answer, probabilities=_wants_probabilities()))
