"""What the API's JSON looks like."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

from beanft.ml.predict import Predictions
from beanft.training.models import Model
from beanft.uploader.models import Dataset

JSON = "application/json"
CSV = "text/csv"


def json_response(body: Any, status: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(orjson.dumps(body), status, content_type=JSON)


def model_summary(model: Model) -> dict[str, Any]:
    """Return a model as in a list."""
    return {
        "id": model.id,
        "name": model.name,
        "version": model.version,
        "estimator": model.estimator,
        "target": model.schema_data["target"],
        "accuracy": model.metrics["accuracy"],
        "released": model.released_at is not None,
        "created_at": model.created_at.isoformat(),
    }


def model_detail(model: Model) -> dict[str, Any]:
    """Return a model with its schema, measures and the checksum of its artefact."""
    return {
        **model_summary(model),
        "schema": model.schema_data,
        "metrics": model.metrics,
        "sha256": model.sha256,
        "size": model.size,
    }


def predictions(model: Model, answer: Predictions, *, probabilities: bool) -> dict[str, Any]:
    """Return n predictions, each with its label and, if asked, the classes' probabilities."""
    if not probabilities:
        rows: list[dict[str, Any]] = [{"label": label} for label in answer.labels]
    else:
        classes = model.schema_data["classes"]
        rows = [
            {"label": label, "probabilities": dict(zip(classes, chances, strict=True))}
            for label, chances in zip(answer.labels, answer.probabilities.tolist(), strict=True)
        ]
    return {"model": model.id, "target": model.schema_data["target"], "predictions": rows}


def dataset_summary(dataset: Dataset) -> dict[str, Any]:
    """Return a data set as in a list."""
    return {
        "id": dataset.id,
        "name": dataset.name,
        "rows": dataset.row_count,
        "columns": dataset.column_count,
        "created_at": dataset.created_at.isoformat(),
    }


def dataset_detail(dataset: Dataset) -> dict[str, Any]:
    """Return a data set with what tells whether it is what was sent."""
    return {**dataset_summary(dataset), "sha256": dataset.sha256, "size": dataset.size}
