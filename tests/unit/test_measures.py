"""Measures of answers that are known, and the choice of rows and folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from beanft.ml.convert import check_parity
from beanft.ml.errors import ConversionError
from beanft.ml.estimators import MOST_NEIGHBOR_ROWS, most_rows
from beanft.ml.evaluate import calibration, evaluate_numbers, r2
from beanft.ml.predict import Predictions
from beanft.ml.results import ended, waiting
from beanft.ml.training_data import pick_rows
from beanft.ml.validation import cross_validate, fit_and_score, fold_count


def test_rows_are_chosen_by_group() -> None:
    assert {k: len(v) for k, v in pick_rows({"a": 900, "b": 90, "c": 3}, 100, 1).items()} == {
        "a": 91,
        "b": 10,
        "c": 3,
    }
    assert len(pick_rows({"a": 5}, 100, 1)["a"]) == 5


def test_costly_estimators_learn_from_fewer_rows() -> None:
    assert most_rows("logistic_regression", 20, 2) > 100_000
    assert most_rows("random_forest", 20, 2) < most_rows("random_forest", 10, 2)
    assert most_rows("gradient_boosting", 20, 10) < most_rows("gradient_boosting", 20, 2)
    assert most_rows("nearest_neighbors", 1, 2) == MOST_NEIGHBOR_ROWS
    assert most_rows("random_forest", 10**9, 2) == 1000


def test_folds_are_as_many_as_the_smallest_class_has_rows() -> None:
    def labels(**counts: int) -> Any:
        return np.array([k for k, n in counts.items() for _ in range(n)], dtype=object)

    assert fold_count(labels(a=20, b=20)) == 5
    assert fold_count(labels(a=20, b=3)) == 3
    assert fold_count(labels(a=20, b=1)) == 2
    assert fold_count(np.arange(8.0)) == 4
    assert fold_count(np.arange(80.0)) == 5


def test_a_fold_of_one_class_answers_it() -> None:
    def never(_rows: int) -> Any:
        raise AssertionError

    rows, target = np.zeros((4, 1)), np.array(["a"] * 4, dtype=object)
    checks = [(np.zeros((2, 1)), np.array(["a", "b"], dtype=object))]
    assert fit_and_score(never, rows, target, checks) == [0.5]


def test_cross_validation_scores_rows_it_did_not_learn() -> None:
    class Memory:
        """Knows by heart what it has seen, and answers 0 to what it hasn't."""

        def fit(self, rows: Any, target: Any) -> Memory:
            """Learn."""
            self.known = dict(zip(rows[:, 0], target, strict=True))
            return self

        def predict(self, rows: Any) -> Any:
            """Remember."""
            return np.array([self.known.get(x, 0.0) for x in rows[:, 0]])

    rows = np.arange(20.0).reshape(-1, 1)
    seen: list[tuple[int, int]] = []
    found = cross_validate(lambda _: Memory(), rows, rows[:, 0] + 5, 1, lambda *f: seen.append(f))
    assert all(score < 0 for score in found["scores"])
    assert seen == [(n, 5) for n in range(1, 6)]


def test_measures_of_known_numbers() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    found = evaluate_numbers(truth, truth + np.array([1, -1, 1, -1]))
    assert (found["mae"], found["rmse"], found["r2"]) == (1, 1, pytest.approx(0.2))
    assert found["scatter"] == [[1, 2], [2, 1], [3, 4], [4, 3]]
    assert r2(np.ones(3), np.ones(3)) == 1
    assert r2(np.ones(3), np.zeros(3)) == 0
    many = evaluate_numbers(np.arange(1000.0), np.arange(1000.0))
    assert len(many["scatter"]) == 300
    assert many["scatter"][0] == [0, 0]
    assert many["scatter"][-1] == [999, 999]


def test_calibration_of_known_answers() -> None:
    found = calibration(np.array([0.55, 0.59, 1.0, 0.91]), np.array([True, False, True, True]))
    assert [(part["observed"], part["rows"]) for part in found] == [(0.5, 2), (1.0, 2)]
    assert found[0]["predicted"] == pytest.approx(0.57)


class Numbers:
    """A regression with fixed answers."""

    def __init__(self, *values: float) -> None:
        self.values = np.array(values)

    def predict(self, rows: Any) -> Any:
        """Return them."""
        return self.values[: len(rows)]


def test_parity_of_numbers_is_relative_to_their_spread() -> None:
    rows = np.zeros((3, 1))

    def answer(*values: float) -> Predictions:
        return Predictions(values=list(values))

    large = Numbers(1000.0, 2000.0, 3000.0)
    assert check_parity(large, rows, answer(1000.5, 2000, 3000))["worst"] == 0.5
    with pytest.raises(ConversionError, match="number differs by 5"):
        check_parity(large, rows, answer(1005, 2000, 3000))
    with pytest.raises(ConversionError, match="number differs"):
        check_parity(Numbers(1.0, 2.0, 3.0), rows, answer(1.5, 2, 3))
    with pytest.raises(ConversionError):
        check_parity(large, rows, answer(float("nan"), 2000, 3000))
    check_parity(Numbers(5.0, 5.0, 5.0), rows, answer(5.000001, 5, 5))


def test_results_that_end_early_say_why() -> None:
    results = waiting(("decision_tree", "random_forest", "logistic_regression"))
    results["estimators"][0]["state"] = "done"
    results["estimators"][1]["state"] = "running"
    last = ended(results, "Cancelled.")
    assert [entry["state"] for entry in last["estimators"]] == ["done", "failed", "failed"]
    assert last["estimators"][1]["message"] == "Cancelled."
    assert last["estimators"][2]["message"] == "It was not reached. Cancelled."
    assert results["estimators"][1]["state"] == "running", "the original is left alone"
