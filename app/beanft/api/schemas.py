"""What the API's JSON looks like."""

from __future__ import annotations

from typing import Any

from beanft.ml.predict import Predictions
from beanft.training.models import Model


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
