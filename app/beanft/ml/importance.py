"""Which columns a model needs: permutation importance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from beanft.ml.predict import OnnxModel, Predictions
from beanft.ml.rows import Inputs

REPEATS = 5
MOST_ROWS = 2_000
MOST_PREDICTIONS = 60_000


def importance_rows(features: int) -> int:
    """Return how many rows to shuffle: 2000, or fewer where many features would take minutes."""
    return min(MOST_ROWS, max(50, MOST_PREDICTIONS // (REPEATS * max(1, features))))


def permutation_importance(
    model: OnnxModel, inputs: Inputs, score: Callable[[Predictions], float], seed: int
) -> list[dict[str, Any]]:
    """Return how much worse the model gets when a column's values are shuffled among the rows.

    Breiman, Random forests (2001), section 10, with the converted model. Of two columns that
    say the same, each may look unimportant, since the other remains.

    Args:
        model: the converted model.
        inputs: n rows that it was not trained on.
        score: gives the score of the answers to those n rows; higher is better.
        seed: of the shuffling.

    Returns:
        For each feature, the most important first: its name as ``feature``, and ``mean`` and
        ``std`` of the loss of score over five shufflings.

    """
    generator = np.random.default_rng(seed)
    whole = score(model.predict(inputs))
    found: list[dict[str, Any]] = []
    number = text = 0
    for feature in model.schema.features:
        losses = []
        for _ in range(REPEATS):
            order = generator.permutation(len(inputs))
            numbers, texts = inputs.numbers, inputs.texts
            if feature.kind == "number":
                numbers = numbers.copy()
                numbers[:, number] = numbers[order, number]
            else:
                texts = texts.copy()
                texts[:, text] = texts[order, text]
            losses.append(whole - score(model.predict(Inputs(numbers, texts))))
        if feature.kind == "number":
            number += 1
        else:
            text += 1
        mean, std = float(np.mean(losses)), float(np.std(losses))
        found.append({"feature": feature.name, "mean": mean, "std": std})
    return sorted(found, key=lambda entry: -float(entry["mean"]))
