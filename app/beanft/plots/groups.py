"""Split rows into a few groups by a column, for colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beanft.plots.columns import Column, plain

MOST_GROUPS = 7  # as many as there are colours that everybody can tell apart, without grey
PARTS = 5  # of a number column with many values
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Groups:
    """Names of g groups, and for each of n rows the number of its group (int32, shape (n,)).

    ``ordered`` groups are ranges of numbers or values with an order; the last group may be that
    of missing values.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    ordered: bool = False

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Groups:
        """Return the groups of these rows alone."""
        return Groups(self.names, self.codes[rows], self.ordered)


def one_group(rows: int, name: str = "rows") -> Groups:
    """Return all rows as one group."""
    return Groups((name,), np.zeros(rows, dtype=np.int32))


def group_by(column: Column) -> Groups:
    """Return groups by the values of a column, at most 7 and one for missing values.

    The rarest values of text are put together. Numbers of more than 7 values are split at
    their quintiles.
    """
    if column.kind == "text":
        names, codes, ordered = _by_text(column)
    else:
        names, codes, ordered = _by_number(column)
    missing = column.missing
    if missing.any():
        codes[missing] = len(names)
        names = [*names, MISSING]
    return Groups(tuple(names), codes, ordered)


def _by_text(column: Column) -> tuple[list[str], npt.NDArray[np.int32], bool]:
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
    order = sorted(range(len(counts)), key=lambda code: (-counts[code], column.values[code]))
    order = [code for code in order if counts[code]]
    kept = order if len(order) <= MOST_GROUPS else order[: MOST_GROUPS - 1]
    names = [column.values[code] for code in kept]
    place = np.full(len(counts) + 1, len(kept), dtype=np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    if len(kept) < len(order):
        names.append(f"{len(order) - len(kept)} others")
    return names, place[column.codes], False


def _by_number(column: Column) -> tuple[list[str], npt.NDArray[np.int32], bool]:
    present = column.present
    values = np.unique(present)
    numbers = np.nan_to_num(column.numbers)
    if len(values) <= MOST_GROUPS:
        codes = np.searchsorted(values, numbers).astype(np.int32)
        return [plain(value) for value in values], codes, True
    cuts = np.unique(np.quantile(present, np.arange(1, PARTS) / PARTS))
    cuts = cuts[cuts > values[0]]
    ends = [*cuts, values[-1]]
    if bool((values == np.round(values)).all()):
        cuts = np.ceil(cuts)
        ends = [*(cuts - 1), values[-1]]
    names = [
        f"{plain(low)} to {plain(high)}" if low < high else plain(low)
        for low, high in zip([values[0], *cuts], ends, strict=True)
    ]
    return names, np.searchsorted(cuts, numbers, side="right").astype(np.int32), True
