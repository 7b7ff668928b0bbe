"""Two columns and more: scatter, correlation, scatter matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from beanft.plots.columns import Column
from beanft.plots.figures import Figure, Table, count_of, number_or_dash, rounded
from beanft.plots.groups import Groups, one_group

Method = Literal["pearson", "spearman"]
Numbers = npt.NDArray[np.float64]

MOST_POINTS = 5000
MOST_MATRIX_POINTS = 1000
MOST_MATRIX_COLUMNS = 6
MOST_HEAT_COLUMNS = 20
MOST_RANKED = 50_000
SEED = 0


def sample_rows(rows: int, most: int) -> npt.NDArray[np.intp]:
    """Return at most ``most`` of n row numbers, rising; the same ones each time."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


def _sampled_note(shown: int, rows: int) -> list[str]:
    if shown == rows:
        return []
    return [f"A random sample of {shown} of {rows} rows is drawn."]


def correlation(x: Numbers, y: Numbers) -> float | None:
    """Return Pearson's r of two columns of n finite numbers; None where one doesn't vary."""
    if len(x) < 2:
        return None
    # Scaled first, so that squares of large numbers don't overflow.
    x, y = (values / max(float(np.abs(values).max()), 1e-300) for values in (x, y))
    dx, dy = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((dx**2).sum()) * np.sqrt((dy**2).sum()))
    if scale <= 1e-14:
        return None
    return float(np.clip((dx * dy).sum() / scale, -1, 1))


def ranks(numbers: Numbers) -> Numbers:
    """Return the ranks from 1, those of equal numbers averaged (Spearman 1904)."""
    _values, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Numbers = last - (counts - 1) / 2
    return middle[place]


def scatter(
    x: Column, y: Column, groups: Groups | None = None, *, by: str = "", key: str = "scatter"
) -> Figure:
    """Return y over x as points, at most 5000, in the groups' colours.

    Args:
        x: a number column of n rows.
        y: likewise.
        groups: of the n rows; None: one.
        by: what the groups are called after.
        key: the figure's.

    """
    groups = groups or one_group(len(x))
    there = np.flatnonzero(~(x.missing | y.missing))
    left_out = len(x) - len(there)
    shown = there[sample_rows(len(there), MOST_POINTS)]
    series, rows, data = [], [], []
    for index, name in enumerate(groups.names):
        every = there[groups.codes[there] == index]
        mine = shown[groups.codes[shown] == index]
        points = [
            [rounded(a), rounded(b)] for a, b in zip(x.numbers[mine], y.numbers[mine], strict=True)
        ]
        series.append({"name": name, "points": points})
        data += [
            [x.cell(row), y.cell(row), *([name] if by else [])] for row in map(int, mine.tolist())
        ]
        a, b = x.numbers[every], y.numbers[every]
        figures = (a.mean(), a.std(), b.mean(), b.std()) if len(every) else (None,) * 4
        rows.append(
            [name, str(len(every)), *map(number_or_dash, figures), _three(correlation(a, b))]
        )
    header = [by, "rows", f"mean of {x.name}", "±", f"mean of {y.name}", "±", "correlation"]
    notes = _sampled_note(len(shown), len(there))
    if left_out:
        notes.append(f"{count_of(left_out, 'row')} without one of the two values not drawn.")
    title = f"{y.name} over {x.name}"
    return Figure(
        key=key,
        shape="points",
        title=title,
        alt=f"Points: {title}{f', coloured by {by}' if by else ''}. {len(shown)} rows.",
        table=Table(header, rows, frozenset(range(1, 7))),
        x=x.name,
        y=y.name,
        series=series,
        options={"ordered": groups.ordered},
        notes=notes,
        data=Table([x.name, y.name, *([by] if by else [])], data),
    )


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def correlations(columns: Sequence[Column], method: Method) -> Figure:
    """Return the correlation of each two of k number columns, by the rows that have both."""
    notes, taken = [], list(columns)
    rows = len(columns[0])
    if method == "spearman" and rows > MOST_RANKED:
        taken = [column.take(sample_rows(rows, MOST_RANKED)) for column in columns]
        notes.append(f"Of a random sample of {MOST_RANKED} of {rows} rows.")
    if any(column.missing.any() for column in taken):
        notes.append("Each pair by the rows that have both values.")
    whole = [
        ranks(c.numbers) if method == "spearman" and not c.missing.any() else None for c in taken
    ]
    size = len(taken)
    values: list[list[float | None]] = [[None] * size for _ in range(size)]
    for i, a in enumerate(taken):
        for j, b in enumerate(taken[: i + 1]):
            both = ~(a.missing | b.missing)
            x, y = a.numbers[both], b.numbers[both]
            if method == "spearman":
                known = whole[i], whole[j]
                x = ranks(x) if known[0] is None or known[1] is None else known[0]
                y = ranks(y) if known[0] is None or known[1] is None else known[1]
            found = correlation(x, y)
            values[i][j] = values[j][i] = None if found is None else round(found, 3)
    names = [column.name for column in columns]
    if any(value is None for line in values for value in line):
        notes.append("A dash: one of the two doesn't vary.")
    who = {"pearson": "Pearson's r", "spearman": "Spearman's rank correlation"}[method]
    return Figure(
        key="correlation",
        shape="heat",
        title="Correlation",
        alt=f"Heat map: {who} of each two of {', '.join(names)}.",
        table=Table(
            ["", *names],
            [[name, *map(_three, line)] for name, line in zip(names, values, strict=True)],
            frozenset(range(1, size + 1)),
        ),
        labels=names,
        series=[{"name": who, "rows": names, "values": values}],
        options={"least": -1, "most": 1},
        notes=[f"{who}: 1 and -1 are a straight line, 0 is none.", *notes]
        if method == "pearson"
        else [f"{who}: 1 and -1 are always rising and always falling.", *notes],
    )


