"""How good a classifier is on rows it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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
    correct = sum(confusion[index][index] for index in range(len(classes)))
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
        "accuracy": correct / len(expected),
        "rows": len(expected),
        "confusion": confusion,
        "classes": per_class,
    }
