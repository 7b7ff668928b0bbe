"""CSV files by column are the same files as by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from beanft.ml.cells import safe_cell
from beanft.ml.columns import CHUNK_ROWS, Columns, read_file, safe_column, write_file
from beanft.ml.csv_text import CsvLimits, Dialect, read_columns, write_csv
from beanft.ml.errors import DataError

COMMA = Dialect(",", "utf-8")
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
cells = text | st.sampled_from(["-1.5", "=1+1", "+x", "@", "-", 'a"b', "a,b", "a\nb", " c "])


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width))
    )
)
def test_written_and_read_as_by_row(rows: list[list[str]]) -> None:
    header = [f"column {index}" for index in range(len(rows[0]) if rows else 1)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]]
    by_column = "".join(write_file(header, [safe_column(column) for column in columns]))
    assert by_column == "".join(write_csv(header, iter(rows)))
    content = by_column.encode()
    assert outcome(lambda: by_rows(content)) == outcome(lambda: by_columns(content))


def by_rows(content: bytes) -> tuple[list[str], list[list[str]]]:
    return read_columns(io.BytesIO(content), COMMA, CsvLimits())


def by_columns(content: bytes) -> tuple[list[str], list[list[str]]]:
    found = read_file(io.BytesIO(content), COMMA, CsvLimits())
    rows = [list(row) for row in zip(*found.columns, strict=True)]
    assert len(found) == len(rows)
    return found.header, rows


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError as error:
        return error.problems


@given(st.lists(cells))
def test_columns_are_as_safe_as_their_cells(column: list[str]) -> None:
    assert list(safe_column(column)) == [safe_cell(cell) for cell in column]


def test_long_files_come_in_pieces() -> None:
    column = [str(index) for index in range(2 * CHUNK_ROWS + 1)]
    pieces = list(write_file(["a", "b"], [column, column]))
    assert len(pieces) == 4
    rows = list(csv.reader(io.StringIO("".join(pieces), newline="")))
    assert rows == [["a", "b"], *([cell, cell] for cell in column)]


def test_no_columns_no_rows() -> None:
    assert len(Columns([], [])) == 0
    assert "".join(write_file([], [])) == "\r\n"
