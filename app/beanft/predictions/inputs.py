"""What a model was asked of late, against what it learned from, feature by feature."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.ml.drift import MODERATE, Drift, drift_of, psi
from beanft.ml.schema import Feature
from beanft.predictions.models import InputCount
from beanft.training.models import Model

DAYS = 7
WORDS: dict[Drift, str] = {
    "few": "too few rows",
    "stable": "stable",
    "moderate": "moved",
    "large": "moved a lot",
}


@dataclass(frozen=True, slots=True)
class BinDrift:
    """One bin: its name, and its share (0 to 1) of the training rows and of the recent ones."""

    label: str
    expected: float
    recent: float


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far one feature's values have moved: index, in a word, recent rows and bins."""

    name: str
    index: float
    drift: Drift
    rows: int
    bins: list[BinDrift]


def bin_labels(feature: Feature) -> list[str]:
    """Return the names of a feature's bins, the last for missing values.

    A number is in the bin that it is the lower end of.
    """
    if feature.kind == "text":
        return [*feature.values, "another value", "missing"]
    edges = [f"{edge:.4g}" for edge in feature.edges]
    if not edges:
        return ["any number", "missing"]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"under {edges[0]}", *between, f"from {edges[-1]}", "missing"]


def _counts(data: dict[str, Any], bins: int) -> list[int]:
    """Return one day's rows by bin; a bin that isn't named has none."""
    counts = [0] * bins
    for key, count in data.items():
        if key.isdigit() and int(key) < bins:
            counts[int(key)] += int(count)
    return counts


def _word(index: float, rows: int, bins: int) -> Drift:
    """Put an index into a word, unless chance alone makes half of what counts as moved.

    That is about (bins - 1) / rows, which is much where a text has many values; see ``psi``.
    """
    return "few" if bins - 1 > rows * MODERATE / 2 else drift_of(index, rows)


def _drift(feature: Feature, counts: list[int]) -> FeatureDrift | None:
    index = psi(feature.shares, counts)
    if index is None:
        return None
    rows = sum(counts)
    # A bin that nobody was in, then or now, says nothing and needs no rows to say it.
    bins = [
        BinDrift(label, share, count / rows)
        for label, share, count in zip(bin_labels(feature), feature.shares, counts, strict=True)
        if share or count
    ]
    word = _word(index, rows, len(bins))
    return FeatureDrift(feature.name, index, word, rows, bins)


def drift(database: Database, model: Model) -> list[FeatureDrift]:
    """Compare what a model was asked in the last seven days with its training rows.

    Returns:
        An entry for each feature that was counted, the one that moved most first. Models that
        were trained before bins were kept have none.

    """
    first = (utcnow() - dt.timedelta(days=DAYS - 1)).date().isoformat()
    with database.reading() as session:
        rows = list(
            session.scalars(
                sa.select(InputCount).where(
                    InputCount.model_id == model.id, InputCount.day >= first
                )
            )
        )
    features = model.schema.features
    totals = {
        position: [0] * len(feature.shares)
        for position, feature in enumerate(features)
        if feature.shares and len(feature.shares) == len(bin_labels(feature))
    }
    for row in rows:
        if row.feature in totals:
            total = totals[row.feature]
            day = _counts(row.counts, len(total))
            totals[row.feature] = [before + more for before, more in zip(total, day, strict=True)]
    found = [_drift(features[position], counts) for position, counts in totals.items()]
    return sorted((entry for entry in found if entry), key=lambda entry: -entry.index)
