"""Turn what a client sent into a model's inputs, or say which row and column is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from beanft.ml.csv_text import is_missing, parse_number
from beanft.ml.errors import MOST_PROBLEMS, DataError, Problem
from beanft.ml.schema import Schema

FLOAT32_MAX = float(np.finfo(np.float32).max)
NAN = float("nan")
FEW = 64  # values, up to which Python is quicker than numpy


@dataclass(frozen=True, slots=True)
class Inputs:
    """A model's inputs.

    ``numbers`` is float32 of shape (n, k) with NaN for missing values; ``texts`` is an object
    array of str of shape (n, m). k and m may be 0.
    """

    numbers: npt.NDArray[np.float32]
    texts: npt.NDArray[np.object_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)


def _json_number(value: Any) -> float | str:
    """Return the number, or a message that says what is wrong."""
    if value is None:
        return NAN
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {_type_name(value)}"
    try:
        number = float(value)
    except OverflowError:
        return "is too large"
    return number if abs(number) <= FLOAT32_MAX else "is too large"


def _type_name(value: Any) -> str:
    names = {bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


class RowReader:
    """Checks rows and turns them into one model's inputs.

    Made once a model: what depends on the schema alone is worked out here. Rows are checked all
    at once, by column; only where something is wrong are they gone through one by one, to name
    the rows and columns.
    """

    def __init__(self, schema: Schema) -> None:
        self._target = schema.target
        self._numeric = [feature.name for feature in schema.numbers]
        self._textual = [feature.name for feature in schema.texts]
        self._wanted = {*self._numeric, *self._textual}
        self._number_getter = _getter(self._numeric)
        self._text_getter = _getter(self._textual)

    def objects(self, rows: Sequence[Any]) -> Inputs:
        """Check n JSON rows, each an object of column names and values.

        Numbers must be JSON numbers, text must be strings, null is a missing value. Every
        feature must be there, the target may be, and nothing else.

        Raises:
            DataError: with row and column of the first 20 problems.

        """
        try:
            flat_numbers = _flat(self._number_getter, rows)
            flat_texts = _flat(self._text_getter, rows)
            expected = self._widths_are_right(rows)
        except (KeyError, TypeError):  # a column is missing, or a row is no object
            expected = False
        numbers = _float32(flat_numbers) if expected else None
        texts = _json_texts(flat_texts) if expected else None
        if numbers is None or texts is None:
            raise DataError(self._object_problems(rows))
        count = len(rows)
        return Inputs(
            numbers.reshape(count, len(self._numeric)), texts.reshape(count, len(self._textual))
        )

    def _widths_are_right(self, rows: Sequence[Any]) -> bool:
        """Tell whether n objects that have every feature have nothing else but the target."""
        width = len(self._wanted)
        if set(map(len, rows)) <= {width}:
            return True
        return all(len(row) == width + (self._target in row) for row in rows)

    def _object_problems(self, rows: Sequence[Any]) -> list[Problem]:
        problems: list[Problem] = []
        for index, row in enumerate(rows, start=1):
            if len(problems) >= MOST_PROBLEMS:
                break
            if not isinstance(row, dict):
                message = "must be an object of column names and values"
                problems.append(Problem(message, row=index))
                continue
            problems.extend(self._name_problems(row, index))
            for name in self._numeric:
                number = _json_number(row.get(name))
                if isinstance(number, str):
                    problems.append(Problem(number, row=index, column=name))
            for name in self._textual:
                word = row.get(name)
                if word is not None and not isinstance(word, str):
                    message = f"must be text, not {_type_name(word)}"
                    problems.append(Problem(message, row=index, column=name))
        return problems

    def _name_problems(self, names: Mapping[str, Any], row: int | None = None) -> list[Problem]:
        missing = sorted(self._wanted - names.keys())
        unknown = sorted(names.keys() - self._wanted - {self._target})
        return [
            *(Problem("is missing", row=row, column=name) for name in missing),
            *(Problem("is not a column of this model", row=row, column=name) for name in unknown),
        ]

    def cells(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], *, row_start: int = 1
    ) -> Inputs:
        """Check CSV rows, n rows of cells as wide as ``header``: see :meth:`columns`."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
        return self.columns(header, columns, row_start=row_start)

    def columns(
        self, header: Sequence[str], columns: Sequence[Sequence[str]], *, row_start: int = 1
    ) -> Inputs:
        """Check the columns of a CSV file, n cells for each name in ``header``.

        Columns may be in any order; the target's column may be there and is not looked at.

        Raises:
            DataError: a column is missing or unknown, or a cell isn't a number; row and column
                are named for the first 20 problems.

        """
        positions = {name: position for position, name in enumerate(header)}
        if problems := self._name_problems(positions):
            raise DataError(problems)
        count = len(columns[0]) if columns else 0
        numbers = np.empty((count, len(self._numeric)), dtype=np.float32)
        for index, name in enumerate(self._numeric):
            found = _cell_numbers(columns[positions[name]])
            if found is None:
                raise DataError(self._cell_problems(positions, columns, row_start))
            numbers[:, index] = found
        texts = np.empty((count, len(self._textual)), dtype=object)
        for index, name in enumerate(self._textual):
            texts[:, index] = _texts(columns[positions[name]])
        return Inputs(numbers, texts)

    def _cell_problems(
        self, positions: Mapping[str, int], columns: Sequence[Sequence[str]], row_start: int
    ) -> list[Problem]:
        problems: list[Problem] = []
        for index, row in enumerate(zip(*columns, strict=True), start=row_start):
            for name in self._numeric:
                number = _cell_number(row[positions[name]])
                if isinstance(number, str):
                    problems.append(Problem(number, row=index, column=name))
            if len(problems) >= MOST_PROBLEMS:
                break
        return problems


