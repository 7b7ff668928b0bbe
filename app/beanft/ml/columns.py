"""A CSV file as columns: fewer objects than rows, and what is done to a cell is done to many."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from beanft.ml.cells import FORMULA_STARTS, safe_cell
from beanft.ml.csv_text import CsvLimits, CsvTable, Dialect

CHUNK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Columns:
    """A table: c names, and c columns of n stripped cells."""

    header: list[str]
    columns: list[list[str]]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns[0]) if self.columns else 0


def read_file(stream: BinaryIO, dialect: Dialect, limits: CsvLimits) -> Columns:
    """Read a whole file.

    Raises:
        DataError: as :class:`CsvTable`.

    """
    with CsvTable(stream, dialect, limits) as table:
        columns: list[list[str]] = [[] for _ in table.header]
        for chunk in table.chunks():
            for column, cells in zip(columns, zip(*chunk.rows, strict=True), strict=True):
                column.extend(map(str.strip, cells))
        return Columns(table.header, columns)


def safe_column(cells: Sequence[str]) -> Sequence[str]:
    """Return n cells that no spreadsheet takes for formulas, as :func:`safe_cell`."""
    if FORMULA_STARTS.isdisjoint([cell[:1] for cell in cells]):
        return cells
    return [safe_cell(cell) for cell in cells]


def write_file(header: Sequence[str], columns: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield CSV text of c columns of n cells in pieces; make cells safe before."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    for start in range(0, len(columns[0]) if columns else 0, CHUNK_ROWS):
        writer.writerows(
            zip(*(column[start : start + CHUNK_ROWS] for column in columns), strict=True)
        )
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
