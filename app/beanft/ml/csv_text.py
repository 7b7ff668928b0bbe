"""Read CSV files that strangers made, under limits and with line numbers in the errors.

The standard library's reader and not pandas: the pages and the API parse files too, and
pandas reads a million columns or a compressed bomb without complaint.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self

from beanft.ml.cells import MISSING, is_missing, parse_number, safe_cell
from beanft.ml.dialect import DELIMITER_NAMES, DELIMITERS, SNIFF_BYTES, Dialect, sniff
from beanft.ml.errors import MOST_PROBLEMS, DataError, Problem
from beanft.ml.sampling import Reservoir

__all__ = [
    "DELIMITERS",
    "DELIMITER_NAMES",
    "MISSING",
    "Chunk",
    "CsvLimits",
    "CsvTable",
    "Dialect",
    "is_missing",
    "parse_number",
    "read_columns",
    "safe_cell",
    "sniff",
    "write_csv",
]

COLUMN_NAME_MAX_CHARS = 100
ROW_MAX_CHARS = 2_000_000
BLOCK_BYTES = 1 << 17
CHUNK_CHARS = 1 << 17


@dataclass(frozen=True, slots=True)
class CsvLimits:
    """Most rows, columns and characters in a cell."""

    rows: int = 2_000_000
    columns: int = 200
    cell_chars: int = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows in a row: n lists of cells as they stand in the file, and the n last lines.

    ``first`` is the number of the first of them; rows count from 1.
    """

    first: int
    rows: list[list[str]]
    lines: list[int]


