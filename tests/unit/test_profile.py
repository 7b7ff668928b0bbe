"""Profiles: as a plain loop over the cells would say, only faster; read as the owner says."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
import sys
import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beanft.ml import csv_text
from beanft.ml.cells import MISSING_CELLS, is_missing, parse_number
from beanft.ml.csv_text import CsvLimits, CsvTable, read_columns
from beanft.ml.dialect import Dialect
from beanft.ml.errors import DataError
from beanft.ml.profile import ColumnProfile, TableProfile, profile_csv
from beanft.ml.reading import Reading, find_dialect, has_header
from beanft.ml.sampling import Reservoir
from beanft.ml.summary import SAMPLE_SIZE, NumberSummary


def profile(content: bytes, reading: Reading | None = None) -> TableProfile:
    return profile_csv(io.BytesIO(content), CsvLimits(), reading)


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def naive(name: str, cells: list[str]) -> dict[str, Any]:
    """Look at each cell by itself."""
    cells = [cell.strip() for cell in cells]
    there = [cell for cell in cells if not is_missing(cell)]
    numbers = [parse_number(cell) for cell in there]
    counts: dict[str, int] | None = dict(Counter(there).most_common())
    if counts is not None and len(counts) > 50:
        counts = None
    found: dict[str, Any] = {
        "name": name,
        "kind": "text",
        "missing": len(cells) - len(there),
        "counts": counts,
    }
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(there):
        found["kind"] = "number"
        found["least"], found["most"] = min(known), max(known)
        found["mean"] = statistics.fmean(known)
        found["std"] = statistics.stdev(known) if len(known) > 1 else None
        found["integer"] = all(number == int(number) for number in known)
        found["quantiles"] = np.quantile(known, [step / 10 for step in range(11)]).tolist()
    return found


def check(column: ColumnProfile, wanted: dict[str, Any]) -> None:
    scale = max(abs(wanted.get("least", 0)), abs(wanted.get("most", 0)))
    for name, value in wanted.items():
        found = getattr(column, name)
        if name in ("mean", "std", "quantiles") and value is not None:
            # Squares of what is smaller than the root of the smallest double are nothing.
            assert found == pytest.approx(value, rel=1e-9, abs=max(1e-9 * scale, 1e-150)), name
        else:
            assert found == value, name
    if column.counts is not None and wanted["counts"] is not None:
        assert list(column.counts.items()) == list(wanted["counts"].items())


NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(-1e9, 1e9).map(repr),
    st.sampled_from(["1e3", "+5", "-0", "0.10", " 7 ", "\t8", ".5", "5.", "\u0664\u0662"]),
)
MISSINGS = st.sampled_from(["", " ", "NA", "nA", "N/a", "NaN", "null", "None", "?", " ? "])
TRAPS = st.sampled_from(["1_000", "inf", "-Infinity", "-nan", "+NAN", "1,5", "0x1f", "1e999", "x"])


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """Draw a column long enough for its distinct values to be given up at some point."""
    cell = draw(
        st.sampled_from(
            [NUMBERS, st.one_of(NUMBERS, MISSINGS), st.one_of(NUMBERS, MISSINGS, TRAPS), TRAPS]
        )
    )
    start = draw(st.lists(cell, min_size=1, max_size=30))
    many = [str(number) for number in range(draw(st.sampled_from([0, 49, 50, 51, 120])))]
    end = draw(st.lists(st.one_of(NUMBERS, MISSINGS, TRAPS), max_size=10))
    return start + many + end


@given(cells=columns(), chunk_chars=st.sampled_from([1, 40, 200, 1 << 18]))
@example(cells=["1"] * 60 + ["1_0"], chunk_chars=1)
@example(cells=[*map(str, range(60)), "1_0"], chunk_chars=1)
@example(cells=[*map(str, range(60)), "nan", "-nan"], chunk_chars=1)
@example(cells=["NA"] * 70, chunk_chars=40)
@example(cells=["1e-185", "0"], chunk_chars=40)
def test_a_profile_is_what_a_plain_loop_finds(cells: list[str], chunk_chars: int) -> None:
    content = as_csv([["n", "t"], *([cell, "x"] for cell in cells)])
    before = csv_text.CHUNK_CHARS
    csv_text.CHUNK_CHARS = chunk_chars
    try:
        table = profile(content)
    finally:
        csv_text.CHUNK_CHARS = before
    assert table.rows == len(cells)
    check(table.columns[0], naive("n", cells))
    check(table.columns[1], naive("t", ["x"] * len(cells)))


def test_the_words_for_no_value_are_all_of_them() -> None:
    letters = {letter for word in MISSING_CELLS for letter in word}
    alike = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).lower() in letters}
    assert alike == letters
    assert all(is_missing(cell) for cell in MISSING_CELLS)
    assert all(word.swapcase() in MISSING_CELLS for word in MISSING_CELLS)


def test_values_at_the_ends_of_a_double_stay_json() -> None:
    rows = [["a", "b"], ["1e308", "-1.7e308"], ["-1e308", "1.7e308"]]
    table = profile(as_csv(rows))
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False)) == table.to_dict()
    assert (table.columns[0].least, table.columns[0].most) == (-1e308, 1e308)
    assert table.columns[1].quantiles is None
    many = profile(as_csv([["a", "b"], *([f"{sign}1e308", "1"] for sign in ("", "-") * 40)]))
    assert many.columns[0].std is None


def test_deciles_of_many_numbers_are_near() -> None:
    numbers = NumberSummary()
    values = np.random.default_rng(1).permutation(100_001).astype(float)
    for piece in np.array_split(values, 37):
        numbers.add(piece)
    found = numbers.quantiles()
    assert found is not None
    assert (found[0], found[-1]) == (0.0, 100_000.0)
    # Three standard errors of a decile's rank in a sample of 5000.
    assert found == pytest.approx([10_000.0 * step for step in range(11)], abs=2_200)
    assert numbers.mean == pytest.approx(50_000)
    assert numbers.std == pytest.approx(float(values.std(ddof=1)))
    assert numbers.whole
    empty = NumberSummary()
    empty.add(np.array([]))
    assert (empty.mean, empty.std, empty.quantiles(), empty.whole) == (None, None, None, False)
    assert len(values) > SAMPLE_SIZE


def test_a_sample_takes_each_item_as_often() -> None:
    taken: Counter[int] = Counter()
    for seed in range(4000):
        reservoir: Reservoir[int] = Reservoir(5, seed)
        for start in range(0, 40, 7):
            reservoir.extend(range(start, min(start + 7, 40)))
        assert len(set(reservoir.items)) == 5
        taken.update(reservoir.items)
    # Each of 40 items with probability 1/8: 500 of 4000 times, standard deviation 21.
    assert set(taken) == set(range(40))
    assert all(abs(count - 500) < 5 * 21 for count in taken.values())
    chi_square = sum((count - 500) ** 2 / 500 for count in taken.values())
    assert chi_square < 39 + 4 * math.sqrt(2 * 39)
    with pytest.raises(ValueError, match="at least one"):
        Reservoir(0, 1)


def test_a_part_of_a_file_keeps_its_order_and_bounds_memory() -> None:
    content = b"n,t,u\n" + b"".join(b"%d, x ,y\n" % number for number in range(100_000))
    stream, dialect = io.BytesIO(content), Dialect(",", "utf-8")
    tracemalloc.start()
    header, rows = read_columns(stream, dialect, CsvLimits(), columns=("t", "n"), sample=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9_000_000
    assert header == ["n", "t"]
    assert len(rows) == 500
    numbers = [int(row[0]) for row in rows]
    assert numbers == sorted(set(numbers))
    assert {row[1] for row in rows} == {"x"}
    assert max(numbers) > 90_000
    again = read_columns(stream, dialect, CsvLimits(), columns=("t", "n"), sample=500)[1]
    other = read_columns(stream, dialect, CsvLimits(), columns=("n",), sample=500, seed=1)[1]
    assert again == rows
    assert [row[0] for row in other] != [row[0] for row in rows]
    whole = read_columns(stream, dialect, CsvLimits(), sample=1_000_000)
    assert whole == read_columns(stream, dialect, CsvLimits())
    assert len(whole[1]) == 100_000
    with pytest.raises(DataError, match="no column 'z'"):
        read_columns(stream, dialect, CsvLimits(), columns=("z",))


# --- as the owner says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["a,b", "1,2"], True),
        (["5.1,3.5,setosa", "4.9,3.0,setosa"], False),
        (["5.1,,setosa", "4.9,3.0,setosa"], False),
        (["1.5,NA", "2.5,x"], False),
        (["x,y", "a,b"], True),
        (["1,2"], True),
        (["0,1,2", "5,6,7"], True),
        (["country,2019,2020", "France,1,2"], True),
        (["1999,x", "5,6"], True),
        (["3,3", "5,6"], False),
        (["3,b", "x,y"], True),
        (["3,2", "x,y"], True),
    ],
)
def test_a_first_line_of_values_is_no_header(rows: list[str], found: bool) -> None:
    assert has_header([row.split(",") for row in rows]) is found


def test_columns_without_names_get_some() -> None:
    table = profile(b"\n5.1,setosa\n4.9,setosa\n")
    assert [column.name for column in table.columns] == ["column_1", "column_2"]
    assert (table.rows, table.dialect.header) == (2, False)
    assert table.preview[0] == ["5.1", "setosa"]
    assert TableProfile.from_dict(table.to_dict()) == table
    named = profile(b"5.1,setosa\n4.9,setosa\n", Reading(header=True))
    assert [column.name for column in named.columns] == ["5.1", "setosa"]
    with pytest.raises(DataError, match="Line 2 has 1 cell; the first has 2"):
        profile(b"5.1,a\n4\n", Reading(header=False))
    limits = CsvLimits(cell_chars=50)
    with pytest.raises(DataError, match="Line 1 has a cell of more than 50"):
        profile_csv(io.BytesIO(b"1," + b"x" * 51 + b"\n2,x\n"), limits)


def test_corrections_are_followed() -> None:
    content = "größe;a,b;c\n1;2,5;3\n".encode("cp1252")
    assert find_dialect(io.BytesIO(content)) == Dialect(";", "cp1252", True)
    reading = Reading(",", "cp1250", True, {"größe;a": "text"})
    table = profile(content, reading)
    assert table.dialect == Dialect(",", "cp1250", True)
    assert [column.name for column in table.columns] == ["größe;a", "b;c"]
    numbers = profile(b"zip,y\n01234,1\n9999,2\n", Reading(kinds={"zip": "text"}))
    assert (numbers.columns[0].kind, numbers.columns[0].least) == ("text", None)
    assert numbers.columns[0].counts == {"01234": 1, "9999": 1}
    many = b"zip,y\n" + b"".join(b"%d, NA\n" % number for number in range(60))
    as_text = profile(many, Reading(kinds={"zip": "text"}))
    assert (as_text.columns[0].kind, as_text.columns[0].counts) == ("text", None)
    nothing = profile(b"a,b\nNA,1\n,2\n", Reading(kinds={"a": "number"}))
    assert (nothing.columns[0].kind, nothing.columns[0].quantiles) == ("number", None)
    marked = profile(b"\xef\xbb\xbfa,b\n1,2\n", Reading(encoding="utf-8"))
    assert (marked.dialect.encoding, marked.columns[0].name) == ("utf-8-sig", "a")


@pytest.mark.parametrize(
    ("content", "reading", "field", "line", "said"),
    [
        (b"a,b\n1,x\n", Reading(delimiter=":"), "delimiter", None, "Choose one of comma"),
        (b"a,b\n1,x\n", Reading(encoding="utf-7"), "encoding", None, "Choose one of utf-8"),
        (b"a,b\n1,x\n", Reading(kinds={"a": "date"}), "kinds", None, "number or text"),  # type: ignore[dict-item]
        (b"a,b\n1,x\n", Reading(kinds={"c": "text"}), "kinds", None, "no column 'c'"),
        (b"a,b\n1,x\n2,\xe9\n", Reading(encoding="utf-8"), "encoding", 3, "Line 3"),
        (b"a,b\n1,x\n2,\x81\n", Reading(encoding="cp1252"), "encoding", 3, "Windows-1252"),
        (b"a,b\n1,x\n2,\xe2\x82", Reading(encoding="utf-8"), "encoding", 3, "UTF-8"),
        (b"a,b\n1,x\n2,3\n", Reading(kinds={"b": "number"}), "kinds", 2, "not a number: 'x'"),
        (b'a,b\n"1\n",1\n\n2,"1,5"\n', Reading(kinds={"b": "number"}), "kinds", 5, "a point"),
        (
            b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(99)) + b"%s,x\n" % (b"y" * 99),
            Reading(kinds={"a": "number"}),
            "kinds",
            101,
            r"y\.\.\.'",
        ),
    ],
)
def test_a_wrong_correction_names_field_and_line(
    content: bytes, reading: Reading, field: str, line: int | None, said: str
) -> None:
    for chunk_chars in (1, 1 << 18):
        before = csv_text.CHUNK_CHARS
        csv_text.CHUNK_CHARS = chunk_chars
        try:
            with pytest.raises(DataError, match=said) as caught:
                profile(content, reading)
        finally:
            csv_text.CHUNK_CHARS = before
        assert [(problem.field, problem.line) for problem in caught.value.problems] == [
            (field, line)
        ]


def test_readings_survive_json_and_rows_that_lack_them() -> None:
    reading = Reading(";", "cp1252", False, {"a": "text"})
    assert Reading.from_dict(json.loads(json.dumps(reading.to_dict()))) == reading
    assert Reading.from_dict(None) == Reading() == Reading.from_dict({})


def test_profiles_are_for_the_release_before_too() -> None:
    """It takes no entry in a column or a dialect that it doesn't know."""
    data = profile(b"a,b\n1,x\n2,y\n").to_dict()
    assert set(data["dialect"]) == {"delimiter", "encoding"}
    known = {"name", "kind", "missing", "counts", "least", "most", "mean"}
    assert all(set(column) == known for column in data["columns"])
    del data["header"], data["details"]
    old = TableProfile.from_dict(data)
    assert old.dialect == Dialect(",", "utf-8", True)
    assert (old.columns[0].integer, old.columns[0].quantiles) == (False, None)
    assert "std" in old.columns[0].to_dict()


def test_a_table_in_another_encoding_is_a_data_error() -> None:
    with pytest.raises(DataError, match="isn't utf-8 text"):
        CsvTable(io.BytesIO(b"\xff,b\n"), Dialect(",", "utf-8"), CsvLimits())
    content = b"a,b\n" + b"1,2\n" * 100_000 + b"\xff,2\n"
    table = CsvTable(io.BytesIO(content), Dialect(",", "utf-8"), CsvLimits())
    with pytest.raises(DataError, match="isn't utf-8 text"):
        list(table)
