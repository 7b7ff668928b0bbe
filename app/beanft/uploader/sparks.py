"""Geometry of the small pictures of what is in a column; templates turn it into SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from beanft.ml.profile import ColumnProfile

MOST_BARS = 16
FEW_NUMBERS = 12  # so many different ones get a bar each


@dataclass(frozen=True, slots=True)
class SparkBar:
    """A bar in a picture 100 wide and 24 high: its left edge, width, top and height."""

    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Spark:
    """A picture: its bars, and a sentence for who can't see them."""

    bars: tuple[SparkBar, ...]
    label: str


def _bars(sizes: Sequence[float]) -> tuple[SparkBar, ...]:
    largest, step = max(sizes), 100 / len(sizes)
    found = []
    for index, size in enumerate(sizes):
        height = max(24 * size / largest, 1.0) if size > 0 else 0.0
        width = min(step * 0.85, 12.0)
        x = index * step if step < 14 else index * 14.0
        found.append(
            SparkBar(round(x, 2), round(width, 2), round(24 - height, 2), round(height, 2))
        )
    return tuple(found)


def share_below(quantiles: Sequence[float], value: float) -> float:
    """Return about which share of numbers is below a value, by the deciles around it.

    ``quantiles`` are minimum, nine deciles and maximum; between two, numbers are taken to lie
    evenly.
    """
    last = len(quantiles) - 1
    if value >= quantiles[-1]:
        return 1.0
    for index in range(last - 1, -1, -1):
        low, high = quantiles[index], quantiles[index + 1]
        if value >= low and high > low:
            return (index + (value - low) / (high - low)) / last
    return 0.0


def histogram(quantiles: Sequence[float], bins: int = MOST_BARS) -> list[float]:
    """Return the shares of numbers in bins of equal width between minimum and maximum."""
    least, most = quantiles[0], quantiles[-1]
    edges = [least + (most - least) * (step / bins) for step in range(1, bins)]
    below = [0.0, *(share_below(quantiles, edge) for edge in edges), 1.0]
    return [max(high - low, 0.0) for low, high in pairwise(below)]


def _binned(counts: Mapping[float, int], bins: int = MOST_BARS) -> list[int]:
    """Return how many of the counted numbers are in each of some bins of equal width."""
    least, most = min(counts), max(counts)
    found = [0] * bins
    for value, count in counts.items():
        # Each divided by itself first: the width of the whole range may be too much for a double.
        share = (value / bins - least / bins) / (most / bins - least / bins)
        found[min(int(share * bins), bins - 1)] += count
    return found


def spark(column: ColumnProfile) -> Spark | None:
    """Return the picture of a column, or None where there is nothing to see or it isn't known.

    A few values: a bar for each, numbers in their order and text by how often. Many numbers:
    their histogram, exact if they were counted, else as far as the deciles tell.
    """
    if column.counts:
        pairs = list(column.counts.items())
        top, count = pairs[0]
        if count == 1 and column.kind == "text":
            return None
        label = f"{len(pairs)} values, most often {top[:40]}: {count} rows"
        sizes: list[int] | list[float] = [rows for _value, rows in pairs[:MOST_BARS]]
        if column.kind == "number":
            numbers: Counter[float] = Counter()
            for value, rows in pairs:
                numbers[float(value)] += rows
            few = len(numbers) <= FEW_NUMBERS
            sizes = [numbers[value] for value in sorted(numbers)] if few else _binned(numbers)
        return Spark(_bars(sizes), label)
    if column.quantiles is None or column.quantiles[0] == column.quantiles[-1]:
        return None
    low, middle, high = (column.quantiles[step] for step in (1, 5, 9))
    label = f"Half of the numbers are below {middle:.6g}; most lie from {low:.6g} to {high:.6g}"
    return Spark(_bars(histogram(column.quantiles)), label)
