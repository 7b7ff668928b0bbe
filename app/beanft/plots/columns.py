"""Columns of a CSV file as arrays, read in one pass and kept for a while."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from beanft.ml.csv_text import CsvLimits, CsvTable, is_missing, parse_number
from beanft.ml.profile import Kind, TableProfile

CACHE_BYTES = 64_000_000
ALL_BYTES = CACHE_BYTES // 2  # a table of less than that is read whole at the first look
CELL_BYTES = 8
TEXT_BYTES = 80  # what one Python string takes besides its characters, about
LOCKS = 16


@dataclass(frozen=True, slots=True)
class Column:
    """One column of n rows.

    A number column has ``numbers``, float64 of shape (n,) with NaN where a value is missing. A
    text column has ``codes``, int32 of shape (n,) that index ``values``, -1 where missing.
    """

    name: str
    kind: Kind
    numbers: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    values: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers if self.kind == "number" else self.codes)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Where a value is missing, shape (n,)."""
        return np.isnan(self.numbers) if self.kind == "number" else self.codes < 0

    @property
    def present(self) -> npt.NDArray[np.float64]:
        """The numbers that are there, shape (m,) with m ≤ n."""
        return self.numbers[~np.isnan(self.numbers)]

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        words = sum(len(value) for value in self.values) + TEXT_BYTES * len(self.values)
        return self.numbers.nbytes + self.codes.nbytes + words

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Column:
        """Return the column with these rows alone."""
        if self.kind == "number":
            return Column(self.name, self.kind, numbers=self.numbers[rows])
        return Column(self.name, self.kind, codes=self.codes[rows], values=self.values)

    def cell(self, row: int) -> str:
        """Return one value, numbers with all their digits; '' where it is missing."""
        if self.kind == "text":
            code = int(self.codes[row])
            return self.values[code] if code >= 0 else ""
        number = float(self.numbers[row])
        return "" if number != number else repr(number).removesuffix(".0")


def plain(number: float) -> str:
    """Return a number for people, without needless digits."""
    return f"{number:.6g}"


@dataclass(frozen=True, slots=True)
class Source:
    """A table to look at: a person's data set, or a sample.

    ``key`` is another one when the file or the way to read it is.
    """

    id: str
    name: str
    key: str
    profile: TableProfile
    limits: CsvLimits
    open: Callable[[], BinaryIO]

    def names(self, kind: Kind | None = None) -> list[str]:
        """Return the names of the columns, or of those of one kind, in the file's order."""
        return [c.name for c in self.profile.columns if kind is None or c.kind == kind]


class _NumberReader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.cells = array("d")

    def add(self, cell: str) -> None:
        number = parse_number(cell)
        self.cells.append(float("nan") if number is None else number)

    def column(self) -> Column:
        return Column(self.name, "number", numbers=np.array(self.cells, dtype=np.float64))


class _TextReader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.cells = array("i")
        self.known: dict[str, int] = {}

    def add(self, cell: str) -> None:
        code = self.known.get(cell)
        if code is None:
            code = -1 if is_missing(cell) else self.known.setdefault(cell, len(self.known))
        self.cells.append(code)

    def column(self) -> Column:
        codes = np.array(self.cells, dtype=np.int32)
        return Column(self.name, "text", codes=codes, values=tuple(self.known))


def read_columns(source: Source, names: Iterable[str]) -> dict[str, Column]:
    """Read the named columns in one pass over the file.

    Raises:
        NotFoundError: the file is gone.
        DataError: it can't be read any more as it was when it came.

    """
    wanted = set(names)
    with source.open() as stream:
        table = CsvTable(stream, source.profile.dialect, source.limits)
        try:
            readers = [
                (index, (_NumberReader if column.kind == "number" else _TextReader)(column.name))
                for index, column in enumerate(source.profile.columns)
                if column.name in wanted
            ]
            for cells in table:
                for index, reader in readers:
                    reader.add(cells[index])
        finally:
            table.close()
    return {reader.name: reader.column() for _index, reader in readers}


class ColumnCache:
    """Columns that were read lately; those not used for longest go when they take too much.

    Args:
        most: bytes to keep.

    """

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self._size = 0
        self._columns: OrderedDict[tuple[str, str], Column] = OrderedDict()
        self._lock = threading.Lock()
        # Two questions about one file read it once; other files don't wait.
        self._reading = [threading.Lock() for _ in range(LOCKS)]

    @property
    def size(self) -> int:
        """Bytes that are kept, about."""
        return self._size

    def get(self, source: Source, names: Iterable[str]) -> dict[str, Column]:
        """Return the named columns.

        Raises:
            NotFoundError: the file is gone.
            DataError: it can't be read.

        """
        wanted = list(dict.fromkeys(names))
        with self._reading[hash(source.key) % LOCKS]:
            found = {name: column for name in wanted if (column := self._find(source.key, name))}
            lacking = [name for name in wanted if name not in found]
            if lacking:
                cells = source.profile.rows * len(source.profile.columns)
                everything = source.names() if cells * CELL_BYTES <= ALL_BYTES else lacking
                read = read_columns(source, everything)
                self._keep(source.key, read)
                found.update(read)
        return {name: found[name] for name in wanted}

    def _find(self, key: str, name: str) -> Column | None:
        with self._lock:
            column = self._columns.get((key, name))
            if column is not None:
                self._columns.move_to_end((key, name))
            return column

    def _keep(self, key: str, columns: dict[str, Column]) -> None:
        with self._lock:
            for name, column in columns.items():
                before = self._columns.pop((key, name), None)
                self._size += column.size - (before.size if before else 0)
                self._columns[key, name] = column
            while self._size > self._most and self._columns:
                _key, dropped = self._columns.popitem(last=False)
                self._size -= dropped.size
