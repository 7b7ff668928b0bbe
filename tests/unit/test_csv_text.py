"""Files that strangers made."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beanft.ml.csv_text import (
    CsvLimits,
    Dialect,
    parse_number,
    read_columns,
    safe_cell,
    sniff,
    write_csv,
)
from beanft.ml.errors import DataError
from beanft.ml.profile import TableProfile, profile_csv

LIMITS = CsvLimits(rows=100, columns=5, cell_chars=50)


def profile(content: bytes, limits: CsvLimits = LIMITS) -> TableProfile:
    return profile_csv(io.BytesIO(content), limits)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (["a", "b", "c"], ["1", "x y", "3"]))
    assert sniff(io.BytesIO(text.encode())) == Dialect(delimiter, "utf-8")


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252")],
)
def test_encodings_are_found(encoding: str, found: str) -> None:
    content = "größe,preis\n1,5 €\n".encode(encoding)
    table = profile(content)
    assert table.dialect.encoding == found
    assert table.columns[0].name == "größe"
    assert table.preview == [["1", "5 €"]]


def test_bytes_that_cp1252_lacks_are_read_as_latin_1() -> None:
    assert profile(b"a,b\n1,\x81\xe9\n").dialect.encoding == "latin-1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a CSV"),
        (b"a,b\n1,\x00\n", "not a CSV"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,a\n1,2\n", "Two columns are named 'a'"),
        (b"a,\n1,2\n", "Column 2 has no name"),
        (b"a\n1\n", "one column"),
        (b"a,b\n", "no rows"),
        (b"a,b,c,d,e,f\n1,2,3,4,5,6\n", "6 columns; 5 are allowed"),
        (b"a,b\n1,2\n1,2,3\n", "Line 3 has 3 cells; the header has 2"),
        (b"a,b\n" + b"1,2\n" * 101, "more than 100 rows"),
        (b"a,b\n1," + b"x" * 51 + b"\n", "Line 2 has a cell of more than 50"),
        (b'a,b\n1,"' + b"x" * 200_000, "Line 2 can't be read"),
        (b"a" * 200_000 + b",b\n1,2\n", "Line 1 can't be read"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        profile(content)


def test_ragged_rows_are_named_by_line_even_after_line_breaks_in_cells() -> None:
    with pytest.raises(DataError) as caught:
        profile(b'a,b\n"1\n2",x\n\n1\n1,2,3\n')
    assert [problem.line for problem in caught.value.problems] == [5, 6]


def test_types_missing_values_and_counts() -> None:
    table = profile(b"n,t,m\n1,a,NA\n-2.5,b,7\n?,a,\n1e3,a,8\n")
    number, text, mostly = table.columns
    assert (number.kind, number.missing, number.least, number.most) == ("number", 1, -2.5, 1000.0)
    assert (text.kind, text.counts) == ("text", {"a": 3, "b": 1})
    assert (mostly.kind, mostly.missing, mostly.mean) == ("number", 2, 7.5)
    assert TableProfile.from_dict(table.to_dict()) == table


@pytest.mark.parametrize("cell", ["1_000", "inf", "-inf", "nan", "", "0x1f", "1,5", "1e999"])
def test_what_only_python_takes_for_a_number_is_text(cell: str) -> None:
    assert parse_number(cell) is None


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-x", "@sum", "\tx", "\rx"])
def test_formulas_are_made_harmless(cell: str) -> None:
    assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-1e-9", "a=b", ""])
def test_numbers_and_plain_text_stay(cell: str) -> None:
    assert safe_cell(cell) == cell


@given(
    st.lists(
        st.lists(st.text("ab1 ,;\"'|-\n", max_size=6), min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_can_be_read(rows: list[list[str]]) -> None:
    rows = [[f"x{cell}x" for cell in row] for row in rows]
    text = "".join(write_csv(["a", "b"], iter(rows)))
    found = read_columns(io.BytesIO(text.encode()), Dialect(",", "utf-8"), CsvLimits())
    assert found == (["a", "b"], rows)


@given(st.binary(max_size=300))
def test_any_bytes_are_either_a_table_or_a_data_error(content: bytes) -> None:
    with suppress(DataError):
        table = profile(content, CsvLimits())
        assert table.rows
        assert len(table.columns) >= 2
