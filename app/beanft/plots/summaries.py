"""A data set at one look: types, missing values, classes, distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beanft.ml.profile import ColumnProfile, TableProfile
from beanft.plots.columns import Column
from beanft.plots.distributions import histogram
from beanft.plots.figures import Figure, Table, count_of

MOST_MISSING_BARS = 20
MOST_CLASSES = 30
MOST_DISTRIBUTIONS = 24


def class_column(profile: TableProfile) -> ColumnProfile | None:
    """Return the column that most likely names classes: the last text with 2 to 30 values."""
    fitting = [c for c in profile.columns if c.distinct and 2 <= c.distinct <= MOST_CLASSES]
    words = [column for column in fitting if column.kind == "text"]
    fitting = words or fitting
    return fitting[-1] if fitting else None


def types(profile: TableProfile) -> Figure:
    """Return how many columns are numbers, how many have up to 50 values, how many are text."""
    numbers = [column for column in profile.columns if column.kind == "number"]
    few = [c for c in profile.columns if c.kind == "text" and c.distinct is not None]
    many = [c for c in profile.columns if c.kind == "text" and c.distinct is None]
    kinds = {"numbers": numbers, "categories": few, "free text": many}
    named = {name: columns for name, columns in kinds.items() if columns}
    rows = [[n, str(len(c)), ", ".join(column.name for column in c)] for n, c in named.items()]
    said = ", ".join(f"{len(columns)} {name}" for name, columns in named.items())
    return Figure(
        key="types",
        shape="bars",
        title="Types",
        alt=f"Bars: columns of each type. {said}.",
        table=Table(["type", "columns", "which"], rows, frozenset({1})),
        y="columns",
        labels=list(named),
        series=[{"name": "columns", "values": [len(columns) for columns in named.values()]}],
        options={"horizontal": True},
    )


def missing_values(profile: TableProfile) -> Figure:
    """Return the share of missing values in each column that lacks some."""
    lacking = sorted((c for c in profile.columns if c.missing), key=lambda c: -c.missing)
    rows = [[c.name, str(c.missing), f"{100 * c.missing / profile.rows:.1f} %"] for c in lacking]
    shown = lacking[:MOST_MISSING_BARS]
    notes = []
    if not lacking:
        notes.append("No value is missing.")
    if len(shown) < len(lacking):
        notes.append(f"The {len(shown)} columns of {len(lacking)} that lack most.")
    return Figure(
        key="missing",
        shape="bars",
        title="Missing values",
        alt=f"Bars: share of missing values. {count_of(len(lacking), 'column')} with some.",
        table=Table(["column", "missing", "of all rows"], rows, frozenset({1, 2})),
        y="share of rows",
        labels=[column.name for column in shown],
        series=[{"name": "missing", "values": [round(c.missing / profile.rows, 4) for c in shown]}],
        options={"horizontal": True, "percent": True, "tone": "bad"},
        notes=notes,
    )


def balance(name: str, counts: Mapping[str, int], missing: int = 0) -> Figure:
    """Return how many rows each class has."""
    total = sum(counts.values()) or 1
    rows = [[value, str(n), f"{100 * n / total:.1f} %"] for value, n in counts.items()]
    notes = [f"{count_of(missing, 'row')} without a class."] if missing else []
    return Figure(
        key="balance",
        shape="bars",
        title=f"Classes of {name}",
        alt=f"Bars: rows of each of the {len(counts)} classes of {name}.",
        table=Table([name, "rows", "share"], rows, frozenset({1, 2})),
        y="rows",
        labels=list(counts),
        series=[{"name": "rows", "values": list(counts.values())}],
        options={"horizontal": len(counts) > 4, "each": True},
        notes=notes,
    )


def distributed(profile: TableProfile) -> list[str]:
    """Return the names of the columns whose distributions are shown: the first 24."""
    fitting = [c for c in profile.columns if c.kind == "number" or c.counts is not None]
    return [column.name for column in fitting[:MOST_DISTRIBUTIONS]]


def dataset_figures(profile: TableProfile, columns: Sequence[Column]) -> list[Figure]:
    """Return the figures of a data set, given the columns that ``distributed`` names."""
    figures = [types(profile), missing_values(profile)]
    classes = class_column(profile)
    if classes is not None and classes.counts:
        figures.append(balance(classes.name, classes.counts, classes.missing))
    shown = [column for column in columns if classes is None or column.name != classes.name]
    figures += [histogram(column, key=f"column_{n}") for n, column in enumerate(shown, start=1)]
    return figures
