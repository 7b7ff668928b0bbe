"""The choices of the pages of plots, read from a GET form; what is left open is chosen here."""

from __future__ import annotations

from typing import cast

from werkzeug.datastructures import MultiDict

from beanft.core.sent import meant
from beanft.plots.columns import Source
from beanft.plots.distributions import LEAST_BINS, MOST_BINS
from beanft.plots.relations import MOST_HEAT_COLUMNS, MOST_MATRIX_COLUMNS, Method
from beanft.plots.service import Choice, ManyChoice, PlotChoice, ScatterChoice
from beanft.plots.summaries import class_column

Sent = MultiDict[str, str]
KINDS = {"histogram": "Histogram", "box": "Boxes"}
METHODS = {"pearson": "Pearson (straight lines)", "spearman": "Spearman (ranks)"}


def _column(choice: Choice, source: Source, sent: Sent, field: str, preset: str) -> str:
    """Return the column that a field names, or the preset where it wasn't sent."""
    name = meant(source.names(), sent.get(field, preset))
    if name and source.profile.column(name) is None:
        choice.errors[field] = f"There is no column {name[:100]!r}. Choose one of the list."
    return name


def _number_column(choice: Choice, source: Source, sent: Sent, field: str, preset: str) -> str:
    name = _column(choice, source, sent, field, preset)
    found = source.profile.column(name)
    if found is not None and found.kind != "number":
        choice.errors[field] = f"{name!r} is text. Choose a column of numbers."
    elif not name:
        choice.errors[field] = "Choose a column of numbers."
    return name


def _by(choice: Choice, source: Source, sent: Sent, besides: set[str]) -> str:
    classes = class_column(source.profile)
    preset = classes.name if classes is not None and classes.name not in besides else ""
    return _column(choice, source, sent, "by", preset)


def read_plot(source: Source, sent: Sent) -> PlotChoice:
    """Return which column to draw, and how."""
    choice = PlotChoice()
    first = (source.names("number") or source.names())[0]
    choice.column = _column(choice, source, sent, "column", first) or first
    choice.by = _by(choice, source, sent, {choice.column})
    choice.kind = sent.get("kind", "histogram")
    column = source.profile.column(choice.column)
    if choice.kind not in KINDS:
        choice.errors["kind"] = "Choose a histogram or boxes."
    elif choice.kind == "box" and column is not None and column.kind == "text":
        choice.errors["kind"] = f"{choice.column!r} is text, and boxes are of numbers. Choose "
        choice.errors["kind"] += "a histogram, or another column."
    bins = sent.get("bins", "").strip()
    if bins:
        try:
            choice.bins = int(bins)
        except ValueError:
            choice.bins = 0
        if not LEAST_BINS <= choice.bins <= MOST_BINS:
            choice.errors["bins"] = f"Use a whole number from {LEAST_BINS} to {MOST_BINS}, or none."
    return choice


def read_scatter(source: Source, sent: Sent) -> ScatterChoice:
    """Return which two columns to draw."""
    choice = ScatterChoice()
    numbers = source.names("number")
    choice.x = _number_column(choice, source, sent, "x", (numbers or [""])[0])
    choice.y = _number_column(choice, source, sent, "y", (numbers[1:] or numbers or [""])[0])
    choice.by = _by(choice, source, sent, {choice.x, choice.y})
    return choice


def read_many(source: Source, sent: Sent) -> ManyChoice:
    """Return which columns to compare."""
    choice = ManyChoice()
    ticked = (meant(source.names(), name) for name in sent.getlist("columns"))
    sent_columns = list(dict.fromkeys(ticked))
    choice.columns = sent_columns or source.names("number")[:MOST_MATRIX_COLUMNS]
    for name in choice.columns:
        _number_column(choice, source, MultiDict({"columns": name}), "columns", "")
    if len(choice.columns) < 2 and "columns" not in choice.errors:
        choice.errors["columns"] = "Choose two columns of numbers or more."
    elif len(choice.columns) > MOST_HEAT_COLUMNS:
        choice.errors["columns"] = f"Choose {MOST_HEAT_COLUMNS} columns at most."
    choice.by = _by(choice, source, sent, set(choice.columns))
    choice.method = cast("Method", sent.get("method", "pearson"))
    if choice.method not in METHODS:
        choice.errors["method"] = "Choose Pearson or Spearman."
    return choice
