"""Single cells of a table: which stand for no value, which are numbers, which are dangerous."""

from __future__ import annotations

import itertools
from typing import Literal

Kind = Literal["number", "text"]
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
# The same in every mixture of small and capital letters: `is_missing` of many cells is then a
# look-up of each, without a call of Python's.
MISSING_CELLS = frozenset(
    "".join(letters)
    for word in MISSING
    for letters in itertools.product(*({letter, letter.upper()} for letter in word))
)
FORMULA_STARTS = frozenset("=+-@\t\r")
_FORMULA = tuple(FORMULA_STARTS)


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


def safe_cell(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers stay as they are."""
    if cell.startswith(_FORMULA) and parse_number(cell) is None:
        return "'" + cell
    return cell
