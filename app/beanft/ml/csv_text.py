"""Read CSV files that strangers made, under limits and with line numbers in the errors.

The standard library's reader and not pandas: the pages and the API parse files too, and
pandas reads a million columns or a compressed bomb without complaint.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from beanft.ml.errors import MOST_PROBLEMS, DataError, Problem

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
CHUNK_BYTES = 1 << 20
SNIFF_BYTES = 1 << 16
SNIFF_LINES = 30
COLUMN_NAME_MAX_CHARS = 100
# Every control character but TAB, LF, FF and CR: no text file has them.
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13})


@dataclass(frozen=True, slots=True)
class CsvLimits:
    """Most rows, columns and characters in a cell."""

    rows: int = 200_000
    columns: int = 200
    cell_chars: int = 10_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written: ``delimiter`` is one of ``DELIMITERS``, ``encoding`` a codec."""

    delimiter: str
    encoding: str

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return asdict(self)


def is_missing(cell: str) -> bool:
    """Tell whether a cell stands for no value: empty, NA, NaN, null, none or ``?``."""
    return cell.strip().lower() in MISSING


def parse_number(cell: str) -> float | None:
    """Return the finite number a cell holds, or None.

    Python's own leniency (``1_000``, ``inf``) is not shared.
    """
    try:
        number = float(cell)
    except ValueError:
        return None
    if "_" in cell or number - number != 0:
        return None
    return number


def _detect_encoding(stream: BinaryIO) -> str:
    start = stream.read(4)
    if not start:
        raise DataError("The file is empty.")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("The file is UTF-16 text. Save it as UTF-8 and upload it again.")
    encoding = "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"
    decoders = {name: codecs.getincrementaldecoder(name)() for name in (encoding, "cp1252")}
    stream.seek(0)
    while chunk := stream.read(CHUNK_BYTES):
        if len(chunk.translate(None, _CONTROL)) != len(chunk):
            raise DataError(
                "This is not a CSV file: it holds bytes that no text has. "
                "Export the table as CSV and upload that."
            )
        for name in list(decoders):
            try:
                decoders[name].decode(chunk)
            except UnicodeDecodeError:
                del decoders[name]
    if encoding in decoders:
        try:
            decoders[encoding].decode(b"", final=True)
        except UnicodeDecodeError:
            del decoders[encoding]
    # latin-1 decodes anything, so it comes last.
    return next(iter(decoders), "latin-1")


def _detect_delimiter(sample: str, *, whole: bool) -> str:
    lines = sample.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines = lines[:-1]  # the last one is cut off
    lines = lines[:SNIFF_LINES]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def sniff(stream: BinaryIO) -> Dialect:
    """Find out how a file is written; reads all of it once, in small pieces.

    Raises:
        DataError: it is empty, or not text.

    """
    stream.seek(0)
    encoding = _detect_encoding(stream)
    stream.seek(0)
    head = stream.read(SNIFF_BYTES + 1)
    sample = head[:SNIFF_BYTES].decode(encoding, errors="ignore")
    if not sample.strip():
        raise DataError("The file is empty.")
    stream.seek(0)
    return Dialect(_detect_delimiter(sample, whole=len(head) <= SNIFF_BYTES), encoding)


def _check_header(header: list[str], limits: CsvLimits) -> list[str]:
    if len(header) > limits.columns:
        raise DataError(f"The file has {len(header)} columns; {limits.columns} are allowed.")
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

    Raises:
        DataError: the header is empty, doubled or too wide; while iterating: a row is ragged
            or over a limit.

    """

    def __init__(self, stream: BinaryIO, dialect: Dialect, limits: CsvLimits) -> None:
        self.dialect = dialect
        self._limits = limits
        stream.seek(0)
        text = io.TextIOWrapper(stream, encoding=dialect.encoding, newline="")
        self._text = text
        self._reader = csv.reader(text, delimiter=dialect.delimiter)
        try:
            header = next((row for row in self._reader if row), [])
        except csv.Error:
            raise DataError(
                [Problem("Line 1 can't be read: a cell is far too long.", line=1)]
            ) from None
        self.header = _check_header(header, limits)
        if not self.header:
            raise DataError("The file is empty.")

    def close(self) -> None:
        """Let go of the stream without closing it."""
        self._text.detach()

    def __iter__(self) -> Iterator[list[str]]:
        """Yield one list of stripped cells for each data row, as wide as the header."""
        width, most = len(self.header), self._limits.cell_chars
        problems: list[Problem] = []
        count = 0
        try:
            for cells in self._reader:
                if not cells:
                    continue
                count += 1
                if count > self._limits.rows:
                    raise DataError(f"The file has more than {self._limits.rows} rows.")
                if len(cells) != width:
                    line = self._reader.line_num
                    message = f"Line {line} has {len(cells)} cells; the header has {width}."
                    problems.append(Problem(message, row=count, line=line))
                    if len(problems) >= MOST_PROBLEMS:
                        break
                    continue
                if max(map(len, cells)) > most:
                    line = self._reader.line_num
                    message = f"Line {line} has a cell of more than {most} characters."
                    raise DataError([Problem(message, row=count, line=line)])
                if not problems:
                    yield [cell.strip() for cell in cells]
        except csv.Error:
            line = self._reader.line_num
            message = f"Line {line} can't be read: a quote is not closed or a cell is too long."
            raise DataError([Problem(message, line=line)]) from None
        if problems:
            raise DataError(problems)


def read_columns(
    stream: BinaryIO, dialect: Dialect, limits: CsvLimits
) -> tuple[list[str], list[list[str]]]:
    """Read a whole file.

    Returns:
        The header (c names), and the rows (n lists of c cells).

    Raises:
        DataError: as :class:`CsvTable`.

    """
    table = CsvTable(stream, dialect, limits)
    try:
        return table.header, list(table)
    finally:
        table.close()


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers stay as they are."""
    if cell.startswith(_FORMULA) and parse_number(cell) is None:
        return "'" + cell
    return cell


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
