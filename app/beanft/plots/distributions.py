"""Histograms, counts of values, and boxes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from beanft.plots.columns import Column, plain
from beanft.plots.figures import Figure, Table, count_of, number_or_dash, rounded
from beanft.plots.groups import Groups, one_group

LEAST_BINS, MOST_BINS = 2, 100
AUTO_BINS = (5, 40)
MOST_WHOLE = 20  # whole numbers of up to so many values get a bar each
MOST_BARS = 30
MOST_OUTLIERS = 40  # drawn for each box
HUGE = 1e307


def nice_edges(
    numbers: npt.NDArray[np.float64], bins: int | None = None
) -> npt.NDArray[np.float64]:
    """Return edges of bars at round numbers, rising, that hold all m numbers; m ≥ 1.

    Args:
        numbers: finite, shape (m,).
        bins: about how many bars; None: by the rule of Freedman and Diaconis, *On the histogram
            as a density estimator* (1981), or by that of Sturges, *The choice of a class interval*
            (1926), whichever gives more; 5 to 40.

    """
    least, most = float(numbers.min()), float(numbers.max())
    if least == most:
        half = max(abs(least) * 0.05, 0.5)
        return np.array([least - half, least + half])
    spread = most - least
    if not math.isfinite(spread):
        # Numbers near both ends of what a float holds: two bars are all that can be had.
        return np.array([least, 0.0, most])
    if bins is None:
        q1, q3 = np.quantile(numbers, [0.25, 0.75])
        width = 2 * float(q3 - q1) / len(numbers) ** (1 / 3)
        wanted = max(spread / width if width > 0 else 0, math.log2(len(numbers)) + 1)
        bins = round(min(max(wanted, AUTO_BINS[0]), AUTO_BINS[1]))
    rough = spread / bins
    size = 10.0 ** math.floor(math.log10(rough))
    if not math.isfinite(size) or size == 0:
        return _even_edges(least, most, bins)
    steps = [size * part for part in (1, 2, 2.5, 5, 10)]
    if bool((numbers == np.round(numbers)).all()):
        # A bar of two and a half years would hold two ages or three.
        steps = [step for step in steps if step >= 1 and step == round(step)] or [1.0]
    step = min(steps, key=lambda s: abs(spread / s - bins))
    low, high = math.floor(least / step), math.ceil(most / step)
    if abs(least) / step > 2**50 or high - low > 4 * MOST_BINS:
        return _even_edges(least, most, bins)  # far from zero, round edges would collapse
    high += high == low
    edges: npt.NDArray[np.float64] = np.arange(low, high + 1, dtype=np.float64) * np.float64(step)
    return edges


def _even_edges(least: float, most: float, bins: int) -> npt.NDArray[np.float64]:
    """Return even edges between two numbers; fewer where floats are too far apart for so many."""
    return np.unique(np.linspace(least, most, bins + 1).clip(least, most))


def _whole_values(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    values = np.unique(numbers)
    if len(values) <= MOST_WHOLE and bool((values == np.round(values)).all()):
        return values
    return None


def histogram(
    column: Column,
    groups: Groups | None = None,
    *,
    bins: int | None = None,
    key: str = "histogram",
    by: str = "",
    edges: npt.NDArray[np.float64] | None = None,
) -> Figure:
    """Return how often each value of a column, or each range of values, occurs in each group.

    Args:
        column: n rows.
        groups: of the n rows; None: one.
        bins: about how many bars for numbers.
        key: the figure's.
        by: what the groups are called after.
        edges: where bars begin and end, rather than by ``bins``.

    """
    groups = groups or one_group(len(column))
    title = f"{column.name} by {by}" if by else column.name
    if column.kind == "text":
        labels, titles, counts, notes = _count_values(column, groups)
        edges = None
    else:
        labels, titles, counts, edges = _count_ranges(column, groups, bins, edges)
        notes = []
    missing = int(column.missing.sum())
    if missing:
        notes.append(f"{count_of(missing, 'row')} without a value of {column.name} not drawn.")
    single = len(groups.names) == 1
    header = [column.name, *(["rows"] if single else groups.names)]
    rows = [
        [name, *(str(int(count)) for count in counts[:, position])]
        for position, name in enumerate(titles)
    ]
    return Figure(
        key=key,
        shape="bars",
        title=title,
        alt=f"Bars: how many rows have each {'value' if edges is None else 'range of values'} of "
        f"{title}. {count_of(len(labels), 'bar')}.",
        table=Table(header, rows, frozenset(range(1, len(header)))),
        x=column.name,
        y="rows",
        labels=labels,
        titles=titles,
        series=[
            {"name": name, "values": counts[index].tolist()}
            for index, name in enumerate(groups.names)
        ],
        options={
            "edges": None if edges is None else [rounded(edge) for edge in edges],
            "stacked": not single,
            "ordered": groups.ordered,
            "horizontal": column.kind == "text" and len(labels) > 4,
        },
        notes=notes,
    )


Counts = npt.NDArray[np.int64]


def _count_values(column: Column, groups: Groups) -> tuple[list[str], list[str], Counts, list[str]]:
    width = len(column.values)
    counts = np.zeros((len(groups.names), width), dtype=np.int64)
    there = column.codes >= 0
    np.add.at(counts, (groups.codes[there], column.codes[there]), 1)
    totals = counts.sum(axis=0)
    order = sorted(range(width), key=lambda code: (-totals[code], column.values[code]))
    order = [code for code in order if totals[code]]
    notes = []
    if len(order) > MOST_BARS:
        notes.append(f"The {MOST_BARS} most frequent of {len(order)} values.")
        order = order[:MOST_BARS]
    titles = [column.values[code] for code in order]
    labels = [title if len(title) <= 24 else title[:23] + "…" for title in titles]
    return labels, titles, counts[:, order], notes


def _count_ranges(
    column: Column,
    groups: Groups,
    bins: int | None,
    edges: npt.NDArray[np.float64] | None,
) -> tuple[list[str], list[str], Counts, npt.NDArray[np.float64] | None]:
    there = ~np.isnan(column.numbers)
    numbers, codes = column.numbers[there], groups.codes[there]
    if not len(numbers):
        return [], [], np.zeros((len(groups.names), 0), dtype=np.int64), None
    whole = _whole_values(numbers) if bins is None and edges is None else None
    if whole is not None:
        counts = np.zeros((len(groups.names), len(whole)), dtype=np.int64)
        np.add.at(counts, (codes, np.searchsorted(whole, numbers)), 1)
        names = [plain(value) for value in whole]
        return names, names, counts, None
    if edges is None:
        edges = nice_edges(numbers, bins)
    # Round edges may miss the ends by the last digit of a float.
    numbers = np.clip(numbers, edges[0], edges[-1])
    counts = np.stack(
        [np.histogram(numbers[codes == index], edges)[0] for index in range(len(groups.names))]
    )
    titles = [f"{plain(low)} to {plain(high)}" for low, high in itertools.pairwise(edges)]
    return [plain(low) for low in edges[:-1]], titles, counts, edges


def five_numbers(numbers: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return a box after Tukey, *Exploratory data analysis* (1977), of m ≥ 1 finite numbers.

    ``q1``, ``median`` and ``q3``; ``low`` and ``high`` are the farthest numbers within 1.5 times
    the box's height of it; ``outliers`` are those beyond, at most 40 of them, evenly taken.
    """
    # By a quarter of each, exactly, since between numbers at the end of what a float holds is no number.
    scale = 4.0 if np.abs(numbers).max() > HUGE else 1.0
    q1, median, q3 = np.quantile(numbers / scale, [0.25, 0.5, 0.75]) * scale
    reach = 1.5 * (q3 - q1)
    inside = numbers[(numbers >= q1 - reach) & (numbers <= q3 + reach)]
    outside = np.sort(numbers[(numbers < q1 - reach) | (numbers > q3 + reach)])
    if len(outside) > MOST_OUTLIERS:
        outside = outside[np.linspace(0, len(outside) - 1, MOST_OUTLIERS).astype(int)]
    return {
        "low": rounded(min(inside.min(), q1)),
        "q1": rounded(q1),
        "median": rounded(median),
        "q3": rounded(q3),
        "high": rounded(max(inside.max(), q3)),
        "outliers": [rounded(value) for value in outside],
    }


