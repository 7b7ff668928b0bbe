"""Look at an uploaded table: types of columns, missing values, distinct values, first rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from beanft.ml.cells import MISSING_CELLS, Kind, parse_number
from beanft.ml.csv_text import Chunk, CsvLimits, CsvTable
from beanft.ml.dialect import Dialect
from beanft.ml.errors import DataError, Problem
from beanft.ml.reading import Reading, find_dialect
from beanft.ml.summary import NumberSummary

__all__ = ["ColumnProfile", "Kind", "TableProfile", "profile_csv"]

PREVIEW_ROWS = 10
MOST_COUNTED_VALUES = 50  # distinct values that are counted; a column with more isn't a class
_BEFORE = ("name", "kind", "missing", "counts", "least", "most", "mean")
_SINCE = ("integer", "std", "quantiles")


@dataclass(slots=True)
class ColumnProfile:
    """What one column holds.

    ``counts`` maps a value to its rows, and is None when there are more than 50 values. The
    rest is about numbers: ``integer`` says that all are whole, ``std`` is the standard
    deviation of a sample, and ``quantiles`` are minimum, nine deciles and maximum, exact for
    up to 5000 rows. They are None for text, and where a double can't hold them; ``integer``,
    ``std`` and ``quantiles`` are unknown for files uploaded before there were any.
    """

    name: str
    kind: Kind
    missing: int
    counts: dict[str, int] | None
    least: float | None = None
    most: float | None = None
    mean: float | None = None
    integer: bool = False
    std: float | None = None
    quantiles: list[float] | None = None

    @property
    def distinct(self) -> int | None:
        """Number of different values, or None when it is more than 50."""
        return None if self.counts is None else len(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {name: getattr(self, name) for name in (*_BEFORE, *_SINCE)}


@dataclass(slots=True)
class TableProfile:
    """What a file holds: ``rows`` data rows, one profile a column, and the first rows."""

    rows: int
    dialect: Dialect
    columns: list[ColumnProfile]
    preview: list[list[str]] = field(default_factory=list)

    def column(self, name: str) -> ColumnProfile | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold.

        What came later stands beside and not in what there was before: a release before this
        one reads it, too, and takes no entry in there that it doesn't know.
        """
        return {
            "rows": self.rows,
            "dialect": {
                "delimiter": self.dialect.delimiter,
                "encoding": self.dialect.encoding,
            },
            "header": self.dialect.header,
            "columns": [{n: getattr(column, n) for n in _BEFORE} for column in self.columns],
            "details": [{n: getattr(column, n) for n in _SINCE} for column in self.columns],
            "preview": self.preview,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TableProfile:
        """Undo :meth:`to_dict`."""
        details = data.get("details") or [{} for _ in data["columns"]]
        return cls(
            rows=data["rows"],
            dialect=Dialect(**data["dialect"], header=data.get("header", True)),
            columns=[
                ColumnProfile(**column, **more)
                for column, more in zip(data["columns"], details, strict=True)
            ],
            preview=data["preview"],
        )


def _as_numbers(cells: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return n cells as numbers, or None if one isn't: ``parse_number`` of all at once."""
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    if not np.isfinite(numbers).all() or "_" in "".join(cells):
        return None
    return numbers


class _Tally:
    """Counts one column while chunks of rows go by.

    While there are at most 50 different values only those are counted, and looked at at the
    end. From then on each cell is a number, or the column is text of which only missing cells
    are counted. No step calls a function of Python's for each cell.
    """

    def __init__(self, name: str, kind: Kind | None) -> None:
        self.name = name
        self.kind = kind
        self.missing = 0
        self.counts: Counter[str] | None = Counter()
        self.numbers: NumberSummary | None = None if kind == "text" else NumberSummary()

    def add(self, cells: Sequence[str], chunk: Chunk) -> None:
        """Take the column's cells of a chunk, not stripped."""
        if self.counts is not None:
            self._count(cells, chunk)
        elif self.numbers is not None:
            self._measure(self.numbers, cells, chunk)
        else:
            self.missing += sum(map(MISSING_CELLS.__contains__, map(str.strip, cells)))

    def _count(self, cells: Sequence[str], chunk: Chunk) -> None:
        counts = self.counts = self.counts or Counter()
        for cell, count in Counter(cells).items():
            value = cell.strip()
            if value in MISSING_CELLS:
                self.missing += count
            else:
                counts[value] += count
        if self.kind == "number":
            wrong = {value for value in counts if parse_number(value) is None}
            if wrong:
                self._refuse(cells, chunk, wrong)
        if len(counts) > MOST_COUNTED_VALUES:
            self.counts = None
            if self.numbers is not None:
                self._measure_counts(counts)

    def _measure_counts(self, counts: Counter[str]) -> None:
        values = _as_numbers(list(counts))
        if values is None or self.numbers is None:
            self.numbers = None
        else:
            repeats = np.fromiter(counts.values(), np.int64, len(counts))
            self.numbers.add(np.repeat(values, repeats))

    def _measure(self, summary: NumberSummary, cells: Sequence[str], chunk: Chunk) -> None:
        numbers = _as_numbers(cells)
        if numbers is None:
            there = list(filterfalse(MISSING_CELLS.__contains__, map(str.strip, cells)))
            self.missing += len(cells) - len(there)
            numbers = _as_numbers(there)
            if numbers is None:
                if self.kind == "number":
                    wrong = {value for value in there if parse_number(value) is None}
                    self._refuse(cells, chunk, wrong)
                self.numbers = None
                return
        summary.add(numbers)

    def _refuse(self, cells: Sequence[str], chunk: Chunk, wrong: set[str]) -> None:
        """Say which cell of a column that was said to hold numbers holds none."""
        at = next(index for index, cell in enumerate(cells) if cell.strip() in wrong)
        cell, line = cells[at].strip(), chunk.lines[at]
        shown = cell if len(cell) <= 40 else f"{cell[:40]}..."
        message = f"Line {line} of {self.name!r} is not a number: {shown!r}."
        if parse_number(cell.replace(",", ".", 1)) is not None:
            message += " Write decimals with a point."
        raise DataError(
            [Problem(message, row=chunk.first + at, line=line, column=self.name, field="kinds")]
        )

    def result(self) -> ColumnProfile:
        """Return what the column holds."""
        counts = None if self.counts is None else dict(self.counts.most_common())
        if self.counts is not None and self.numbers is not None:
            self._measure_counts(self.counts)
        found = self.numbers
        if found is None or (not found.count and self.kind is None):
            return ColumnProfile(self.name, "text", self.missing, counts)
        if not found.count:
            return ColumnProfile(self.name, "number", self.missing, counts)
        return ColumnProfile(
            name=self.name,
            kind="number",
            missing=self.missing,
            counts=counts,
            least=found.least,
            most=found.most,
            mean=found.mean,
            integer=found.whole,
            std=found.std,
            quantiles=found.quantiles(),
        )


def _tallies(header: Sequence[str], reading: Reading) -> list[_Tally]:
    problems = [
        Problem(f"The file has no column {name!r}.", field="kinds", column=name)
        for name in reading.kinds
        if name not in header
    ]
    if problems:
        raise DataError(problems)
    return [_Tally(name, reading.kinds.get(name)) for name in header]


def profile_csv(
    stream: BinaryIO, limits: CsvLimits, reading: Reading | None = None
) -> TableProfile:
    """Read a file once and say what it holds.

    Args:
        stream: a seekable binary file.
        limits: what is too much.
        reading: how to read it, as far as its owner said; the rest is found out.

    Raises:
        DataError: it is empty, not text, ragged, over a limit, or has less than two columns;
            or it can't be read as its owner said, and then the problem names the field of
            ``reading`` where that is known.

    """
    dialect = find_dialect(stream, reading)
    with CsvTable(stream, dialect, limits) as table:
        if len(table.header) < 2:
            raise DataError(
                "The file has one column. A data set needs at least two: something to predict "
                "from and something to predict, separated by comma, semicolon, tab or bar."
            )
        tallies = _tallies(table.header, reading or Reading())
        preview: list[list[str]] = []
        rows = 0
        for chunk in table.chunks():
            rows += len(chunk.rows)
            if len(preview) < PREVIEW_ROWS:
                wanted = chunk.rows[: PREVIEW_ROWS - len(preview)]
                preview.extend([cell.strip() for cell in row] for row in wanted)
            for tally, cells in zip(tallies, zip(*chunk.rows, strict=True), strict=True):
                tally.add(cells, chunk)
    if not rows:
        raise DataError("The file has a header and no rows.")
    return TableProfile(rows, dialect, [tally.result() for tally in tallies], preview)
