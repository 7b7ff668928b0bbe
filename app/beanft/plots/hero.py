"""The picture of the first page: flowers of the sample, drawn by the server."""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from beanft.training.sample import SAMPLES, TARGET, TRAIN_FILE

PICTURE = (420, 260, 28)  # width, height, margin


@dataclass(frozen=True, slots=True)
class Dot:
    """A point: its position in the picture, and the number of its group."""

    x: float
    y: float
    group: int


def dots(
    points: Sequence[Sequence[tuple[float, float]]], width: float, height: float, margin: float
) -> list[Dot]:
    """Return where the points of each group lie in a picture, the least at its lower left."""
    every = [point for group in points for point in group]
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*every, strict=True))
    across = (width - 2 * margin) / ((right - left) or 1)
    upwards = (height - 2 * margin) / ((high - low) or 1)
    return [
        Dot(
            round(margin + (x - left) * across, 1),
            round(height - margin - (y - low) * upwards, 1),
            number,
        )
        for number, group in enumerate(points)
        for x, y in group
    ]


@functools.cache
def iris_dots() -> tuple[list[str], list[Dot]]:
    """Return the species, and the sample's flowers by their petals in a picture."""
    flowers: dict[str, list[tuple[float, float]]] = {}
    with (SAMPLES / TRAIN_FILE).open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            size = (float(row["petal_length"]), float(row["petal_width"]))
            flowers.setdefault(row[TARGET], []).append(size)
    return list(flowers), dots(list(flowers.values()), *PICTURE)
