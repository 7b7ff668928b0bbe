"""A form made from a model's schema: one field for each feature."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from beanft.ml.errors import DataError
from beanft.ml.predict import Predictions
from beanft.ml.schema import Schema

PREFIX = "f"


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The prediction of one row: its label, and classes with probabilities, best first."""

    label: str
    chances: list[tuple[str, float]]


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


def row_answer(schema: Schema, answer: Predictions) -> RowAnswer:
    """Return the first row's prediction."""
    chances = zip(schema.classes, answer.probabilities[0].tolist(), strict=True)
    return RowAnswer(answer.labels[0], sorted(chances, key=lambda pair: -pair[1]))
