"""Drift and explanations: numbers from the schema and the model, without scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from beanft.ml.drift import bin_counts, drift_of, psi
from beanft.ml.explain import explain, usual_text
from beanft.ml.feature_statistics import with_statistics
from beanft.ml.predict import Predictions
from beanft.ml.rows import Inputs, inputs_from_objects
from beanft.ml.schema import Feature, Schema

SCHEMA = Schema((Feature("0", "number"), Feature("colour", "text")), "y", ("a", "b"))


def inputs(numbers: list[float], texts: list[str]) -> Inputs:
    words = np.array([[text] for text in texts], dtype=object)
    return Inputs(np.array([[number] for number in numbers], dtype=np.float32), words)


def test_statistics_are_those_of_the_rows() -> None:
    numbers = [*(float(n) for n in range(1, 101)), math.nan]
    texts = ["red"] * 60 + ["green"] * 30 + [""] * 11
    found = with_statistics(SCHEMA, inputs(numbers, texts))
    number, text = found.features
    assert (number.least, number.most, number.median, number.integer) == (1, 100, 50.5, True)
    assert number.edges == (10, 20, 30, 40, 50, 60, 70, 80, 90)
    assert [round(share * 101) for share in number.shares] == [9, *[10] * 8, 11, 1]
    assert text.values == ("green", "red")
    assert [round(share * 101) for share in text.shares] == [30, 60, 0, 11]
    assert Schema.from_dict(found.to_dict()) == found


def test_numbers_are_written_short_and_edges_meet_their_own_rows() -> None:
    values = [0.1, 0.2, 0.3, 5.8, 4.3, 4.4]
    number, _ = with_statistics(SCHEMA, inputs(values, [""] * 6)).features
    assert number.median == 2.3
    assert number.integer is False
    assert set(number.edges) <= set(values)
    tiny, _ = with_statistics(SCHEMA, inputs([1e-9, 2e-9, 4e-9], [""] * 3)).features
    assert tiny.median == 2e-9
    counts = bin_counts(
        Schema((number, SCHEMA.features[1]), "y", ()), inputs([number.edges[0]], ["x"])
    )
    assert counts[0].tolist()[1] == 1, "an edge belongs to the bin above it"
    assert counts[1].tolist() == [1, 0]


def test_new_missing_and_no_values_have_bins() -> None:
    schema = with_statistics(SCHEMA, inputs([1, 2, 3, 4], ["red", "red", "green", ""]))
    numbers, texts = bin_counts(schema, inputs([-9, 99, math.nan], ["mauve", "red", ""]))
    assert (numbers[0], numbers[-2], numbers[-1], numbers.sum()) == (1, 1, 1, 3)
    assert texts.tolist() == [0, 1, 1, 1]
    empty = bin_counts(schema, inputs_from_objects(schema, []))
    assert [counts.sum() for counts in empty] == [0, 0]
    assert [len(counts) for counts in empty] == [len(f.shares) for f in schema.features]
    old = bin_counts(SCHEMA, inputs([1, math.nan], ["red", ""]))
    assert [counts.tolist() for counts in old] == [[1, 1], [1, 1]]


def test_the_index_is_the_published_sum() -> None:
    expected, counts = [0.5, 0.3, 0.2, 0.0], [20, 30, 50, 0]
    by_hand = (
        (0.2 - 0.5) * math.log(0.2 / 0.5)
        + (0.3 - 0.3) * math.log(1)
        + (0.5 - 0.2) * math.log(0.5 / 0.2)
    )
    assert math.isclose(psi(expected, counts) or 0, by_hand, rel_tol=1e-9)
    assert psi([0.5, 0.5], [50, 50]) == 0
    new = psi([1.0, 0.0], [0, 10])
    assert new is not None
    assert math.isfinite(new)
    assert new > 1
    assert psi([], [1, 2]) is None
    assert psi([0.5, 0.5], [0, 0]) is None
    with pytest.raises(ValueError, match="can't be compared"):
        psi([1.0], [1, 2])


def test_like_rows_are_stable_and_moved_ones_are_not() -> None:
    generator = np.random.default_rng(0)
    learned = generator.normal(size=2000).tolist()
    schema = with_statistics(SCHEMA, inputs(learned, [""] * 2000))
    shares = schema.features[0].shares
    for shift, word in ((0.0, "stable"), (0.4, "moderate"), (1.5, "large")):
        later = (generator.normal(size=1000) + shift).tolist()
        index = psi(shares, bin_counts(schema, inputs(later, [""] * 1000))[0])
        assert index is not None
        assert drift_of(index, 1000) == word
    assert drift_of(9.0, 10) == "few"


class Sum:
    """A regression that adds its numbers, and 10 for red."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def predict(self, rows: Inputs) -> Predictions:
        """Add."""
        red = 10 * (rows.texts[:, 0] == "red")
        return Predictions(values=(rows.numbers.sum(axis=1) + red).tolist())


def test_an_effect_is_the_value_against_the_usual_one() -> None:
    schema = with_statistics(SCHEMA, inputs([1, 2, 3], ["green", "green", "red"]))
    model: Any = Sum(schema)
    assert explain(model, inputs([7], ["red"])) == [("colour", 10.0), ("0", 5.0)]
    assert explain(model, inputs([2], ["green"])) == [("0", 0.0), ("colour", 0.0)]
    with pytest.raises(ValueError, match="not 2"):
        explain(model, inputs([2, 3], ["green", "red"]))


def test_the_usual_text() -> None:
    often_missing = with_statistics(SCHEMA, inputs([1, 2, 3], ["", "", "red"])).features[1]
    assert usual_text(often_missing) == ""
    assert usual_text(Feature("old", "text", values=("a", "b"))) == "a"
    assert usual_text(Feature("old", "text")) == ""


def test_a_class_is_explained_by_its_probability(iris: Any) -> None:
    from beanft.ml.predict import OnnxModel

    model = OnnxModel(iris.content, iris.schema)
    row = {"sepal_length": 5.0, "sepal_width": 3.4, "petal_length": 1.4, "petal_width": 0.2}
    effects = explain(model, inputs_from_objects(iris.schema, [row]))
    assert {name for name, _ in effects} == set(row)
    assert effects[0][0].startswith("petal")
    assert effects[0][1] > 0.1, "a short petal speaks for setosa"
    sizes = [abs(effect) for _, effect in effects]
    assert sizes == sorted(sizes, reverse=True)
