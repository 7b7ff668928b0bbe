"""``POST /api/v1/models/ID/predictions``: rows of JSON or CSV in, predictions out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from flask import Blueprint, Response, request

from beanft.api.access import authenticate
from beanft.api.schemas import CSV, JSON
from beanft.core.errors import (
    BadRequestError,
    InvalidError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from beanft.core.http import TERSE_ENDPOINT
from beanft.extensions import Site, site
from beanft.ml.columns import Columns
from beanft.ml.predict import Predictions
from beanft.predictions.service import predictions_csv
from beanft.training.models import Model

blueprint = Blueprint("api_predictions", __name__, url_prefix="/api/v1")
ENDPOINT = TERSE_ENDPOINT
FLAGS = {"true": True, "1": True, "false": False, "0": False}


@blueprint.post("/models/<model_id>/predictions")
def predict(model_id: str) -> Response:
    """Predict rows of JSON or CSV; answers JSON, or CSV where ``Accept`` asks for it."""
    here = site()
    principal = authenticate("predict")
    model = here.predictor.model(principal.user_id, model_id)
    probabilities = _wants_probabilities()
    if request.mimetype == JSON:
        rows = read_rows(request.get_data(cache=False), here.settings.limits.predict_max_rows)
        if not _wants_csv():
            body = answer_json(here, model, rows, probabilities=probabilities)
            return Response(body, content_type=JSON)
        answer = here.predictor.predict_objects(model, rows)
        table = _as_columns(model, rows)
    elif request.mimetype == CSV:
        content = io.BytesIO(request.get_data(cache=False))
        table, answer = here.predictor.predict_csv(model, content)
    else:
        raise UnsupportedMediaTypeError(f"Send {JSON} or {CSV}, and say which in Content-Type.")
    here.metrics.predicted(len(answer))
    if _wants_csv():
        return Response(predictions_csv(model, table, answer), mimetype=CSV)
    return Response(dump(model, answer, probabilities=probabilities), content_type=JSON)


def _wants_csv() -> bool:
    if "Accept" not in request.headers:
        return False
    return request.accept_mimetypes.best_match([JSON, CSV], default=JSON) == CSV


def _wants_probabilities() -> bool:
    wanted = FLAGS.get(request.args.get("probabilities", "false").lower())
    if wanted is None:
        raise InvalidError(
            "probabilities must be true or false.",
            errors=[{"field": "probabilities", "message": "must be true or false"}],
        )
    return wanted


def read_rows(content: bytes, most: int) -> list[Any]:
    """Return the rows, 1 to ``most`` of them, in a body of JSON.

    Raises:
        BadRequestError: it is no JSON.
        InvalidError: it has no list of rows.
        TooLargeError: it has too many.

    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}.") from None
    rows = body.get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        message = "must be a list of at least one row"
        raise InvalidError(
            'Send {"rows": [{...}]}: rows ' + message + ".",
            errors=[{"field": "rows", "message": message}],
        )
    if len(rows) > most:
        raise TooLargeError(f"At most {most} rows at once.")
    return rows


def answer_json(here: Site, model: Model, rows: Sequence[Any], *, probabilities: bool) -> bytes:
    """Predict rows, count them and return the answer as JSON.

    Raises:
        DataError: with row and column of what is wrong.
        UnavailableError: the model's file is gone or damaged.

    """
    answer = here.predictor.predict_objects(model, rows)
    here.metrics.predicted(len(answer))
    return dump(model, answer, probabilities=probabilities)


def dump(model: Model, answer: Predictions, *, probabilities: bool) -> bytes:
    """Return n predictions as JSON.

    Each has its ``value``, or its ``label`` and, if asked for, the classes' ``probabilities``.
    """
    rows: list[dict[str, Any]]
    if answer.values:
        rows = [{"value": value} for value in answer.values]
    elif not probabilities:
        entries = {label: {"label": label} for label in set(answer.labels)}
        rows = [entries[label] for label in answer.labels]
    else:
        classes = model.schema_data["classes"]
        rows = [
            {"label": label, "probabilities": dict(zip(classes, chances, strict=True))}
            for label, chances in zip(answer.labels, answer.probabilities.tolist(), strict=True)
        ]
    target = model.schema_data["target"]
    return orjson.dumps({"model": model.id, "target": target, "predictions": rows})


def _as_columns(model: Model, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return JSON rows as a CSV file's columns."""
    header = [feature.name for feature in model.schema.features]
    cells = [["" if row[name] is None else str(row[name]) for row in rows] for name in header]
    return Columns(header, cells)
