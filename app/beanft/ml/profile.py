"""Look at an uploaded table: types of columns, missing values, distinct values, first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from beanft.ml.csv_text import CsvLimits, CsvTable, Dialect, is_missing, parse_number, sniff
from beanft.ml.errors import DataError

Kind = Literal["number", "text"]
PREVIEW_ROWS = 10
MOST_COUNTED_VALUES = 50  # distinct values that are counted; a column with more isn't a class


@dataclass(slots=True)
class ColumnProfile:
    """What one column holds.

    ``counts`` maps a value to its rows, and is None when there are more than 50 values.
    ``least``, ``most`` and ``mean`` are None for text.
    """

    name: str
    kind: Kind
    missing: int
    counts: dict[str, int] | None
    least: float | None = None
    most: float | None = None
    mean: float | None = None

    @property
    def distinct(self) -> int | None:
        """Number of different values, or None when it is more than 50."""
        return None if self.counts is None else len(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


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
        """Return a form that JSON can hold."""
        return {
            "rows": self.rows,
            "dialect": self.dialect.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "preview": self.preview,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TableProfile:
        """Undo :meth:`to_dict`."""
        return cls(
            rows=data["rows"],
            dialect=Dialect(**data["dialect"]),
            columns=[ColumnProfile(**column) for column in data["columns"]],
            preview=data["preview"],
        )


class _Tally:
    """Counts one column while rows go by."""

    __slots__ = ("count", "counts", "least", "missing", "most", "name", "numeric", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.numeric = True
        self.missing = 0
        self.count = 0
        self.total = 0.0
        self.least = float("inf")
        self.most = float("-inf")
        self.counts: Counter[str] | None = Counter()

    def add(self, cell: str) -> None:
        if is_missing(cell):
            self.missing += 1
            return
        if self.counts is not None:
            self.counts[cell] += 1
            if len(self.counts) > MOST_COUNTED_VALUES:
                self.counts = None
        if not self.numeric:
            return
        number = parse_number(cell)
        if number is None:
            self.numeric = False
            return
        self.count += 1
        self.total += number
        self.least = min(self.least, number)
        self.most = max(self.most, number)

    def result(self) -> ColumnProfile:
        counts = None if self.counts is None else dict(self.counts.most_common())
        if not self.numeric or not self.count:
            return ColumnProfile(self.name, "text", self.missing, counts)
        mean = self.total / self.count
        return ColumnProfile(self.name, "number", self.missing, counts, self.least, self.most, mean)


def profile_csv(stream: BinaryIO, limits: CsvLimits) -> TableProfile:
    """Read a file once and say what it holds.

    Args:
        stream: a seekable binary file.
        limits: what is too much.

    Raises:
        DataError: it is empty, not text, ragged, over a limit, or has less than two columns.

    """
    dialect = sniff(stream)
    table = CsvTable(stream, dialect, limits)
    try:
        if len(table.header) < 2:
            raise DataError(
                "The file has one column. A data set needs at least two: something to predict "
                "from and something to predict, separated by comma, semicolon, tab or bar."
            )
        tallies = [_Tally(name) for name in table.header]
        preview: list[list[str]] = []
        rows = 0
        for cells in table:
            rows += 1
            if rows <= PREVIEW_ROWS:
                preview.append(cells)
            for tally, cell in zip(tallies, cells, strict=True):
                tally.add(cell)
    finally:
        table.close()
    if not rows:
        raise DataError("The file has a header and no rows.")
    return TableProfile(rows, dialect, [tally.result() for tally in tallies], preview)
