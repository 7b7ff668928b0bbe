"""What a model does with its inputs, step by step, in words: for the picture on the pages.

``estimators.py`` builds the same steps with scikit-learn; both ask ``SCALED``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beanft.ml.plan import ESTIMATOR_NAMES
from beanft.ml.schema import Schema

# They add up or compare columns, so the unit of a column must not matter. Trees don't.
SCALED = frozenset({"logistic_regression", "linear_regression", "nearest_neighbors"})

ABOUT = {
    "logistic_regression": "One weighted sum of the columns a class, as probabilities.",
    "linear_regression": "One weighted sum of the columns; large weights cost (ridge).",
    "random_forest": "100 trees, each grown on other rows and columns; their mean answers.",
    "decision_tree": "Questions about one column after another, at most 12.",
    "gradient_boosting": "100 small trees, each correcting what those before it got wrong.",
    "nearest_neighbors": "The five most similar training rows answer.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline.

    ``columns`` are the names of the columns it works on, and empty where it is all of them.
    """

    name: str
    detail: str
    columns: tuple[str, ...] = ()


def describe_steps(numbers: Sequence[str], texts: Sequence[str], estimator: str) -> list[Step]:
    """Return the steps over columns of numbers and of text, before there is a model."""
    steps = []
    if numbers:
        columns = tuple(numbers)
        detail = "A missing number becomes the median of the training rows."
        steps.append(Step("Fill in", detail, columns))
        if estimator in SCALED:
            detail = "Each column is moved and stretched to mean 0 and standard deviation 1."
            steps.append(Step("Scale", detail, columns))
    if texts:
        detail = (
            "Each value becomes a column of 0 and 1, and so does a missing one. "
            "A value that training has not seen is 0 in all of them."
        )
        steps.append(Step("Encode", detail, tuple(texts)))
    steps.append(Step(ESTIMATOR_NAMES.get(estimator, estimator), ABOUT.get(estimator, "")))
    return steps


def describe_pipeline(schema: Schema, estimator: str) -> list[Step]:
    """Return the steps of a model from its input columns to its answer."""
    numbers = [feature.name for feature in schema.numbers]
    return describe_steps(numbers, [feature.name for feature in schema.texts], estimator)
