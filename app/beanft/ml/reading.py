"""How to read a CSV file: what is found out about it, and what its owner corrected."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from beanft.ml.cells import Kind, is_missing, parse_number
from beanft.ml.dialect import (
    DELIMITER_NAMES,
    DELIMITERS,
    ENCODINGS,
    Dialect,
    check_encoding,
    detect_delimiter,
    detect_encoding,
    sample_lines,
)
from beanft.ml.errors import DataError, Problem

KINDS: tuple[Kind, ...] = ("number", "text")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the owner of a file said about it; None, or no entry, is found out.

    ``kinds`` maps names of columns to ``number`` or ``text``.
    """

    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def check(self) -> None:
        """Check that there is such a delimiter, encoding and type.

        Raises:
            DataError: with the field of each problem.

        """
        problems = []
        if self.delimiter is not None and self.delimiter not in DELIMITERS:
            names = ", ".join(DELIMITER_NAMES.values())
            problems.append(Problem(f"Choose one of {names}.", field="delimiter"))
        if self.encoding is not None and self.encoding not in ENCODINGS:
            message = f"Choose one of {', '.join(ENCODINGS)}."
            problems.append(Problem(message, field="encoding"))
        for name, kind in self.kinds.items():
            if kind not in KINDS:
                message = "Choose number or text."
                problems.append(Problem(message, field="kinds", column=name))
        if problems:
            raise DataError(problems)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "header": self.header,
            "kinds": dict(self.kinds),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Reading:
        """Undo :meth:`to_dict`; None is a reading that leaves all to be found out."""
        data = data or {}
        return cls(
            data.get("delimiter"),
            data.get("encoding"),
            data.get("header"),
            dict(data.get("kinds") or {}),
        )


def find_dialect(stream: BinaryIO, reading: Reading | None = None) -> Dialect:
    """Find out how a file is written, as far as its owner didn't say; reads all of it once.

    Raises:
        DataError: it is empty, not text, or not in the encoding that its owner chose.

    """
    reading = reading or Reading()
    reading.check()
    chosen = reading.encoding
    encoding = check_encoding(stream, chosen) if chosen else detect_encoding(stream)
    lines = sample_lines(stream, encoding)
    delimiter = reading.delimiter or detect_delimiter(lines)
    header = reading.header
    if header is None:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            rows = []  # whoever reads the table will say where
        header = has_header(rows)
    return Dialect(delimiter, encoding, header)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row has names and not values; in doubt it has names.

    It has values if it has a number, has a number wherever the rows below have only numbers,
    and nowhere else. Whole numbers that count up (``0``, ``1``, ``2`` or years) are names:
    programs write such headers.
    """
    if len(rows) < 2:
        return True
    first = rows[0]
    numbers = [parse_number(cell) for cell in first]
    known = [number for number in numbers if number is not None]
    if not known:
        return True
    whole = all(number == int(number) for number in known)
    if len(known) > 1 and whole and known == [known[0] + step for step in range(len(known))]:
        return True
    for index, cell in enumerate(first):
        below = [row[index] for row in rows[1:] if len(row) == len(first)]
        values = [other for other in below if not is_missing(other)]
        numeric = bool(values) and all(parse_number(value) is not None for value in values)
        if numeric != (numbers[index] is not None) and not is_missing(cell) and values:
            return True
    return False
