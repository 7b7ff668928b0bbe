"""How good a model is on rows it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

CALIBRATION_BINS = 10
RESIDUAL_BINS = 20
SCATTER_POINTS = 300

Floats = npt.NDArray[np.float64]


def accuracy(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the share of n labels that are equal, 0 to 1."""
    pairs = zip(expected, predicted, strict=True)
    return sum(truth == guess for truth, guess in pairs) / len(expected)


def r2(expected: Floats, predicted: Floats) -> float:
    """Return the coefficient of determination of n numbers: 1 at best, 0 for their mean.

    If all expected ones are equal it is not defined, and here 1 if all were met and 0 if not.
    """
    left = float(((expected - predicted) ** 2).sum())
    whole = float(((expected - expected.mean()) ** 2).sum())
    if not whole:
        return 0.0 if left else 1.0
    return 1 - left / whole


def evaluate(
    classes: Sequence[str], expected: Sequence[str], predicted: Sequence[str]
) -> dict[str, Any]:
    """Compare n expected with n predicted labels.

    Returns:
        ``accuracy`` (0 to 1), ``rows`` (n), ``confusion`` (c lists of c counts; the row is the
        expected class, the column the predicted one) and ``classes`` (for each class ``name``,
        ``precision``, ``recall``, ``f1``, each 0 to 1 or None where it isn't defined, and
        ``rows``).

    """
    position = {name: index for index, name in enumerate(classes)}
    confusion = [[0] * len(classes) for _ in classes]
    for truth, guess in zip(expected, predicted, strict=True):
        confusion[position[truth]][position[guess]] += 1
    per_class = []
    for index, name in enumerate(classes):
        hit = confusion[index][index]
        actual = sum(confusion[index])
        guessed = sum(row[index] for row in confusion)
        per_class.append(
            {
                "name": name,
                "precision": hit / guessed if guessed else None,
                "recall": hit / actual if actual else None,
                "f1": 2 * hit / (guessed + actual) if guessed + actual else None,
                "rows": actual,
            }
        )
    return {
        "accuracy": accuracy(expected, predicted),
        "rows": len(expected),
        "confusion": confusion,
        "classes": per_class,
    }


def calibration(
    probabilities: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Compare how sure a classifier was with how often it was right.

    The reliability diagram of Guo et al., On calibration of modern neural networks (2017): ten
    bins of equal width over the predicted class's probability.

    Args:
        probabilities: of the predicted class, of n rows, 0 to 1.
        hits: of n rows, whether that class was right.

    Returns:
        For each bin that has rows, ``predicted`` (the mean probability), ``observed`` (the
        share of rows that were right) and ``rows``.

    """
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    found = []
    for index in range(CALIBRATION_BINS):
        inside = bins == index
        if inside.any():
            found.append(
                {
                    "predicted": float(probabilities[inside].mean()),
                    "observed": float(hits[inside].mean()),
                    "rows": int(inside.sum()),
                }
            )
    return found


def evaluate_numbers(expected: Floats, predicted: Floats) -> dict[str, Any]:
    """Compare n expected with n predicted numbers.

    Returns:
        ``r2``, ``mae`` and ``rmse`` (in the target's unit), ``rows`` (n), ``scatter`` (at most
        300 pairs of an expected and a predicted number, evenly from the least to the most
        expected) and ``residuals`` (a histogram of expected - predicted: b + 1 ``edges`` and b
        ``counts``).

    """
    off = expected - predicted
    counts, edges = np.histogram(off, bins=min(RESIDUAL_BINS, max(1, len(off) // 4)))
    order = np.argsort(expected, kind="stable")
    at = np.unique(np.linspace(0, len(order) - 1, min(SCATTER_POINTS, len(order))).astype(int))
    shown = order[at]
    return {
        "r2": r2(expected, predicted),
        "mae": float(np.abs(off).mean()),
        "rmse": float(np.sqrt((off**2).mean())),
        "rows": len(expected),
        "scatter": np.column_stack([expected[shown], predicted[shown]]).tolist(),
        "residuals": {"edges": edges.tolist(), "counts": counts.tolist()},
    }