def scatter_matrix(
    columns: Sequence[Column], groups: Groups | None = None, *, by: str = ""
) -> Figure:
    """Return each two of the first 6 of k number columns as points, at most 1000."""
    shown_columns = columns[:MOST_MATRIX_COLUMNS]
    names = [column.name for column in shown_columns]
    groups = groups or one_group(len(columns[0]))
    there = np.ones(len(columns[0]), dtype=np.bool_)
    for column in shown_columns:
        there &= ~column.missing
    complete = np.flatnonzero(there)
    shown = complete[sample_rows(len(complete), MOST_MATRIX_POINTS)]
    numbers = np.stack([column.numbers[shown] for column in shown_columns], axis=1)
    series, table, data = [], [], []
    for index, name in enumerate(groups.names):
        mine = np.flatnonzero(groups.codes[shown] == index)
        series.append(
            {"name": name, "rows": [[rounded(v) for v in line] for line in numbers[mine]]}
        )
        means = numbers[mine].mean(axis=0) if len(mine) else [None] * len(names)
        table.append([name, str(len(mine)), *map(number_or_dash, means)])
        data += [
            [*(c.cell(int(shown[row])) for c in shown_columns), *([name] if by else [])]
            for row in mine
        ]
    notes = _sampled_note(len(shown), len(complete))
    if len(complete) < len(there):
        left_out = count_of(len(there) - len(complete), "row")
        notes.append(f"{left_out} without one of the values not drawn.")
    if len(columns) > len(shown_columns):
        notes.append(f"The first {MOST_MATRIX_COLUMNS} of the {len(columns)} chosen columns.")
    header = [by, "rows drawn", *(f"mean of {name}" for name in names)]
    return Figure(
        key="matrix",
        shape="matrix",
        title="Each two columns",
        alt=f"Scatter matrix of {', '.join(names)}{f', coloured by {by}' if by else ''}. "
        f"{len(shown)} rows; on the diagonal how often each value occurs.",
        table=Table(header, table, frozenset(range(1, len(header)))),
        labels=names,
        series=series,
        options={"ordered": groups.ordered},
        notes=notes,
        data=Table([*names, *([by] if by else [])], data),
    )
