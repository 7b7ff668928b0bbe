"""Files that strangers made."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beanft.ml import csv_text
from beanft.ml.csv_text import (
    DELIMITERS,
    CsvLimits,
    Dialect,
    parse_number,
    read_columns,
    safe_cell,
    sniff,
    write_csv,
)
from beanft.ml.dialect import ENCODINGS
from beanft.ml.errors import DataError
from beanft.ml.profile import TableProfile, profile_csv
from beanft.ml.reading import Reading

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


def is_table_or_data_error(content: bytes, reading: Reading | None = None) -> None:
    with suppress(DataError):
        stream = io.BytesIO(content)
        table = profile_csv(stream, CsvLimits(), reading)
        assert table.rows
        assert len(table.columns) >= 2
        # What a page and a training do with it next works too.
        json.dumps(table.to_dict(), allow_nan=False)
        header, rows = read_columns(stream, table.dialect, CsvLimits())
        assert (len(rows), len(header)) == (table.rows, len(table.columns))
        assert rows[:10] == table.preview


READINGS = st.builds(
    Reading,
    st.none() | st.sampled_from(DELIMITERS),
    st.none() | st.sampled_from(list(ENCODINGS)),
    st.none() | st.booleans(),
    st.just({}) | st.just({"column_1": "number", "column_2": "text"}),
)
# Pieces of which CSV files are made, and what goes wrong with them.
PIECES = st.sampled_from(
    [
        *(
            b",",
            b";",
            b"\t",
            b"|",
            b"\n",
            b"\r\n",
            b"\r",
            b'"',
            b'""',
            b"\x00",
            b"\x0c",
            b"'",
            b" ",
        ),
        *(b"a", b"b", b"name", b"1", b"-2.5", b"1e999", b"1_0", b"nan", b"inf", b"NA", b"?"),
        *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\x81", b"\xc3\xa9", "\u2028".encode()),
        *("\u0663".encode(), b"=1+1", b"x" * 200),
    ]
)


@given(st.binary(max_size=300), st.none() | READINGS)
def test_any_bytes_are_either_a_table_or_a_data_error(
    content: bytes, reading: Reading | None
) -> None:
    is_table_or_data_error(content, reading)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=40).map(b"".join), st.none() | READINGS)
def test_what_is_nearly_csv_is_either_a_table_or_a_data_error(
    content: bytes, reading: Reading | None
) -> None:
    is_table_or_data_error(content, reading)
    is_table_or_data_error(b"a,b\n1,x\n" + content, reading)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_blocks_are_cut_between_lines(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    rows = [["a", "b"], *([f"x{number}", f"one\n{number}" * 2] for number in range(40))]
    text = ending.join(f'{first},"{second}"' for first, second in rows)
    for size in (1, 2, 7, 64):
        monkeypatch.setattr(csv_text, "BLOCK_BYTES", size)
        found = read_columns(io.BytesIO(text.encode()), Dialect(",", "utf-8"), CsvLimits())
        assert found == (rows[0], rows[1:])


@pytest.mark.parametrize("content", [b'a,b\n1,"x\n2,y\n', b'a,b\n1,2\n3,"', b'"a,b\n1,2\n'])
def test_a_quote_that_is_never_closed_swallows_no_rows(content: bytes) -> None:
    with pytest.raises(DataError, match=r"Line \d can't be read: a quote is not closed"):
        profile(content)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a,b\n1," + b"x" * 600, 2),  # no end of a line in any block
        (b'a,b\n1,2\n3,"' + b"x\n" * 300, 3),
        (b"a" * 600 + b",b\n", 1),
    ],
)
def test_a_row_has_an_end(monkeypatch: pytest.MonkeyPatch, content: bytes, line: int) -> None:
    monkeypatch.setattr(csv_text, "ROW_MAX_CHARS", 500)
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 64)
    with pytest.raises(DataError, match=f"Line {line} can't be read: it goes on for more than 500"):
        profile(content)


def test_empty_lines_are_counted() -> None:
    assert profile(b"a,b\n" + b"\n" * 100 + b"1,2\n").rows == 1
    with pytest.raises(DataError, match="more than 100 empty lines"):
        profile(b"a,b\n" + b"\n" * 101 + b"1,2\n")


def test_much_is_written_in_pieces() -> None:
    rows = [[str(number), "x" * 90] for number in range(3000)]
    pieces = list(write_csv(["a", "b"], iter(rows)))
    assert len(pieces) > 3
    found = read_columns(io.BytesIO("".join(pieces).encode()), Dialect(",", "utf-8"), CsvLimits())
    assert found == (["a", "b"], rows)


def test_a_cell_that_is_too_long_for_the_sample() -> None:
    before = csv.field_size_limit(20)
    try:
        # Cut by commas, the quote of line 2 goes on for too long; by semicolons it is none.
        content = b'a;b,c\n1;x,"y\n' + b"2;y,z\n" * 9
        table = profile(content)
        assert (table.dialect.delimiter, table.rows) == (";", 10)
        with pytest.raises(DataError, match="Line 2 can't be read: a quote is not closed"):
            profile_csv(io.BytesIO(content), LIMITS, Reading(delimiter=","))
    finally:
        csv.field_size_limit(before)
