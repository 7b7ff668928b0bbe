"""Predictions of series, whose current version answers, and of numbers."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from beanft.core.database import Database
from beanft.predictions import service
from beanft.training.service import promote

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SERIES = "5" * 20


def test_a_series_answers_by_its_current_version(
    caller: Any,
    iris: Any,
    make_model: Any,
    make_user: Any,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "CATALOG_SECONDS", 0.0)  # read when the first request comes
    first = make_model(iris, caller.user.id, series_id=SERIES, version=1, is_current=True)
    second = make_model(iris, caller.user.id, series_id=SERIES, version=2)
    other = make_model(iris, make_user("dora@example.org").id, series_id="6" * 20)

    def model_that_answers(address: str) -> str:
        answer = caller.post(f"/api/v1/models/{address}/predictions", json={"rows": [ROW]})
        assert answer.status_code == 200
        assert answer.json["predictions"] == [{"label": "setosa"}]
        found: str = answer.json["model"]
        return found

    assert model_that_answers(SERIES) == first.id
    promote(database, caller.user.id, second.id)
    assert model_that_answers(SERIES) == second.id
    assert model_that_answers(first.id) == first.id
    answer = caller.post(f"/api/v1/models/{other.series_id}/predictions", json={"rows": [ROW]})
    assert answer.status_code == 404


def test_numbers_are_predicted_as_values(caller: Any, train: Any, make_model: Any) -> None:
    lines = [f"{x / 10},{x / 5 + 1}" for x in range(100)]
    trained = train("\n".join(["x,y", *lines]).encode(), "y", "linear_regression")
    model = make_model(trained, caller.user.id)
    path = f"/api/v1/models/{model.id}/predictions"
    answer = caller.post(path + "?probabilities=true", json={"rows": [{"x": 2}, {"x": 3}]})
    assert answer.json["target"] == "y"
    values = [entry["value"] for entry in answer.json["predictions"]]
    assert values == pytest.approx([5, 7], abs=0.2)
    assert [list(entry) for entry in answer.json["predictions"]] == [["value"]] * 2
    answer = caller.post(
        path, data=b"x\n2\n3\n", content_type="text/csv", headers={"Accept": "text/csv"}
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [list(row) for row in rows] == [["x", "predicted_y"]] * 2
    assert [float(row["predicted_y"]) for row in rows] == pytest.approx(values, rel=1e-6)
