"""A board: filters over a table, and what the rows that pass look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beanft.config import Limits
from beanft.core.database import Database
from beanft.core.errors import UnauthorizedError
from beanft.plots.columns import Column, ColumnCache, Source, plain
from beanft.plots.distributions import histogram, nice_edges
from beanft.plots.figures import Figure, Table
from beanft.plots.groups import group_by
from beanft.plots.relations import scatter
from beanft.plots.service import dataset_source, sample_source, sample_sources
from beanft.plots.summaries import class_column
from beanft.storage.files import Storage
from beanft.uploader.service import get_dataset

Rows = npt.NDArray[np.intp]

MOST_COLUMNS = 30
MOST_TICKS = 20  # values of a column that can be ticked one by one
MOST_NUMBER_TICKS = 7
TABLE_ROWS = 50
MOST_MEANS = 6


def find_source(
    database: Database, storage: Storage, limits: Limits, user_id: str | None, source_id: str
) -> Source:
    """Return a sample, which everybody may see, or a person's data set.

    Raises:
        UnauthorizedError: it is no sample, and nobody is logged in.
        NotFoundError: there is none, or it is somebody else's.

    """
    if source_id in sample_sources():
        return sample_source(source_id)
    if user_id is None:
        raise UnauthorizedError("Log in first.")
    return dataset_source(storage, limits, get_dataset(database, user_id, source_id))


@dataclass(slots=True)
class Filter:
    """What of one column passes: a range of numbers, or ticked values.

    ``ticks`` maps the values that can be ticked to their rows; it is empty for a range. No tick
    and no bound let everything pass, missing values too.
    """

    position: int
    name: str
    ticks: dict[str, int]
    ticked: frozenset[str] = frozenset()
    least: str = ""
    most: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def active(self) -> bool:
        """True where it holds something back."""
        return bool(self.ticked) or self.low is not None or self.high is not None

    def passes(self, column: Column) -> npt.NDArray[np.bool_]:
        """Return which of n rows pass, shape (n,)."""
        if column.kind == "text":
            codes = [code for code, value in enumerate(column.values) if value in self.ticked]
            return np.isin(column.codes, codes)
        if self.ticks:
            return np.isin(column.numbers, [float(value) for value in self.ticked])
        kept = ~np.isnan(column.numbers)
        if self.low is not None:
            kept &= column.numbers >= self.low
        if self.high is not None:
            kept &= column.numbers <= self.high
        return kept


@dataclass(slots=True)
class Board:
    """A board as its form says; ``errors`` says by field what is wrong and how to mend it."""

    source: Source
    columns: dict[str, Column]
    filters: list[Filter]
    x: str = ""
    y: str = ""
    by: str = ""
    show: str = ""
    sort: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    def names(self, kind: str | None = None) -> list[str]:
        """Return the names of the columns, or of those of one kind."""
        return [c.name for c in self.columns.values() if kind is None or c.kind == kind]

    @property
    def descending(self) -> bool:
        """True where the column to sort by has a minus in front."""
        return self.sort.startswith("-") and self.sort not in self.columns

    @property
    def sorted_by(self) -> str:
        """The name of the column to sort by, or ''."""
        return self.sort[1:] if self.descending else self.sort


def _filter(position: int, column: Column) -> Filter | None:
    if column.kind == "text":
        if not 2 <= len(column.values) <= MOST_TICKS:
            return None
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        ticks = {column.values[code]: int(counts[code]) for code in np.argsort(column.values)}
        return Filter(position, column.name, ticks)
    present = column.present
    if not len(present):
        return None
    values, rows = np.unique(present, return_counts=True)
    few = len(values) <= MOST_NUMBER_TICKS and bool((values == np.round(values)).all())
    ticks = dict(zip(map(plain, values), rows.tolist(), strict=True)) if few else {}
    if len(ticks) == 1:
        return None
    return Filter(
        position, column.name, ticks, least=plain(present.min()), most=plain(present.max())
    )


def open_board(cache: ColumnCache, source: Source) -> Board:
    """Return the board of a table with nothing filtered: its first 30 columns.

    Raises:
        NotFoundError: the file is gone.
        DataError: it can't be read.

    """
    columns = cache.get(source, source.names()[:MOST_COLUMNS])
    filters = [_filter(position, column) for position, column in enumerate(columns.values())]
    numbers = [column.name for column in columns.values() if column.kind == "number"]
    classes = class_column(source.profile)
    board = Board(source, columns, [found for found in filters if found])
    # Columns of a few values make rows of points; others make a better first picture.
    spread = [found.name for found in board.filters if not found.ticks]
    axes = [*spread, *(name for name in numbers if name not in spread)]
    board.x = (axes or [""])[0]
    board.y = (axes[1:] or axes or [""])[0]
    board.by = classes.name if classes is not None and classes.name in columns else ""
    board.show = (numbers or list(columns))[0]
    return board


@dataclass(frozen=True, slots=True)
class Answer:
    """What passed: row numbers in the order of the table, figures, means, and the first rows.

    ``means`` are name, mean of the rows that passed and of all, for people.
    """

    rows: Rows
    total: int
    figures: list[Figure]
    means: list[tuple[str, str, str]]
    table: Table


def _order(board: Board, rows: Rows) -> Rows:
    column = board.columns.get(board.sorted_by)
    if column is None:
        return rows
    column = column.take(rows)
    if column.kind == "number":
        keys = column.numbers
    else:
        places = np.empty(len(column.values) + 1)
        places[np.argsort(column.values)] = np.arange(len(column.values))
        places[-1] = np.nan
        keys = places[column.codes]
    # Missing values come last, up or down.
    return rows[np.argsort(-keys if board.descending else keys, kind="stable")]


def _mean(numbers: npt.NDArray[np.float64]) -> str:
    return plain(float(f"{numbers.mean():.4g}")) if len(numbers) else "-"


def _means(board: Board, rows: Rows) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for column in board.columns.values():
        if column.kind != "number" or len(found) == MOST_MEANS:
            continue
        every, kept = column.present, column.take(rows).present
        found.append((column.name, _mean(kept), _mean(every)))
    return found


def _figures(board: Board, rows: Rows) -> list[Figure]:
    columns = board.columns
    found: list[Figure] = []
    groups = group_by(columns[board.by]).take(rows) if board.by else None
    if board.x and board.y:
        x, y = columns[board.x].take(rows), columns[board.y].take(rows)
        found.append(scatter(x, y, groups, by=board.by, key="points"))
    if board.show:
        shown = columns[board.show]
        edges = None
        if shown.kind == "number" and len(np.unique(shown.present)) > MOST_TICKS:
            edges = nice_edges(shown.present)  # of all rows, so that bars stay where they are
        kept = shown.take(rows)
        found.append(histogram(kept, groups, by=board.by, key="spread", edges=edges))
    if board.by and columns[board.by].kind == "text" and board.show != board.by:
        found.append(histogram(columns[board.by].take(rows), key="classes"))
    return found


@np.errstate(over="ignore", invalid="ignore")
def answer(board: Board) -> Answer:
    """Return what the rows that pass all filters look like."""
    total = board.source.profile.rows
    passing = np.ones(total, dtype=np.bool_)
    for chosen in board.filters:
        if chosen.active:
            passing &= chosen.passes(board.columns[chosen.name])
    rows = np.flatnonzero(passing)
    figures = _figures(board, rows)
    ordered = _order(board, rows)
    numeric = frozenset(
        index for index, column in enumerate(board.columns.values()) if column.kind == "number"
    )
    cells = [list(line) for line in _cells(board, ordered[:TABLE_ROWS])]
    table = Table(list(board.columns), cells, numeric)
    return Answer(ordered, total, figures, _means(board, rows), table)


def _cells(board: Board, rows: Rows) -> Iterator[list[str]]:
    columns = list(board.columns.values())
    for row in rows.tolist():
        yield [column.cell(row) for column in columns]


def passed_rows(board: Board, found: Answer) -> tuple[list[str], Iterator[list[str]]]:
    """Return the header and all rows that passed, to download."""
    return list(board.columns), _cells(board, found.rows)
