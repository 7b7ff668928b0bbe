"""Geometry of the server-drawn pictures; templates turn it into SVG.

Colours are classes in the stylesheet, so pictures follow light and dark; the policy against
inline styles leaves SVG attributes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its label and count, its width (0 to 100) and share of the whole (0 to 1)."""

    label: str
    count: int
    width: float
    share: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the heat map: position, count, and share of its row (0 to 1)."""

    row: int
    column: int
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Scatter:
    """Truth against prediction: points of 0 to 100 on both axes, y down, and the axes' ends."""

    points: list[tuple[float, float]]
    low: float
    high: float


def bars(counts: Mapping[str, int], most: int = 12) -> list[Bar]:
    """Return bars of the ``most`` largest counts; the largest is 100 wide."""
    total = sum(counts.values())
    largest = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])[:most]
    return [
        Bar(label, count, round(100 * count / largest, 2), count / total)
        for label, count in ordered
    ]


def heat_map(confusion: Sequence[Sequence[int]]) -> list[Cell]:
    """Return the cells of a confusion matrix of shape (c, c), row by row."""
    cells = []
    for row, counts in enumerate(confusion):
        total = sum(counts)
        for column, count in enumerate(counts):
            share = round(count / total, 3) if total else 0.0
            cells.append(Cell(row, column, count, share))
    return cells


def scatter(pairs: Sequence[Sequence[float]]) -> Scatter | None:
    """Return n points of truth and prediction on axes of one scale; None without any."""
    values = [value for pair in pairs for value in pair]
    if not values:
        return None
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = [
        (round(100 * (truth - low) / span, 2), round(100 - 100 * (guess - low) / span, 2))
        for truth, guess in pairs
    ]
    return Scatter(points, low, high)
