"""What the training rows held, kept in the schema: for forms, for explanations, for drift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from beanft.ml.drift import bin_counts
from beanft.ml.rows import Inputs
from beanft.ml.schema import Feature, Schema

DECILES = np.arange(1, 10) / 10


def _plain(number: np.floating) -> float:
    """Return the shortest decimal that is this float32: 5.8 and not 5.800000190734863."""
    return float(str(np.float32(number)))


def _median(values: npt.NDArray[np.float32]) -> float:
    middle = float(np.median(values.astype(np.float64)))
    # The mean of two float32: seven digits are theirs, what follows is noise.
    return middle if middle.is_integer() else float(f"{middle:.7g}")


def _of_numbers(feature: Feature, column: npt.NDArray[np.float32]) -> Feature:
    values = column[~np.isnan(column)]
    deciles = np.unique(np.quantile(values, DECILES, method="lower"))
    return replace(
        feature,
        least=_plain(values.min()),
        most=_plain(values.max()),
        median=_median(values),
        integer=bool((values == np.trunc(values)).all()),
        edges=tuple(_plain(edge) for edge in deciles),
    )


def with_statistics(schema: Schema, inputs: Inputs) -> Schema:
    """Return the schema with what n training rows say about each feature.

    The edges between a number's bins are its deciles, each once.

    Args:
        schema: names and kinds.
        inputs: the training rows; no numeric column of theirs may be all missing.

    """
    features = []
    number = text = 0
    for feature in schema.features:
        if feature.kind == "number":
            features.append(_of_numbers(feature, inputs.numbers[:, number]))
            number += 1
        else:
            values = tuple(sorted(set(inputs.texts[:, text].tolist()) - {""}))
            features.append(replace(feature, values=values))
            text += 1
    described = replace(schema, features=tuple(features))
    counts = bin_counts(described, inputs)
    return replace(
        described,
        features=tuple(
            replace(feature, shares=tuple((count / len(inputs)).tolist()))
            for feature, count in zip(described.features, counts, strict=True)
        ),
    )