Getter = Callable[[Any], tuple[Any, ...]]


def _getter(names: Sequence[str]) -> Getter | None:
    """Return what takes the values of some columns from a row; None for no columns."""
    if len(names) > 1:
        return itemgetter(*names)
    return (lambda row: (row[names[0]],)) if names else None


def _flat(getter: Getter | None, rows: Sequence[Any]) -> list[Any]:
    """Return the values of n rows, one row after the other."""
    return list(chain.from_iterable(map(getter, rows))) if getter else []


def _text(cell: str) -> str:
    return "" if is_missing(cell) else cell.strip()


def _texts(cells: Sequence[str]) -> list[str]:
    """Return n cells without blanks around them; missing values are empty."""
    known = {cell: _text(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def _float32(values: list[Any]) -> npt.NDArray[np.float32] | None:
    """Return JSON values as numbers, None if any is not one."""
    if not set(map(type, values)) <= {float, int}:
        numbers = [_json_number(value) for value in values]
        if any(isinstance(number, str) for number in numbers):
            return None
        return np.array(numbers, dtype=np.float32)
    if len(values) <= FEW:
        # Quicker than numpy's comparisons. NaN is no JSON, and not within the bounds.
        within = all(-FLOAT32_MAX <= value <= FLOAT32_MAX for value in values)
        return np.array(values, dtype=np.float32) if within else None
    try:
        wide = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return wide.astype(np.float32) if _fit(wide) else None


def _fit(numbers: npt.NDArray[np.float64]) -> bool:
    """Tell whether n numbers are finite and can be float32."""
    return bool((np.abs(numbers) <= FLOAT32_MAX).all())


def _json_texts(values: list[Any]) -> npt.NDArray[np.object_] | None:
    """Return JSON values as texts, None if any is neither text nor null."""
    texts = np.empty(len(values), dtype=object)
    if values:
        if not all(value is None or isinstance(value, str) for value in values):
            return None
        texts[:] = _texts([value or "" for value in values])
    return texts


def _cell_number(cell: str) -> float | str:
    """Return the number in a cell, NaN if it is missing, or a message that says what is wrong."""
    number = parse_number(cell)
    if number is None:
        return NAN if is_missing(cell) else f"must be a number, not {cell[:40]!r}"
    return number if abs(number) <= FLOAT32_MAX else "is too large"


def _cell_numbers(cells: Sequence[str]) -> npt.NDArray[np.float64] | list[float] | None:
    """Return n cells as numbers with NaN for missing values; None if any is wrong."""
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass  # missing values, as likely as not
    else:
        # Python takes 1_000 and inf for numbers, and we don't.
        if _fit(numbers) and "_" not in "".join(cells):
            return numbers
    found = [number for cell in cells if not isinstance(number := _cell_number(cell), str)]
    return found if len(found) == len(cells) else None


def inputs_from_objects(schema: Schema, rows: Sequence[Any]) -> Inputs:
    """Check JSON rows once: see :meth:`RowReader.objects`."""
    return RowReader(schema).objects(rows)


def inputs_from_cells(
    schema: Schema, header: Sequence[str], rows: Sequence[Sequence[str]], *, row_start: int = 1
) -> Inputs:
    """Check CSV rows once: see :meth:`RowReader.cells`."""
    return RowReader(schema).cells(header, rows, row_start=row_start)
