"""How far the inputs of late are from the rows that a model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from beanft.ml.rows import Inputs
from beanft.ml.schema import Feature, Schema

Drift = Literal["few", "stable", "moderate", "large"]

# The usual reading of the index; see psi().
MODERATE = 0.1
LARGE = 0.25
# The share an empty bin counts as. Without it a single row in a bin that was empty in training
# would make the index infinite.
LEAST_SHARE = 1e-4
# With fewer rows, ten bins and no drift at all, chance alone often makes 0.05 of it.
LEAST_ROWS = 200

Counts = npt.NDArray[np.int64]


def _count_numbers(feature: Feature, column: npt.NDArray[np.float32]) -> Counts:
    # As float32, like the inputs: an edge is one of the training rows' numbers.
    edges = np.asarray(feature.edges, dtype=np.float32)
    positions = np.searchsorted(edges, column, side="right")
    positions[np.isnan(column)] = len(edges) + 1
    return np.bincount(positions, minlength=len(edges) + 2).astype(np.int64)


def _count_texts(feature: Feature, column: npt.NDArray[np.object_]) -> Counts:
    found = Counter(column.tolist())
    missing = found.pop("", 0)
    known = [found.pop(value, 0) for value in feature.values]
    return np.array([*known, found.total(), missing], dtype=np.int64)


def bin_counts(schema: Schema, inputs: Inputs) -> list[Counts]:
    """Count n rows by each feature's bins.

    A number x is in bin i when ``edges[i - 1] <= x < edges[i]``; a text has the bin of its
    value, or the one after them if training had no such value.

    Args:
        schema: of a model. Without edges (older models) a number has one bin.
        inputs: n checked rows.

    Returns:
        For each of ``schema.features``, in their order, b + 1 counts that add up to n: those of
        its b bins, and of missing values.

    """
    if not len(inputs):
        inputs = Inputs(
            np.empty((0, len(schema.numbers)), np.float32), np.empty((0, len(schema.texts)), object)
        )
    counts: list[Counts] = []
    number = text = 0
    for feature in schema.features:
        if feature.kind == "number":
            counts.append(_count_numbers(feature, inputs.numbers[:, number]))
            number += 1
        else:
            counts.append(_count_texts(feature, inputs.texts[:, text]))
            text += 1
    return counts


def psi(expected: Sequence[float], counts: Sequence[int] | Counts) -> float | None:
    """Return the population stability index of counts against expected shares.

    The sum over bins of (a - e) ln(a / e), where a is the actual and e the expected share:
    0 for equal shares, and without an upper bound. Siddiqi, Credit Risk Scorecards (2006),
    reads below 0.1 as no change, from 0.1 as a moderate one and from 0.25 as a large one.
    Chance alone makes about (bins - 1) / n of it: Yurdakul and Naranjo, Statistical properties
    of the population stability index (2020).

    Args:
        expected: b + 1 shares that add up to 1, as ``Feature.shares``.
        counts: b + 1 counts. A share of either below 0.0001 counts as 0.0001.

    Returns:
        The index, or None when there is nothing to compare: no shares (older models) or no rows.

    Raises:
        ValueError: they are of different lengths.

    """
    actual = np.asarray(counts, dtype=np.float64)
    rows = float(actual.sum())
    if not len(expected) or not rows:
        return None
    if len(expected) != len(actual):
        raise ValueError(f"{len(expected)} shares can't be compared with {len(actual)} counts")
    a = np.maximum(actual / rows, LEAST_SHARE)
    e = np.maximum(np.asarray(expected, dtype=np.float64), LEAST_SHARE)
    return float(((a - e) * np.log(a / e)).sum())


def drift_of(index: float, rows: int) -> Drift:
    """Put a stability index over so many rows into a word; ``few`` is too few rows to tell."""
    if rows < LEAST_ROWS:
        return "few"
    if index < MODERATE:
        return "stable"
    return "moderate" if index < LARGE else "large"
