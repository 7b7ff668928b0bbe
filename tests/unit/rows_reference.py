"""How rows were read before they were read by column: the reference of test_rows.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beanft.ml.csv_text import is_missing, parse_number
from beanft.ml.errors import MOST_PROBLEMS, DataError, Problem
from beanft.ml.schema import Schema

FLOAT32_MAX = float(np.finfo(np.float32).max)
NAN = float("nan")


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


def make_inputs(numbers: Sequence[Sequence[float]], texts: Sequence[Sequence[str]]) -> Inputs:
    """Build arrays from n rows of k numbers and n rows of m texts."""
    count = len(numbers)
    text_array = np.empty((count, len(texts[0]) if texts else 0), dtype=object)
    if text_array.size:
        text_array[:] = texts
    if not count:
        return Inputs(np.empty((0, 0), dtype=np.float32), text_array)
    return Inputs(np.array(numbers, dtype=np.float32), text_array)


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


def inputs_from_objects(schema: Schema, rows: Sequence[Any]) -> Inputs:
    """Check JSON rows, each an object of column names and values.

    Numbers must be JSON numbers, text must be strings, null is a missing value. Every feature
    must be there, the target may be, and nothing else.

    Raises:
        DataError: with row and column of the first 20 problems.

    """
    problems: list[Problem] = []
    numeric = [feature.name for feature in schema.numbers]
    textual = [feature.name for feature in schema.texts]
    wanted = {*numeric, *textual}
    numbers: list[list[float]] = []
    texts: list[list[str]] = []
    for index, row in enumerate(rows, start=1):
        if len(problems) >= MOST_PROBLEMS:
            break
        if not isinstance(row, dict):
            problems.append(Problem("must be an object of column names and values", row=index))
            continue
        if row.keys() != wanted:
            _name_differences(row, wanted, schema.target, index, problems)
        line: list[float] = []
        for name in numeric:
            number = _json_number(row.get(name))
            if isinstance(number, str):
                problems.append(Problem(number, row=index, column=name))
            else:
                line.append(number)
        words: list[str] = []
        for name in textual:
            word = row.get(name)
            if word is not None and not isinstance(word, str):
                message = f"must be text, not {_type_name(word)}"
                problems.append(Problem(message, row=index, column=name))
            else:
                words.append(_text(word or ""))
        numbers.append(line)
        texts.append(words)
    if problems:
        raise DataError(problems)
    return make_inputs(numbers, texts)


def _name_differences(
    row: Mapping[str, Any],
    wanted: set[str],
    target: str,
    index: int,
    problems: list[Problem],
) -> None:
    for name in sorted(wanted - row.keys()):
        problems.append(Problem("is missing", row=index, column=name))
    for name in sorted(row.keys() - wanted - {target}):
        problems.append(Problem("is not a column of this model", row=index, column=name))


def _text(cell: str) -> str:
    return "" if is_missing(cell) else cell.strip()


def inputs_from_cells(
    schema: Schema, header: Sequence[str], rows: Sequence[Sequence[str]], *, row_start: int = 1
) -> Inputs:
    """Check CSV rows, n rows of cells as wide as ``header``.

    Columns may be in any order; the target's column may be there and is not looked at.

    Raises:
        DataError: a column is missing or unknown, or a cell isn't a number; row and column
            are named for the first 20 problems.

    """
    wanted = {feature.name for feature in schema.features}
    problems: list[Problem] = []
    for name in sorted(wanted - set(header)):
        problems.append(Problem("is missing", column=name))
    for name in sorted(set(header) - wanted - {schema.target}):
        problems.append(Problem("is not a column of this model", column=name))
    if problems:
        raise DataError(problems)
    positions = {name: position for position, name in enumerate(header)}
    numeric = [(feature.name, positions[feature.name]) for feature in schema.numbers]
    textual = [positions[feature.name] for feature in schema.texts]
    numbers: list[list[float]] = []
    texts: list[list[str]] = []
    for index, row in enumerate(rows, start=row_start):
        line: list[float] = []
        for name, position in numeric:
            cell = row[position]
            number = parse_number(cell)
            if number is None:
                number = NAN
                if not is_missing(cell):
                    message = f"must be a number, not {cell[:40]!r}"
                    problems.append(Problem(message, row=index, column=name))
            elif abs(number) > FLOAT32_MAX:
                problems.append(Problem("is too large", row=index, column=name))
                number = NAN
            line.append(number)
        if len(problems) >= MOST_PROBLEMS:
            break
        numbers.append(line)
        texts.append([_text(row[position]) for position in textual])
    if problems:
        raise DataError(problems)
    return make_inputs(numbers, texts)
