"""From a table to a model that answers like scikit-learn's."""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from beanft.ml.convert import check_parity
from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import ConversionError, DataError
from beanft.ml.evaluate import evaluate
from beanft.ml.golden import golden_difference, make_golden
from beanft.ml.plan import ESTIMATORS, Plan, check_plan
from beanft.ml.predict import OnnxModel, Predictions, sha256_hex
from beanft.ml.profile import profile_csv
from beanft.ml.rows import inputs_from_cells, inputs_from_objects
from beanft.ml.schema import Schema
from beanft.training.sample import SAMPLES


def held_out() -> tuple[list[str], list[list[str]]]:
    with (SAMPLES / "iris_TEST.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    return header, rows


def mixed_table() -> bytes:
    """Numbers with gaps, text, and a class that depends on both."""
    random.seed(4)
    lines = ["size,colour,0,label"]
    for _ in range(120):
        size = random.uniform(0, 10)  # noqa: S311 - data, not a secret
        colour = random.choice(["red", "green", ""])  # noqa: S311
        label = "yes" if size > 5 or colour == "red" else "no"
        shown = "" if random.random() < 0.1 else f"{size:.3f}"  # noqa: S311
        lines.append(f"{shown},{colour},{random.randint(0, 9)},{label}")  # noqa: S311
    return "\n".join(lines).encode()


def test_iris_scores_on_the_held_out_file(iris: Any) -> None:
    header, rows = held_out()
    answer = OnnxModel(iris.content, iris.schema).predict(
        inputs_from_cells(iris.schema, header, rows)
    )
    hits = sum(label == row[-1] for label, row in zip(answer.labels, rows, strict=True))
    assert hits / len(rows) >= 0.93
    assert answer.probabilities.shape == (30, 3)
    assert np.allclose(answer.probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS["classification"])
def test_every_offered_estimator_converts_text_and_gaps(
    estimator: str, train: Callable[..., Any]
) -> None:
    trained = train(mixed_table(), "label", estimator)
    assert trained.metrics["accuracy"] > 0.7
    assert trained.metrics["parity"]["worst"] <= 1e-4
    assert [feature.kind for feature in trained.schema.features] == ["number", "text", "number"]
    assert Schema.from_dict(trained.schema.to_dict()) == trained.schema
    model = OnnxModel(trained.content, trained.schema)
    unseen = [{"size": None, "colour": "mauve", "0": 3}]
    assert model.predict(inputs_from_objects(trained.schema, unseen)).labels[0] in {"yes", "no"}


def test_text_alone_and_no_rows(train: Callable[..., Any]) -> None:
    table = b"a,b\n" + b"x,1\ny,0\n" * 12
    trained = train(table, "b", "decision_tree")
    model = OnnxModel(trained.content, trained.schema)
    rows = inputs_from_objects(trained.schema, [{"a": "x"}, {"a": "y"}])
    assert model.predict(rows).labels == ["1", "0"]
    assert model.predict(inputs_from_objects(trained.schema, [])).labels == []


def test_many_rows_are_predicted_in_pieces(iris: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OnnxModel(iris.content, iris.schema)
    header, rows = held_out()
    inputs = inputs_from_cells(iris.schema, header, rows)
    whole = model.predict(inputs)
    monkeypatch.setattr("beanft.ml.predict.CHUNK_ROWS", 7)
    pieces = model.predict(inputs)
    assert pieces.labels == whole.labels
    assert np.allclose(pieces.probabilities, whole.probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("table", "field", "said"),
    [
        (b"a,y\n" + b"1,x\n" * 12, "target", "one class only"),
        (b"a,y\n" + b"1,x\n2,x\n" * 6 + b"3,z\n", "target", "'z' of 'y' has one row"),
        (b"a,y\n1,x\n2,z\n", "target", "at least 10"),
        (b"a,y\n" + b"1,x\n2,z\n3,\n" * 6, "target", "6 of 18 rows have no value"),
        (b"a,y\n" + b"1,x\n1,z\n" * 6, "features", "the same value in every row"),
        (b"a,y\n" + b",x\n,z\n" * 6, "features", "no values"),
        (
            b"a,y\n" + b"".join(b"name%d,%s\n" % (i, b"xz"[i % 2 :][:1]) for i in range(60)),
            "features",
            "more than 50 different values",
        ),
        (
            b"a,y\n" + b"".join(b"%d,%d.5\n" % (i % 3, i) for i in range(60)),
            "target",
            "looks like a measurement",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_names_the_field(
    table: bytes, field: str, said: str
) -> None:
    profile = profile_csv(io.BytesIO(table), CsvLimits())
    with pytest.raises(DataError) as caught:
        check_plan(Plan("y", ("a",), ("decision_tree",)), profile)
    assert any(p.field == field and said in p.message for p in caught.value.problems)


def test_a_plan_that_names_nothing_sensible() -> None:
    profile = profile_csv(io.BytesIO(b"a,y\n" + b"1,x\n2,z\n" * 6), CsvLimits())
    for plan in (
        Plan("", ("a",), ("decision_tree",)),
        Plan("y", (), ("decision_tree",)),
        Plan("y", ("y",), ("decision_tree",)),
        Plan("y", ("gone",), ("decision_tree",)),
        Plan("y", ("a",), ("pickle",)),
    ):
        with pytest.raises(DataError):
            check_plan(plan, profile)


def test_two_fits_are_equal(iris: Any, train: Any) -> None:
    again = train.__wrapped__((SAMPLES / "iris.csv").read_bytes(), "species")
    assert sha256_hex(again.content) == sha256_hex(iris.content)
    assert again.metrics == iris.metrics


def test_measures_of_a_known_confusion() -> None:
    found = evaluate(["a", "b", "c"], ["a", "a", "b", "b"], ["a", "b", "b", "b"])
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    a, b, c = found["classes"]
    assert (a["precision"], a["recall"]) == (1, 0.5)
    assert math.isclose(b["precision"], 2 / 3)
    assert (c["precision"], c["recall"], c["f1"]) == (None, None, None)


def test_golden_predictions_notice_what_differs(iris: Any) -> None:
    model = OnnxModel(iris.content, iris.schema)
    golden = make_golden(model, "abc", *held_out())
    assert golden_difference(model, "abc", golden) is None
    assert "another artefact" in str(golden_difference(model, "abd", golden))
    other = {**golden, "labels": ["setosa"] * 30}
    assert "another label" in str(golden_difference(model, "abc", other))
    older = {**golden, "versions": {"onnxruntime": "1.0"}}
    assert golden_difference(model, "abc", older) is None, "another version that predicts the same"
    said = str(golden_difference(model, "abc", {**older, "labels": other["labels"]}))
    assert "another label; it was released with onnxruntime 1.0 and not" in said
    moved = [[p + 0.01 for p in row] for row in golden["probabilities"]]
    assert "differs by" in str(golden_difference(model, "abc", {**golden, "probabilities": moved}))


class Fixed:
    """A classifier with fixed answers."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.probabilities = np.array(probabilities)

    def predict_proba(self, rows: object) -> Any:
        """Return the given probabilities."""
        return self.probabilities

    def predict(self, rows: object) -> Any:
        """Return the likelier class."""
        return np.array(["a", "b"])[self.probabilities.argmax(axis=1)]


def test_parity_refuses_other_labels_and_probabilities_but_not_ties() -> None:
    rows = np.zeros((1, 1))

    def answer(label: str, *probabilities: float) -> Predictions:
        return Predictions([label], np.array([probabilities], dtype=np.float32))

    check_parity(Fixed([[0.5, 0.5]]), rows, answer("b", 0.5, 0.5))
    with pytest.raises(ConversionError, match="probability"):
        check_parity(Fixed([[0.6, 0.4]]), rows, answer("a", 0.61, 0.39))
    with pytest.raises(ConversionError, match="label"):
        check_parity(Fixed([[0.6, 0.4]]), rows, answer("b", 0.6, 0.4))
    with pytest.raises(ConversionError):
        check_parity(Fixed([[0.6, 0.4]]), rows, answer("a", float("nan"), 0.4))


def test_rows_are_checked_by_row_and_column(train: Callable[..., Any]) -> None:
    schema = train(mixed_table(), "label", "decision_tree").schema
    good = {"size": 1, "colour": "red", "0": 2}
    bad = [
        {**good, "label": "yes"},
        {**good, "size": "1"},
        {**good, "size": True},
        {**good, "colour": 4},
        {**good, "extra": 1},
        {"colour": "red", "0": 2},
        [1, 2],
        {**good, "size": 1e300},
        {**good, "size": 10**400},
    ]
    with pytest.raises(DataError) as caught:
        inputs_from_objects(schema, bad)
    assert [(p.row, p.column) for p in caught.value.problems] == [
        (2, "size"),
        (3, "size"),
        (4, "colour"),
        (5, "extra"),
        (6, "size"),
        (7, None),
        (8, "size"),
        (9, "size"),
    ]


def test_cells_are_checked_by_row_and_column(train: Callable[..., Any]) -> None:
    schema = train(mixed_table(), "label", "decision_tree").schema
    header = ["0", "colour", "size"]
    inputs = inputs_from_cells(schema, header, [["1", "", "NA"]])
    assert np.isnan(inputs.numbers[0, 0])
    assert inputs.texts[0, 0] == ""
    with pytest.raises(DataError) as caught:
        inputs_from_cells(schema, header, [["1", "red", "2"], ["x", "red", "1e300"]])
    assert [(p.row, p.column) for p in caught.value.problems] == [(2, "size"), (2, "0")]
    with pytest.raises(DataError, match="is missing"):
        inputs_from_cells(schema, ["0", "colour"], [])
