"""Models over the API: lists, series, promotion, deletion, and each model's own document."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.api.listing import Position
from beanft.core.database import Database
from beanft.ml.schema import Feature, Schema
from beanft.training.models import Model
from beanft.users import keys

PATH = "/api/v1/models"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SERIES = "5e12e5" + "0" * 14
NO_ID = "0" * 20


@pytest.fixture
def versions(caller: Any, iris: Any, make_model: Any) -> list[Model]:
    """Three versions of a series; the second is current."""
    return [
        make_model(
            iris,
            caller.user.id,
            series_id=SERIES,
            version=number,
            is_current=number == 2,
            cv_score=number / 10,
            estimator="random_forest" if number == 3 else "logistic_regression",
        )
        for number in (1, 2, 3)
    ]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [entry["id"] for entry in answer.json["models"]]


def test_a_series_answers_by_its_current_version(caller: Any, versions: list[Model]) -> None:
    second, third = versions[1:]
    by_series = caller.get(f"{PATH}/{SERIES}")
    assert by_series.json["id"] == second.id
    assert by_series.json == caller.get(f"{PATH}/{second.id}").json
    predicted = caller.post(f"{PATH}/{SERIES}/predictions", json={"rows": [ROW]})
    assert predicted.json["model"] == second.id
    document = caller.get(f"{PATH}/{SERIES}/openapi.json").json
    assert list(document["paths"]) == [f"{PATH}/{second.id}/predictions"]
    for _ in range(2):
        promoted = caller.post(f"{PATH}/{third.id}/promote")
        assert (promoted.status_code, promoted.json["current"]) == (200, True)
    again = caller.client.get(
        f"{PATH}/{SERIES}",
        headers={**caller.headers, "If-None-Match": by_series.headers["ETag"]},
    )
    assert (again.status_code, again.json["id"]) == (200, third.id)
    assert caller.get(f"{PATH}/{second.id}").json["current"] is False


def test_changes_need_a_version(caller: Any, versions: list[Model]) -> None:
    assert caller.post(f"{PATH}/{SERIES}/promote").status_code == 404
    gone = caller.client.delete(f"{PATH}/{SERIES}", headers=caller.headers)
    assert gone.status_code == 404
    assert len(ids(caller.get(PATH))) == 3
    deleted = caller.client.delete(f"{PATH}/{versions[1].id}", headers=caller.headers)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert caller.get(f"{PATH}/{versions[1].id}").status_code == 404
    assert caller.get(f"{PATH}/{SERIES}").json["id"] == versions[2].id  # the best of the rest


def test_others_models_and_released_ones_are_not_changed(
    caller: Any, versions: list[Model], sample: Any, database: Database, make_user: Any
) -> None:
    _key, secret = keys.make_key(database, make_user("dora@example.org").id, "test")
    dora = dataclasses.replace(caller, key=secret)
    (released,) = ids(dora.get(PATH))
    for id_ in (versions[0].id, SERIES, released):
        assert dora.post(f"{PATH}/{id_}/promote").status_code == 404
        assert dora.client.delete(f"{PATH}/{id_}", headers=dora.headers).status_code == 404
    for path in ("", "/openapi.json"):
        assert dora.get(f"{PATH}/{SERIES}{path}").status_code == 404
        assert dora.get(f"{PATH}/{versions[0].id}{path}").status_code == 404
        assert dora.get(f"{PATH}/{released}{path}").status_code == 200
    assert dora.post(f"{PATH}/{SERIES}/predictions", json={"rows": [ROW]}).status_code == 404


def test_filters(caller: Any, versions: list[Model], sample: Any) -> None:
    first, second, third = (model.id for model in versions)
    released = ids(caller.get(f"{PATH}?released=true"))
    assert len(released) == 1
    assert ids(caller.get(f"{PATH}?released=false")) == [third, second, first]
    assert ids(caller.get(f"{PATH}?series={SERIES}")) == [third, second, first]
    assert ids(caller.get(f"{PATH}?series={released[0]}")) == released  # one by itself
    assert ids(caller.get(f"{PATH}?current=1&released=0")) == [second]
    assert ids(caller.get(f"{PATH}?current=false")) == [third, first]
    assert ids(caller.get(f"{PATH}?estimator=random_forest&series={SERIES}")) == [third]
    assert ids(caller.get(f"{PATH}?task=regression")) == []
    assert ids(caller.get(f"{PATH}?dataset={NO_ID}")) == []
    assert ids(caller.get(f"{PATH}?training={NO_ID}")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("current=perhaps", "current"),
        ("task=clustering", "task"),
        ("serie=x", "serie"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e3", "limit"),
        ("limit=%D9%A1", "limit"),  # a digit, but not ours
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=%FF", "cursor"),
        ("cursor=MjAyNi0wMS0zMVQxMjowMDowMCB4", "cursor"),  # a moment without a zone
        ("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzowMCB4", "cursor"),  # before the year 1
        ("=x", "query"),
    ],
)
def test_wrong_parameters_are_named(caller: Any, query: str, field: str) -> None:
    answer = caller.get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_pages_are_not_shifted_by_what_comes_and_goes(
    caller: Any, iris: Any, make_model: Any, database: Database
) -> None:
    made = [make_model(iris, caller.user.id) for _ in range(7)]
    moment = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
    with database.writing() as session:  # four at the same moment
        session.execute(
            sa.update(Model).where(Model.id.in_([m.id for m in made[:4]])).values(created_at=moment)
        )
    everything = ids(caller.get(PATH))
    assert sorted(everything) == sorted(model.id for model in made)
    seen: list[str] = []
    path: str | None = f"{PATH}?limit=2&released=false"
    while path is not None:
        answer = caller.get(path)
        seen += ids(answer)
        following = answer.json["next"]
        link = answer.headers.get("Link")
        assert link == (None if following is None else f'<{following}>; rel="next"')
        if following is not None:
            assert "released=false" in following
            make_model(iris, caller.user.id)
        if len(seen) == 4:
            caller.client.delete(f"{PATH}/{seen[3]}", headers=caller.headers)
        path = following
    assert seen == everything


def test_a_cursor_is_a_position() -> None:
    position = Position(dt.datetime(2026, 1, 31, 12, 0, 0, 5, dt.UTC), NO_ID)
    assert Position.from_cursor(position.cursor()) == position


def schema_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.json["components"]["schemas"]
    return found


def test_the_document_of_a_classifier(caller: Any, iris: Any, make_model: Any) -> None:
    schema = Schema(
        (
            Feature("0", "number", 1.0, 9.0, 4.0, integer=True),
            Feature("weight", "number", 0.5, 2.5, 1.25),
            Feature("", "number"),
            Feature("colour", "text", values=("red", "green")),
        ),
        "1",
        ("no", "yes"),
    )
    model = make_model(iris, caller.user.id)
    with caller.client.application.extensions["beanft"].database.writing() as session:
        session.execute(sa.update(Model).values(schema_data=schema.to_dict()))
    answer = caller.get(f"{PATH}/{model.id}/openapi.json")
    row = schema_of(answer)["Row"]
    assert row["required"] == ["0", "weight", "", "colour"]
    assert row["additionalProperties"] is False
    types = {name: part.get("type") for name, part in row["properties"].items()}
    assert types == {
        "0": ["integer", "null"],
        "weight": ["number", "null"],
        "": ["number", "null"],
        "colour": ["string", "null"],
        "1": None,
    }
    assert row["properties"]["colour"]["examples"] == ["red", "green"]
    assert "From 0.5 to 2.5" in row["properties"]["weight"]["description"]
    prediction = schema_of(answer)["Prediction"]
    assert prediction["properties"]["label"]["enum"] == ["no", "yes"]
    assert list(prediction["properties"]["probabilities"]["properties"]) == ["no", "yes"]
    body = answer.json["paths"][f"{PATH}/{model.id}/predictions"]["post"]["requestBody"]
    example = body["content"]["application/json"]["example"]
    assert example == {"rows": [{"0": 4, "weight": 1.25, "": None, "colour": "red"}]}
    repeated = caller.client.get(
        f"{PATH}/{model.id}/openapi.json",
        headers={**caller.headers, "If-None-Match": answer.headers["ETag"]},
    )
    assert repeated.status_code == 304


def test_a_regression(caller: Any, iris: Any, make_model: Any) -> None:
    schema = Schema((Feature("x", "number", 1.0, 9.0, 4.0),), "y", (), "regression")
    model = make_model(iris, caller.user.id, metrics={"r2": 0.5}, score=0.5)
    with caller.client.application.extensions["beanft"].database.writing() as session:
        session.execute(sa.update(Model).values(schema_data=schema.to_dict(), task="regression"))
    body = caller.get(f"{PATH}/{model.id}").json
    assert body["score"] == {"name": "r2", "value": 0.5, "cv": None}
    assert body["accuracy"] is None
    assert body["schema"]["task"] == "regression"
    answer = caller.get(f"{PATH}/{model.id}/openapi.json")
    assert schema_of(answer)["Prediction"]["properties"] == {"value": {"type": "number"}}


def test_a_model_of_an_older_release(caller: Any, iris: Any, make_model: Any) -> None:
    old = {"accuracy": 0.9, "rows": 3, "confusion": [], "classes": []}
    model = make_model(iris, caller.user.id, metrics=old)
    body = caller.get(f"{PATH}/{model.id}").json
    assert body["score"] == {"name": "accuracy", "value": 0.9, "cv": None}
    assert (body["series"], body["current"]) == (model.id, True)
