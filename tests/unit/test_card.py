"""The sentences of a model card come from facts, and only where the facts call for them."""

from __future__ import annotations

from typing import Any

import pytest

from beanft.jobs.models import Job
from beanft.training import card
from beanft.training.models import Model
from beanft.training.progress import results_of

SCHEMA: dict[str, Any] = {
    "features": [
        {"name": f"n{n}", "kind": "number", "least": 0, "most": n, "median": 0} for n in range(5)
    ],
    "target": "y",
    "classes": ["p", "q"],
}
GOOD: dict[str, Any] = {"accuracy": 0.9, "rows": 250, "train_rows": 1000, "baseline": 0.5}


def model(metrics: dict[str, Any], task: str = "classification", **schema: Any) -> Model:
    data = {**SCHEMA, "task": task, **schema}
    return Model(id="m", user_id="u", task=task, metrics=metrics, schema_data=data)


def test_a_good_model_is_said_no_more_than_its_reach() -> None:
    reach, other = card.limits(model(GOOD))
    assert "n0 0 to 0, n1 0 to 1, n2 0 to 2 and 2 more" in reach
    assert "another place or time" in other


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"baseline": 0.87}, "hardly better than always answering the most frequent class"),
        ({"train_rows": 120}, "learned from 120 rows"),
        ({"cv": {"std": 0.08}}, "varies by 8 points"),
        ({"classes": [{"name": "p", "recall": 0.4}]}, "more than half of the rows of some"),
        ({"classes": [{"name": "p", "recall": 0.4}]}, "p (40 %)"),
        ({"balance": [{"name": "q", "rows": 7}]}, "few rows: q (7)"),
        ({"learning_curve": [{"train": 0.99, "test": 0.8}]}, "learned from (99.0 %) than on"),
    ],
)
def test_each_weakness_is_said(more: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in card.limits(model({**GOOD, **more})))


@pytest.mark.parametrize(
    "more",
    [
        {"cv": {}},
        {"cv": {"std": 0.01}},
        {"classes": [{"name": "p", "recall": None}, {"name": "q", "recall": 0.9}]},
        {"balance": [{"name": "q", "rows": 70}]},
        {"learning_curve": []},
        {"learning_curve": [{"train": None, "test": 0.8}]},
        {"learning_curve": [{"train": 0.85, "test": 0.8}]},
    ],
)
def test_what_is_no_weakness_is_not(more: dict[str, Any]) -> None:
    assert len(card.limits(model({**GOOD, **more}))) == 2


def test_regressions_are_said_in_their_own_measures() -> None:
    metrics = {
        "score": {"name": "r2", "value": 0.42},
        "baseline": 0.4,
        "cv": {"folds": 5, "mean": 0.41, "std": 0.12},
        "mae": 43.25,
        "rmse": 54.0,
        "rows": 89,
        "train_rows": 353,
    }
    found = model(metrics, "regression", classes=[])
    said = " ".join(card.limits(found))
    assert "always answering the mean" in said
    assert "varies by 0.12" in said
    values = {measure.name: measure.value for measure in card.measures(found)}
    assert values == {
        "R2": "0.420",
        "Baseline": "0.400",
        "Cross-validation": "0.410 ± 0.120",
        "MAE": "43.25",
        "RMSE": "54",
    }
    assert "on 89 rows" in card.measures(found)[0].meaning


def test_an_older_row_has_its_accuracy_and_no_more() -> None:
    (measure,) = card.measures(model({"accuracy": 0.9, "rows": 30}))
    assert (measure.name, measure.value) == ("Accuracy", "90.0 %")
    (unknown,) = card.measures(model({}))
    assert unknown.value == "-"
    assert "held-out rows" in unknown.meaning


def test_text_and_missing_values_are_said() -> None:
    features = [{"name": "c", "kind": "text", "values": ["x"], "shares": [0.6, 0.0, 0.4]}]
    said = card.limits(model(GOOD, features=features))
    assert "Values of c that it has not seen count as unknown." in said
    assert "Many training rows had no value for c (40 %)." in said


def test_scores_are_text() -> None:
    assert card.score_text(None, "regression") == "-"
    assert card.spread_text(None, 0.1, "classification") == "-"
    assert card.spread_text(0.5, None, "classification") == "50.0 %"
    assert card.score_name("regression") == "R2"
    assert card.score_name("classification") == "Accuracy"
    assert card.cv_text(model({"cv": {"mean": 0.5, "std": 0.25}})) == "50.0 ± 25.0 %"
    assert card.cv_text(model({})) == "-"


def job(state: str, results: dict[str, Any] | None, **plan: Any) -> Job:
    data = {"target": "y", "features": ["a"], "estimator": "logistic_regression", "seed": 7, **plan}
    return Job(state=state, plan_data=data, results=results)


def test_results_come_in_the_plans_order_with_what_is_known() -> None:
    entries = [
        {"estimator": "random_forest", "state": "running", "cv": {"mean": 0.9, "std": 0.05}},
        {
            "estimator": "logistic_regression",
            "state": "done",
            "cv": {"mean": 0.96, "std": 0.01},
            "score": 0.95,
            "seconds": 0.123,
            "message": None,
            "model_id": "m",
        },
    ]
    plan = {"estimators": ["logistic_regression", "random_forest"], "task": "classification"}
    first, second = results_of(job("running", {"estimators": entries}, **plan))
    assert first.to_dict() == {
        "estimator": "logistic_regression",
        "name": "Logistic regression",
        "state": "done",
        "cv": "96.0 ± 1.0 %",
        "score": "95.0 %",
        "seconds": "0.1",
        "message": "",
        "model_id": "m",
    }
    assert (second.state, second.cv, second.score) == ("running", "90.0 ± 5.0 %", "-")
    # A training that was cancelled runs nothing any more.
    _first, second = results_of(job("cancelled", {"estimators": entries}, **plan))
    assert second.state == "stopped"


def test_an_older_job_has_one_estimator_and_no_results() -> None:
    (result,) = results_of(job("queued", None))
    assert (result.estimator, result.state, result.cv) == ("logistic_regression", "waiting", "-")
