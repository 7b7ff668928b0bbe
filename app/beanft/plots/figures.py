"""A figure: what a browser draws, and the same as a table for whoever can't see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from beanft.plots.columns import plain

Shape = Literal["bars", "lines", "points", "boxes", "heat", "matrix"]


@dataclass(frozen=True, slots=True)
class Table:
    """The same as a table: ``numeric`` says which columns hold numbers, by position."""

    header: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture.

    ``labels`` are the positions on the axis of categories, ``titles`` the same at length.
    ``series`` is, by shape:

    - bars: ``name``, ``values`` (one for each label) and perhaps ``errors`` (± each)
    - lines, points: ``name`` and ``points`` ([x, y] each)
    - boxes: one, with ``boxes`` (``low, q1, median, q3, high, outliers`` for each label)
    - heat: one, with ``rows`` (names) and ``values`` (a row for each, None where undefined)
    - matrix: one for each group, with ``name`` and ``rows`` (a list of k numbers for each point);
      ``labels`` are the k columns

    ``options`` for the one who draws: ``edges`` (of bars that are ranges), ``stacked``,
    ``horizontal``, ``percent``, ``diagonal``, ``ordered`` (groups have an order), ``least`` and
    ``most`` (of colours or the axis).
    ``notes`` are sentences about what was left out.
    """

    key: str
    shape: Shape
    title: str
    alt: str
    table: Table
    x: str = ""
    y: str = ""
    labels: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data: Table | None = None

    @property
    def download(self) -> Table:
        """What to download: the drawn points where the table sums them up."""
        return self.data or self.table

    def to_dict(self) -> dict[str, Any]:
        """Return what a browser needs to draw it and to write the table, for JSON."""
        names = ("shape", "title", "alt", "x", "y", "labels", "titles", "series", "options")
        return {
            **{name: getattr(self, name) for name in names},
            "notes": self.notes,
            "table": {
                "header": self.table.header,
                "rows": self.table.rows,
                "numeric": sorted(self.table.numeric),
            },
        }


def number_or_dash(value: float | None) -> str:
    """Return a number for people, a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else plain(value)


def rounded(value: float | np.floating[Any]) -> float | None:
    """Return a number with as many digits as a picture shows, None for what is none."""
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None


def count_of(number: int, thing: str) -> str:
    """Return a number with its noun: 1 row, 2 rows."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
