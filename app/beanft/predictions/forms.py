"""A form made from a model's schema: one field for each feature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from beanft.ml.errors import DataError
from beanft.ml.predict import Predictions
from beanft.ml.schema import Schema
from beanft.training.models import Model

PREFIX = "f"


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The prediction of one row.

    ``text`` is its class or number; of a class, ``chances`` are all classes with their
    probabilities, best first; of a number, ``error`` is the model's root mean squared error.
    """

    text: str
    chances: list[tuple[str, float]] = field(default_factory=list)
    error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept of it, for JSON."""
        kept: dict[str, Any] = {"text": self.text}
        if self.chances:
            kept["probability"] = self.chances[0][1]
        return kept


def field_name(position: int) -> str:
    """Return a field's name; columns' names may hold anything, so they aren't used."""
    return f"{PREFIX}{position}"


def read_row(schema: Schema, sent: MultiDict[str, str]) -> dict[str, str]:
    """Return what was typed, by column."""
    return {
        feature.name: sent.get(field_name(index), "").strip()[:10_000]
        for index, feature in enumerate(schema.features)
    }


def errors_by_column(error: DataError) -> dict[str, str]:
    """Return messages by column."""
    return {problem.column or "": problem.message for problem in error.problems}


def row_answer(model: Model, answer: Predictions) -> RowAnswer:
    """Return the first row's prediction."""
    if model.task == "regression":
        return RowAnswer(f"{answer.values[0]:.6g}", error=model.metrics.get("rmse"))
    chances = zip(model.schema.classes, answer.probabilities[0].tolist(), strict=True)
    return RowAnswer(answer.labels[0], sorted(chances, key=lambda pair: -pair[1]))
