"""Rows are read all at once exactly as they were read one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beanft.ml.errors import DataError, Problem
from beanft.ml.rows import FEW, FLOAT32_MAX, Inputs, RowReader, inputs_from_cells
from beanft.ml.schema import Feature, Schema
from tests.unit import rows_reference

NUMBER, TEXT = Feature("n", "number"), Feature("0", "text")
SCHEMAS = [
    Schema(features, "target", ("a", "b"))
    for features in (
        (NUMBER,),
        (TEXT,),
        (NUMBER, TEXT),
        (Feature("a b", "number"), TEXT, NUMBER, Feature("wide", "text")),
    )
]
ODD_CELLS = [
    *(
        "",
        " ",
        "NA",
        "n/a",
        "NaN",
        "-nan",
        "null",
        "None",
        "?",
        "inf",
        "-Infinity",
        "1_000",
        "1e39",
    ),
    *("-1e39", "1e308", "1e999", " 2.5 ", "+3", "-0", "1e-50", "0x10", "\u0661", "x", "=1+1", "-"),
    *("3.4028234663852886e38", "3.4028235677973366e38", "-3.4028234663852887e38", "\x00", "1\n"),
]
cells = st.one_of(
    st.sampled_from(ODD_CELLS), st.floats().map(str), st.integers().map(str), st.text(max_size=5)
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.sampled_from([FLOAT32_MAX, -FLOAT32_MAX, FLOAT32_MAX * (1 + 1e-9), [], {}]),
    st.sampled_from(ODD_CELLS),
    st.text(max_size=5),
)


def outcome(read: Callable[[], Any]) -> tuple[Any, ...]:
    """Return what came of reading: arrays as bytes and lists, or the problems."""
    try:
        inputs: Inputs = read()
    except DataError as error:
        return ("problems", error.problems)
    return ("inputs", inputs.numbers.tobytes(), inputs.texts.tolist())


def rows_of(schema: Schema) -> st.SearchStrategy[list[Any]]:
    good = st.fixed_dictionaries(
        {
            feature.name: st.floats(-1e6, 1e6) | st.integers(-(2**70), 2**70) | st.none()
            if feature.kind == "number"
            else st.none() | st.text(max_size=4)
            for feature in schema.features
        },
        optional={"target": values},
    )
    names = st.sampled_from([*(feature.name for feature in schema.features), "target", "other"])
    bad = st.dictionaries(names, values, max_size=6) | values
    return st.lists(good, min_size=1, max_size=8) | st.lists(good | bad, min_size=1, max_size=25)


@given(st.data())
def test_objects_as_one_by_one(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    rows = data.draw(rows_of(schema))
    assert outcome(lambda: RowReader(schema).objects(rows)) == outcome(
        lambda: rows_reference.inputs_from_objects(schema, rows)
    )


@given(st.data())
def test_cells_as_one_by_one(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    names = [feature.name for feature in schema.features]
    header = data.draw(st.permutations([*names, "target"]) | st.permutations(names))
    if data.draw(st.integers(0, 9)) == 0:
        header = [*header[1:], "other"]
    kinds = data.draw(st.sampled_from([cells, st.integers().map(str), st.sampled_from(["1", ""])]))
    row = st.lists(kinds, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, min_size=1, max_size=30))
    start = data.draw(st.sampled_from([1, 7]))
    assert outcome(lambda: inputs_from_cells(schema, header, rows, row_start=start)) == outcome(
        lambda: rows_reference.inputs_from_cells(schema, header, rows, row_start=start)
    )


@given(st.lists(st.floats(-1e39, 1e39) | st.integers(-(10**40), 10**40) | st.none(), max_size=200))
@example([1.5] * (FEW + 1))
@example([10**400] * (FEW + 1))
@example([float("nan")] * (FEW + 1))
def test_many_rows_as_few(found: list[Any]) -> None:
    schema, rows = SCHEMAS[0], [{"n": value} for value in found]
    assert outcome(lambda: RowReader(schema).objects(rows)) == outcome(
        lambda: rows_reference.inputs_from_objects(schema, rows)
    )


@pytest.mark.parametrize("schema", SCHEMAS)
def test_no_rows_have_the_models_columns(schema: Schema) -> None:
    header = [feature.name for feature in schema.features]
    for inputs in (RowReader(schema).objects([]), RowReader(schema).cells(header, [])):
        assert inputs.numbers.shape == (0, len(schema.numbers))
        assert inputs.texts.shape == (0, len(schema.texts))


def test_rows_are_counted_from_one() -> None:
    with pytest.raises(DataError) as error:
        RowReader(SCHEMAS[0]).objects([{"n": 1}, {"n": "1"}])
    assert error.value.problems == [Problem("must be a number, not text", row=2, column="n")]
