"""What to look at, and the figures of it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import numpy as np

from beanft.config import Limits
from beanft.core.errors import NotFoundError
from beanft.ml.csv_text import CsvLimits
from beanft.ml.profile import profile_csv
from beanft.plots.columns import Column, ColumnCache, Source
from beanft.plots.distributions import boxes, histogram
from beanft.plots.figures import Figure
from beanft.plots.groups import Groups, group_by
from beanft.plots.relations import Method, correlations, scatter, scatter_matrix
from beanft.plots.summaries import dataset_figures, distributed
from beanft.storage.files import Storage
from beanft.training.sample import SAMPLES
from beanft.uploader.models import Dataset
from beanft.uploader.service import csv_limits

SAMPLE_TITLES = {
    "iris": "Iris: flowers of three species",
    "mtcars": "mtcars: 32 cars of 1974",
    "diabetes": "Diabetes: its course after a year",
}


def dataset_source(storage: Storage, limits: Limits, dataset: Dataset) -> Source:
    """Return a person's data set as something to look at."""
    reading = json.dumps(dataset.reading_data, sort_keys=True)
    return Source(
        id=dataset.id,
        name=dataset.name,
        key=f"{dataset.storage_key} {hashlib.sha256(reading.encode()).hexdigest()[:16]}",
        profile=dataset.profile,
        limits=csv_limits(limits),
        open=functools.partial(storage.open, dataset.storage_key),
    )


@functools.cache
def sample_sources() -> dict[str, Source]:
    """Return the samples that come with the site."""
    found = {}
    for name in SAMPLE_TITLES:
        path = SAMPLES / f"{name}.csv"
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            profile = profile_csv(stream, CsvLimits())
        opener = cast("Callable[[], BinaryIO]", functools.partial(path.open, "rb"))
        found[name] = Source(name, f"{name}.csv", f"sample {name}", profile, CsvLimits(), opener)
    return found


def sample_source(name: str) -> Source:
    """Return a sample.

    Raises:
        NotFoundError: there is none of that name.

    """
    try:
        return sample_sources()[name]
    except KeyError:
        raise NotFoundError("There is no such data set.") from None


@dataclass(slots=True)
class Choice:
    """What a form chose; ``errors`` says by field what can't be drawn and how to mend it."""

    errors: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PlotChoice(Choice):
    """One column, as ``kind`` says: ``histogram`` or ``box``; ``bins`` None means by itself."""

    column: str = ""
    by: str = ""
    kind: str = "histogram"
    bins: int | None = None


@dataclass(slots=True)
class ScatterChoice(Choice):
    """Two number columns, and one for the colour or ''."""

    x: str = ""
    y: str = ""
    by: str = ""


@dataclass(slots=True)
class ManyChoice(Choice):
    """Two number columns and more, one for the colour or '', and a method of correlation."""

    columns: Sequence[str] = ()
    by: str = ""
    method: Method = "pearson"


def _grouped(columns: dict[str, Column], by: str) -> Groups | None:
    return group_by(columns[by]) if by else None


def _named(*names: str) -> list[str]:
    return [name for name in names if name]


# What doesn't fit a float comes out as infinite, which the figures show as a dash.
_calm = np.errstate(over="ignore", invalid="ignore")


@_calm
def plot_figures(cache: ColumnCache, source: Source, choice: PlotChoice) -> list[Figure]:
    """Return a histogram or boxes of a column."""
    columns = cache.get(source, _named(choice.column, choice.by))
    groups = _grouped(columns, choice.by)
    if choice.kind == "box":
        return [boxes(columns[choice.column], groups, by=choice.by)]
    return [histogram(columns[choice.column], groups, bins=choice.bins, by=choice.by)]


@_calm
def scatter_figures(cache: ColumnCache, source: Source, choice: ScatterChoice) -> list[Figure]:
    """Return a scatter of two columns."""
    columns = cache.get(source, _named(choice.x, choice.y, choice.by))
    groups = _grouped(columns, choice.by)
    return [scatter(columns[choice.x], columns[choice.y], groups, by=choice.by)]


@_calm
def many_figures(cache: ColumnCache, source: Source, choice: ManyChoice) -> list[Figure]:
    """Return correlations and a scatter matrix of two columns and more."""
    columns = cache.get(source, _named(*choice.columns, choice.by))
    numbers = [columns[name] for name in choice.columns]
    groups = _grouped(columns, choice.by)
    return [correlations(numbers, choice.method), scatter_matrix(numbers, groups, by=choice.by)]


@_calm
def chart_figures(cache: ColumnCache, source: Source) -> list[Figure]:
    """Return a data set's figures at one look."""
    columns = cache.get(source, distributed(source.profile))
    return dataset_figures(source.profile, list(columns.values()))
