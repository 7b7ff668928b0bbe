"""The REST API: keys, models, predictions, and problems that say where."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest
from flask import Flask

from beanft.core.database import Database
from beanft.training.models import Model
from beanft.training.sample import SAMPLES
from beanft.users import keys
from tests.kept import Kept

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
PROBLEM = "application/problem+json"


@pytest.fixture
def model(caller: Any, iris: Any, make_model: Any) -> Model:
    found: Model = make_model(iris, caller.user.id)
    return found


def path(model: Model) -> str:
    return f"/api/v1/models/{model.id}/predictions"


def check_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.mimetype == PROBLEM
    body: dict[str, Any] = answer.json
    assert body["status"] == status
    assert body["detail"]
    assert body["title"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def test_version_needs_no_key(api: Flask) -> None:
    answer = api.test_client().get("/api/v1/version")
    assert answer.json == {"version": "1.2.3", "revision": "0123abcd"}
    assert answer.headers["X-Beanft-Revision"] == "0123abcd"
    assert api.test_client().get("/healthz").json["service"] == "api"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer bft_wrong", "Basic YTpi", "bft_x"])
def test_no_valid_key_no_answer(api: Flask, model: Model, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for answer in (
        api.test_client().get("/api/v1/models", headers=headers),
        api.test_client().get(f"/api/v1/models/{model.id}", headers=headers),
        api.test_client().post(path(model), json={"rows": [ROW]}, headers=headers),
    ):
        check_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_stops_working_within_the_cache_time(
    caller: Any, database: Database, settings: Any
) -> None:
    assert caller.get("/api/v1/models").status_code == 200
    assert keys.keys_of(database, caller.user.id)[0].last_used_at is not None
    keys.revoke_key(database, caller.user.id, caller.key_id)
    time.sleep(settings.key_cache_seconds + 0.05)
    check_problem(caller.get("/api/v1/models"), 401)


def test_models_and_their_details(caller: Any, model: Model) -> None:
    (entry,) = caller.get("/api/v1/models").json["models"]
    assert entry["id"] == model.id
    assert 0.9 < entry["accuracy"] <= 1
    detail = caller.get(f"/api/v1/models/{model.id}").json
    assert [f["name"] for f in detail["schema"]["features"]] == list(ROW)
    assert detail["schema"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert len(detail["metrics"]["confusion"]) == 3
    assert "storage_key" not in json.dumps(detail)


def test_json_rows(caller: Any, model: Model) -> None:
    answer = caller.post(path(model), json={"rows": [ROW, {**ROW, "petal_length": None}]})
    assert answer.status_code == 200
    assert answer.json["predictions"][0] == {"label": "setosa"}
    answer = caller.post(path(model) + "?probabilities=true", json={"rows": [ROW]})
    (entry,) = answer.json["predictions"]
    assert entry["label"] == "setosa"
    assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_csv_in_csv_out_scores_as_promised(caller: Any, model: Model) -> None:
    content = (SAMPLES / "iris_TEST.csv").read_bytes()
    answer = caller.post(
        path(model), data=content, content_type="text/csv", headers={"Accept": "text/csv"}
    )
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(row["species"] == row["predicted_species"] for row in rows) >= 0.93 * len(rows)
    as_json = caller.post(path(model), data=content, content_type="text/csv; charset=utf-8")
    labels = [entry["label"] for entry in as_json.json["predictions"]]
    assert labels == [row["predicted_species"] for row in rows]


def test_json_in_csv_out(caller: Any, model: Model) -> None:
    answer = caller.post(path(model), json={"rows": [ROW]}, headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["predicted_species"], row["petal_width"]) == ("setosa", "0.2")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({**ROW, "petal_width": "wide"}, "petal_width"),
        ({**ROW, "petal_width": True}, "petal_width"),
        ({**ROW, "petal_width": [1]}, "petal_width"),
        ({**ROW, "petal_width": 1e39}, "petal_width"),
        ({**ROW, "colour": "blue"}, "colour"),
        ({name: value for name, value in ROW.items() if name != "sepal_width"}, "sepal_width"),
    ],
)
def test_wrong_rows_name_row_and_column(
    caller: Any, model: Model, row: dict[str, Any], column: str
) -> None:
    body = check_problem(caller.post(path(model), json={"rows": [ROW, row]}), 422)
    (error,) = body["errors"]
    assert (error["row"], error["column"]) == (2, column)
    assert error["message"]


def test_values_whose_sums_overflow_are_no_prediction(caller: Any, model: Model) -> None:
    far = dict.fromkeys(ROW, 3e38)
    for query in ("", "?probabilities=true"):
        answer = caller.post(path(model) + query, json={"rows": [ROW, far, {**ROW}, far]})
        errors = check_problem(answer, 422)["errors"]
        assert [error["row"] for error in errors] == [2, 4]
        assert "too large" in errors[0]["message"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"sepal_length,sepal_width,petal_length,petal_width\n1,2,3,x\n", {"row": 1}),
        (b"sepal_length,sepal_width,petal_length\n1,2,3\n", {"column": "petal_width"}),
        (b"sepal_length,sepal_length\n1,2\n", {"column": "sepal_length"}),
        (b"sepal_length,sepal_width,petal_length,petal_width\n1,2\n", {"line": 2}),
        (b"", {}),
        (b"\x00\xff", {}),
    ],
)
def test_wrong_csv_names_where(
    caller: Any, model: Model, content: bytes, error: dict[str, Any]
) -> None:
    body = check_problem(caller.post(path(model), data=content, content_type="text/csv"), 422)
    assert error.items() <= body["errors"][0].items()


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"rows": [NaN]}'])
def test_malformed_json(caller: Any, model: Model, body: bytes) -> None:
    answer = caller.post(path(model), data=body, content_type="application/json")
    check_problem(answer, 400)


@pytest.mark.parametrize("body", [[], {}, {"rows": []}, {"rows": {}}, {"rows": None}, 3])
def test_json_without_rows(caller: Any, model: Model, body: Any) -> None:
    found = check_problem(caller.post(path(model), json=body), 422)
    assert found["errors"][0]["field"] == "rows"


def test_what_the_api_does_not_take(caller: Any, model: Model) -> None:
    rows = {"rows": [ROW]}
    for content_type in ("application/xml", "application/x-www-form-urlencoded", None):
        check_problem(caller.post(path(model), data=b"x", content_type=content_type), 415)
    check_problem(caller.post(path(model) + "?probabilities=maybe", json=rows), 422)
    check_problem(caller.post(path(model), json={"rows": [ROW] * 1001}), 413)
    check_problem(caller.post(path(model), data=b"x" * 1_000_001, content_type="text/csv"), 413)
    answer = caller.get(path(model))
    check_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]
    check_problem(caller.get("/api/v1/nothing"), 404)
    check_problem(caller.get("/account"), 404)


def test_too_many_csv_rows(caller: Any, model: Model) -> None:
    content = b"sepal_length,sepal_width,petal_length,petal_width\n" + b"1,2,3,4\n" * 1001
    body = check_problem(caller.post(path(model), data=content, content_type="text/csv"), 422)
    assert "more than 1000 rows" in body["detail"]


def test_models_of_others_are_not_there(
    caller: Any, iris: Any, make_model: Any, make_user: Any
) -> None:
    other = make_model(iris, make_user("dora@example.org").id)
    check_problem(caller.get(f"/api/v1/models/{other.id}"), 404)
    check_problem(caller.post(path(other), json={"rows": [ROW]}), 404)
    check_problem(caller.post("/api/v1/models/x/predictions", json={"rows": [ROW]}), 404)
    assert caller.get("/api/v1/models").json == {"models": [], "next": None}


def test_released_models_answer_everybody_with_a_key(caller: Any, sample: Any) -> None:
    (entry,) = caller.get("/api/v1/models").json["models"]
    assert entry["released"]
    answer = caller.post(f"/api/v1/models/{entry['id']}/predictions", json={"rows": [ROW]})
    assert answer.json["predictions"] == [{"label": "setosa"}]


def test_a_damaged_model_is_not_served(caller: Any, model: Model, kept_files: Kept) -> None:
    kept_files.write(model.storage_key, kept_files.read(model.storage_key) + b"x")
    body = check_problem(caller.post(path(model), json={"rows": [ROW]}), 503)
    assert "checksum" in body["detail"]


def test_what_breaks_tells_no_details(api: Flask, caller: Any) -> None:
    def fail() -> str:
        raise RuntimeError("secret detail")

    api.add_url_rule("/api/v1/fail", view_func=fail)
    body = check_problem(caller.get("/api/v1/fail"), 500)
    assert "secret detail" not in json.dumps(body)