def _check_header(header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    problems: list[Problem] = []
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            message = f"Column {position} has no name. Give every column a name in line 1."
            problems.append(Problem(message, line=1))
        elif len(name) > COLUMN_NAME_MAX_CHARS:
            message = f"The name of column {position} is over {COLUMN_NAME_MAX_CHARS} characters."
            problems.append(Problem(message, line=1))
        elif name in seen:
            message = f"Two columns are named {name!r}. Rename one of them."
            problems.append(Problem(message, line=1, column=name))
        seen.add(name)
    if problems:
        raise DataError(problems)
    return names


class CsvTable:
    """A CSV file: ``header`` at once, rows as they are read.

    Columns of a file without a header are ``column_1``, ``column_2`` and so on. What is in
    memory at one time is bounded, whatever the file holds: a piece of 128 kB, one row of at
    most 2 million characters, and a chunk of rows.

    Args:
        stream: a seekable binary file.
        dialect: how it is written.
        limits: what is too much.
        owned: close the stream, too, in :meth:`close`.

    Raises:
        DataError: the header is empty, doubled or too wide; while iterating: a row is ragged
            or over a limit, or the file isn't in the encoding.

    """

    def __init__(
        self, stream: BinaryIO, dialect: Dialect, limits: CsvLimits, *, owned: bool = False
    ) -> None:
        self.dialect = dialect
        self._limits = limits
        self._stream = stream
        self._owned = owned
        self._row_chars = 0  # read since the last whole row
        self._row_line = 0  # where the last whole row ended
        self._blank = 0
        stream.seek(0)
        self._reader = csv.reader(self._lines(), delimiter=dialect.delimiter)
        self._first: list[list[str]] = []
        try:
            first = next((row for row in self._reader if self._whole(row)), [])
        except csv.Error:
            raise self._unreadable("a cell is far too long") from None
        except UnicodeDecodeError:
            raise self._undecodable() from None
        if not first:
            raise DataError("The file is empty.")
        if len(first) > limits.columns:
            raise DataError(f"The file has {len(first)} columns; {limits.columns} are allowed.")
        if dialect.header:
            self.header = _check_header(first)
        else:
            self.header = [f"column_{number}" for number in range(1, len(first) + 1)]
            self._first = [first]

    def _whole(self, row: list[str]) -> bool:
        """Note that a row is whole; tell whether anything is in it."""
        self._row_chars = 0
        self._row_line = self._reader.line_num
        if row:
            return True
        self._blank += 1
        if self._blank > self._limits.rows:
            raise DataError(f"The file has more than {self._limits.rows} empty lines.")
        return False

    def _unreadable(self, why: str) -> DataError:
        line = self._row_line + 1
        return DataError([Problem(f"Line {line} can't be read: {why}.", line=line)])

    def _undecodable(self) -> DataError:
        return DataError(f"The file isn't {self.dialect.encoding} text. Choose another encoding.")

    def _lines(self) -> Iterator[str]:
        """Yield lines with their ends; cut the text in blocks, so that no line is endless."""
        decoder = codecs.getincrementaldecoder(self.dialect.encoding)()
        rest, more = "", True
        while more:
            raw = self._stream.read(BLOCK_BYTES)
            more = bool(raw)
            block = rest + decoder.decode(raw, final=not more)
            cut = len(block)
            if more:
                # A CR at the very end may be half of a CR LF.
                cut = (block.rfind("\n") + 1) or (block.rfind("\r", 0, -1) + 1)
            for line in io.StringIO(block[:cut], newline=""):
                self._row_chars += len(line)
                if self._row_chars > ROW_MAX_CHARS:
                    raise self._too_long()
                yield line
            rest = block[cut:]
            if len(rest) > ROW_MAX_CHARS:
                raise self._too_long()
        if self._row_chars:  # the reader wants more for the row that it has begun
            raise self._unreadable("a quote is not closed")

    def _too_long(self) -> DataError:
        return self._unreadable(
            f"it goes on for more than {ROW_MAX_CHARS} characters. Is this a CSV file, and is "
            "every quote closed"
        )

    def close(self) -> None:
        """Let go of the stream; close it if it is owned."""
        if self._owned:
            self._stream.close()

    def __enter__(self) -> Self:
        """Use the table for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the data rows, as wide as the header, in chunks of about 130 000 characters."""
        width, most = len(self.header), self._limits.cell_chars
        reader = self._reader
        problems: list[Problem] = []
        rows: list[list[str]] = []
        lines: list[int] = []
        count = chars = 0
        try:
            for cells in itertools.chain(self._first, reader):
                row_chars, line = self._row_chars, reader.line_num
                if not self._whole(cells):
                    continue
                count += 1
                if count > self._limits.rows:
                    raise DataError(f"The file has more than {self._limits.rows} rows.")
                if len(cells) != width:
                    cells_said = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                    wide = "the header" if self.dialect.header else "the first"
                    message = f"Line {line} has {cells_said}; {wide} has {width}."
                    problems.append(Problem(message, row=count, line=line))
                    if len(problems) >= MOST_PROBLEMS:
                        break
                    continue
                # A short row has no long cell; the first one of a file without a header was
                # counted before.
                if (row_chars > most or count == 1) and max(map(len, cells)) > most:
                    message = f"Line {line} has a cell of more than {most} characters."
                    raise DataError([Problem(message, row=count, line=line)])
                if problems:
                    continue
                rows.append(cells)
                lines.append(line)
                chars += row_chars
                if chars >= CHUNK_CHARS:
                    yield Chunk(count - len(rows) + 1, rows, lines)
                    rows, lines, chars = [], [], 0
        except csv.Error:
            raise self._unreadable("a quote is not closed or a cell is too long") from None
        except UnicodeDecodeError:
            raise self._undecodable() from None
        if problems:
            raise DataError(problems)
        if rows:
            yield Chunk(count - len(rows) + 1, rows, lines)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield one list of stripped cells for each data row, as wide as the header."""
        for chunk in self.chunks():
            for cells in chunk.rows:
                yield [cell.strip() for cell in cells]


def read_columns(
    stream: BinaryIO,
    dialect: Dialect,
    limits: CsvLimits,
    *,
    columns: Sequence[str] | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> tuple[list[str], list[list[str]]]:
    """Read a file, or a part of it that fits in memory.

    Args:
        stream: a seekable binary file.
        dialect: how it is written.
        limits: what is too much.
        columns: keep only these, in the file's order; all if None.
        sample: keep only so many rows, each as likely as any other, in the file's order; all
            if None or if there are no more. The file is read to its end all the same.
        seed: makes the sample the same each time.

    Returns:
        The header (c names), and the rows (n lists of c cells).

    Raises:
        DataError: as :class:`CsvTable`; or a column isn't there.

    """
    with CsvTable(stream, dialect, limits) as table:
        header = table.header
        keep = list(range(len(header)))
        if columns is not None:
            missing = [name for name in columns if name not in header]
            if missing:
                raise DataError(f"The file has no column {missing[0]!r}.")
            keep = [index for index, name in enumerate(header) if name in set(columns)]
        if sample is None:
            picked = (row for chunk in table.chunks() for row in chunk.rows)
        else:
            reservoir: Reservoir[tuple[int, list[str]]] = Reservoir(sample, seed)
            for chunk in table.chunks():
                reservoir.extend(list(enumerate(chunk.rows, start=chunk.first)))
            picked = (row for _number, row in sorted(reservoir.items))
        if len(keep) == len(header):
            return header, [[cell.strip() for cell in row] for row in picked]
        return [header[i] for i in keep], [[row[i].strip() for i in keep] for row in picked]


def write_csv(header: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    """Yield CSV text in pieces, with formula cells made harmless."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([safe_cell(cell) for cell in header])
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
        if buffer.tell() > SNIFF_BYTES:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