def boxes(column: Column, groups: Groups | None = None, *, by: str = "") -> Figure:
    """Return a box for each group's values of a number column."""
    groups = groups or one_group(len(column), column.name)
    names, found, rows, cut = [], [], [], False
    for index, name in enumerate(groups.names):
        numbers = column.numbers[groups.codes == index]
        present = numbers[~np.isnan(numbers)]
        line = [name, str(len(present)), str(len(numbers) - len(present))]
        if not len(present):
            rows.append([*line, *["-"] * 6])
            continue
        box = five_numbers(present)
        cut |= len(box["outliers"]) == MOST_OUTLIERS
        names.append(name)
        found.append(box)
        figures = (present.min(), box["q1"], box["median"], box["q3"], present.max())
        rows.append([*line, *map(number_or_dash, (*figures, present.mean()))])
    header = [by or "", "rows", "missing", "least", "lower quarter", "median", "upper quarter"]
    header += ["most", "mean"]
    title = f"{column.name} by {by}" if by else column.name
    notes = ["A box holds the middle half, its line is the median."]
    if cut:
        notes.append(f"At most {MOST_OUTLIERS} points beyond the whiskers of each box are drawn.")
    missing = int(column.missing.sum())
    if missing:
        notes.append(f"{count_of(missing, 'row')} without a value of {column.name} not drawn.")
    return Figure(
        key="box",
        shape="boxes",
        title=title,
        alt=f"Boxes: how the values of {title} are spread. {count_of(len(names), 'box')[:-3]}"
        f"{'box' if len(names) == 1 else 'boxes'}.",
        table=Table(header, rows, frozenset(range(1, len(header)))),
        x=by,
        y=column.name,
        labels=names,
        series=[{"name": column.name, "boxes": found}],
        options={"ordered": groups.ordered},
        notes=notes,
    )
