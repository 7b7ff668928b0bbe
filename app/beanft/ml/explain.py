"""Why a model gave this answer: what each value of the row did to it."""

from __future__ import annotations

import numpy as np

from beanft.ml.predict import OnnxModel
from beanft.ml.rows import Inputs
from beanft.ml.schema import Feature


def usual_text(feature: Feature) -> str:
    """Return a text feature's most frequent value in training ("" is a missing one).

    Older models don't know how frequent they were; it is the first then.
    """
    if not feature.shares:
        return feature.values[0] if feature.values else ""
    # Without the bin of other values, which training rows are never in.
    shares = [*feature.shares[: len(feature.values)], feature.shares[-1]]
    return [*feature.values, ""][int(np.argmax(shares))]


def explain(model: OnnxModel, inputs: Inputs) -> list[tuple[str, float]]:
    """Return each feature's effect on the answer to one row, the largest first.

    The effect is the answer's change when this one value is replaced by the training rows'
    median, or most frequent text: the probability of the class that was predicted, or the
    predicted number, with the value minus without it. Above 0 the value speaks for the answer
    or raises the number.

    It says what the *model* would do, one value at a time. It isn't a cause in the world, and
    effects don't add up to the answer: where two columns say the same, or only matter
    together, each alone may show no effect. (It is the one-at-a-time form of occlusion:
    Zeiler and Fergus, 2014.)

    Args:
        model: the model.
        inputs: one row.

    Raises:
        ValueError: it isn't one row.

    """
    if len(inputs) != 1:
        raise ValueError(f"one row can be explained at a time, not {len(inputs)}")
    features = model.schema.features
    numbers = np.repeat(inputs.numbers, len(features) + 1, axis=0)
    texts = np.repeat(inputs.texts, len(features) + 1, axis=0)
    number = text = 0
    for row, feature in enumerate(features, start=1):
        if feature.kind == "number":
            # What a missing number counts as is the median too, in older models without one.
            numbers[row, number] = np.nan if feature.median is None else feature.median
            number += 1
        else:
            texts[row, text] = usual_text(feature)
            text += 1
    answers = model.predict(Inputs(numbers, texts))
    if answers.values:
        scores = np.asarray(answers.values, dtype=np.float64)
    else:
        predicted = model.schema.classes.index(answers.labels[0])
        scores = answers.probabilities[:, predicted].astype(np.float64)
    effects = [
        (feature.name, float(scores[0] - score))
        for feature, score in zip(features, scores[1:], strict=True)
    ]
    return sorted(effects, key=lambda effect: -abs(effect[1]))
