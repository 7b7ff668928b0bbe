"""What is wrong with data, said so that its owner can put it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``row`` counts data rows from 1, ``line`` counts lines of the file from 1, ``field`` is a
    field of a form.
    """

    message: str
    row: int | None = None
    line: int | None = None
    column: str | None = None
    field: str | None = None

    def sentence(self) -> str:
        """Return the message with its row and column, for people."""
        if self.column is None or repr(self.column) in self.message:
            return self.message
        where = f"Row {self.row}, column" if self.row else "Column"
        return f"{where} {self.column!r} {self.message}."

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, for an error answer."""
        pairs = {
            "field": self.field,
            "row": self.row,
            "line": self.line,
            "column": self.column,
            "message": self.message,
        }
        return {key: value for key, value in pairs.items() if value is not None}


class DataError(ValueError):
    """The data can't be used; ``problems`` has at least one entry, and 20 at most."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems)]
        super().__init__(problems[0].sentence())
        self.problems = list(problems[:MOST_PROBLEMS])


class ConversionError(RuntimeError):
    """The converted model doesn't agree with the one that was trained."""


class NoModelError(RuntimeError):
    """None of a plan's estimators gave a model; the message says why of each.

    ``traces`` are the tracebacks of those that failed by our fault.
    """

    def __init__(self, message: str, traces: Mapping[str, str]) -> None:
        super().__init__(message)
        self.traces = dict(traces)
