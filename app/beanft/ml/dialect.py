"""Find out how a CSV file is written: its encoding and what stands between its cells."""

from __future__ import annotations

import codecs
import csv
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from beanft.ml.errors import DataError, Problem

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Western (Windows-1252)",
    "latin-1": "Western (ISO 8859-1)",
    "cp1250": "Central European (Windows-1250)",
    "cp1251": "Cyrillic (Windows-1251)",
    "cp1253": "Greek (Windows-1253)",
    "cp1254": "Turkish (Windows-1254)",
    "shift_jis": "Japanese (Shift JIS)",
    "gb18030": "Chinese (GB 18030)",
}
CHUNK_BYTES = 1 << 20
SNIFF_BYTES = 1 << 16
SNIFF_LINES = 30
# Every control character but TAB, LF, FF and CR: no text file has them.
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13})
_NOT_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    ``delimiter`` is one of ``DELIMITERS``, ``encoding`` a codec, and ``header`` says whether
    the first line has the names of the columns.
    """

    delimiter: str
    encoding: str
    header: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return asdict(self)


def _start(stream: BinaryIO) -> bytes:
    stream.seek(0)
    start = stream.read(4)
    if not start:
        raise DataError("The file is empty.")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("The file is UTF-16 text. Save it as UTF-8 and upload it again.")
    stream.seek(0)
    return start


def _refuse_binary(chunk: bytes) -> None:
    if len(chunk.translate(None, _CONTROL)) != len(chunk):
        raise DataError(
            "This is not a CSV file: it holds bytes that no text has. "
            "Export the table as CSV and upload that."
        )


def detect_encoding(stream: BinaryIO) -> str:
    """Return UTF-8, with or without mark, if all of a file is that, else what else it may be.

    Raises:
        DataError: it is empty, or not text.

    """
    encoding = "utf-8-sig" if _start(stream).startswith(codecs.BOM_UTF8) else "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    unicode = western = True
    more = True
    while more:
        chunk = stream.read(CHUNK_BYTES)
        more = bool(chunk)
        _refuse_binary(chunk)
        if unicode:
            try:
                decoder.decode(chunk, final=not more)
            except UnicodeDecodeError:
                unicode = False
        if western:
            western = not any(byte in chunk for byte in _NOT_IN_CP1252)
    if unicode:
        return encoding
    # latin-1 decodes anything, so it comes last.
    return "cp1252" if western else "latin-1"


def check_encoding(stream: BinaryIO, encoding: str) -> str:
    """Return a chosen encoding (UTF-8 with its mark, where there is one) if it fits.

    Raises:
        DataError: the file is empty or not text, or not in this encoding; then the line is
            named.

    """
    if _start(stream).startswith(codecs.BOM_UTF8) and encoding == "utf-8":
        encoding = "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    more = True
    while more:
        chunk = stream.read(CHUNK_BYTES)
        more = bool(chunk)
        _refuse_binary(chunk)
        try:
            decoder.decode(chunk, final=not more)
        except UnicodeDecodeError as error:
            line += bytes(error.object[: error.start]).count(b"\n")
            label = ENCODINGS.get(encoding, "UTF-8")
            message = f"Line {line} can't be read as {label}. Choose another encoding."
            raise DataError([Problem(message, line=line, field="encoding")]) from None
        line += chunk.count(b"\n")
    return encoding


def sample_lines(stream: BinaryIO, encoding: str) -> list[str]:
    """Return the first lines of a file, whole ones where there are any: at most 30.

    Raises:
        DataError: there is nothing but white space.

    """
    stream.seek(0)
    head = stream.read(SNIFF_BYTES + 1)
    stream.seek(0)
    sample = head[:SNIFF_BYTES].decode(encoding, errors="ignore")
    if not sample.strip():
        raise DataError("The file is empty.")
    lines = sample.splitlines(keepends=True)
    if len(head) > SNIFF_BYTES and len(lines) > 1:
        lines = lines[:-1]  # the last one is cut off
    return lines[:SNIFF_LINES]


def detect_delimiter(lines: list[str]) -> str:
    """Return the delimiter that cuts most lines into as many cells as the first, at least two."""
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
    """Find out how a file with a header is written; reads all of it once, in small pieces.

    Raises:
        DataError: it is empty, or not text.

    """
    encoding = detect_encoding(stream)
    return Dialect(detect_delimiter(sample_lines(stream, encoding)), encoding)
