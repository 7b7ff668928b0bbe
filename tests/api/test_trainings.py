"""Trainings over the API: started, listed, watched and cancelled."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.extensions import NAME
from beanft.jobs.models import Job
from beanft.ml.plan import ESTIMATORS
from beanft.training.sample import SAMPLES
from beanft.users import keys

PATH = "/api/v1/trainings"
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
NO_ID = "0" * 20


@pytest.fixture
def dataset(caller: Any) -> str:
    content = (SAMPLES / "iris.csv").read_bytes()
    answer = caller.post("/api/v1/datasets?name=iris.csv", data=content, content_type="text/csv")
    found: str = answer.json["id"]
    return found


def fields_of(answer: Any, status: int = 422) -> set[str]:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    return {error["field"] for error in answer.json["errors"]}


def test_what_is_left_out_is_chosen(caller: Any, dataset: str) -> None:
    made = caller.post(PATH, json={"dataset": dataset, "target": "species"})
    assert made.status_code == 202
    body = made.json
    assert made.location == f"{PATH}/{body['id']}"
    assert (body["state"], body["progress"], body["model"]) == ("queued", 0, None)
    assert (body["target"], body["task"], body["dataset"]) == ("species", "classification", dataset)
    assert body["features"] == FEATURES
    assert body["name"] == "iris: species"
    names = [entry["estimator"] for entry in body["estimators"]]
    assert names == list(ESTIMATORS["classification"])
    assert {entry["state"] for entry in body["estimators"]} == {"waiting"}
    assert caller.get(made.location).json == body
    # The queue holds it, so a worker will hear of it.
    assert caller.client.application.extensions[NAME].queue.pending() == 1


def test_a_training_keeps_the_id_of_its_request(
    caller: Any, dataset: str, database: Database
) -> None:
    headers = {"X-Request-ID": "abcdefgh-1"}
    made = caller.post(PATH, json={"dataset": dataset, "target": "species"}, headers=headers)
    with database.reading() as session:
        assert session.get_one(Job, made.json["id"]).request_id == "abcdefgh-1"


def test_what_is_said_is_done(caller: Any, dataset: str) -> None:
    body = {
        "dataset": dataset,
        "target": "petal_width",
        "features": ["petal_length", "species"],
        "estimators": ["random_forest"],
        "task": "regression",
        "name": " Width ",
    }
    made = caller.post(PATH, json=body).json
    assert made["features"] == ["petal_length", "species"]
    assert [entry["estimator"] for entry in made["estimators"]] == ["random_forest"]
    assert (made["task"], made["name"]) == ("regression", "Width")
    nothing = {"features": None, "estimators": None, "task": None, "name": None}
    made = caller.post(PATH, json={**body, **nothing}).json
    assert made["features"] == ["sepal_length", "sepal_width", "petal_length", "species"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"dataset": None, "target": None}, {"dataset", "target"}),
        ({"dataset": NO_ID}, {"dataset"}),
        ({"dataset": 3, "target": ["species"]}, {"dataset", "target"}),
        ({"target": ""}, {"target"}),
        ({"target": "colour"}, {"target"}),
        ({"features": []}, {"features"}),
        ({"features": "petal_width"}, {"features"}),
        ({"features": ["petal_width", 3]}, {"features"}),
        ({"features": ["petal_width", "petal_width"]}, {"features"}),
        ({"features": ["colour"]}, {"features"}),
        ({"features": ["species"]}, {"features"}),
        ({"estimators": []}, {"estimators"}),
        ({"estimators": ["oracle"]}, {"estimators"}),
        ({"estimators": [{"name": "oracle"}]}, {"estimators"}),
        ({"task": "clustering"}, {"task"}),
        ({"task": ["regression"]}, {"task"}),
        ({"name": "x" * 121}, {"name"}),
        ({"name": "a\nb"}, {"name"}),
        ({"name": 3}, {"name"}),
        ({"seed": 3}, {"seed"}),
    ],
)
def test_wrong_fields_are_named(
    caller: Any, dataset: str, change: dict[str, Any], fields: set[str]
) -> None:
    body = {"dataset": dataset, "target": "species", **change}
    assert fields_of(caller.post(PATH, json=body)) == fields
    assert caller.get(PATH).json["trainings"] == []


@pytest.mark.parametrize("body", [[], 3, "x", False])
def test_no_object(caller: Any, body: Any) -> None:
    assert fields_of(caller.post(PATH, json=body)) == {"body"}


def test_no_json(caller: Any) -> None:
    assert caller.post(PATH, data=b"{", content_type="application/json").status_code == 400
    assert caller.post(PATH, data=b"{}", content_type="text/plain").status_code == 415
    assert caller.post(PATH, data=b"{}").status_code == 415
    most = b" " * 1_000_001
    assert caller.post(PATH, data=most, content_type="application/json").status_code == 413
    assert fields_of(caller.post(PATH + "?target=x", json={})) == {"target"}


def test_too_many_at_once(caller: Any, dataset: str) -> None:
    body = {"dataset": dataset, "target": "species"}
    made = [caller.post(PATH, json=body) for _ in range(6)]
    assert [answer.status_code for answer in made] == [202] * 5 + [409]
    assert "cancel it" in made[-1].json["detail"]


def test_watching_is_cheap(caller: Any, dataset: str, database: Database) -> None:
    path = caller.post(PATH, json={"dataset": dataset, "target": "species"}).location
    first = caller.get(path)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"

    def again(sent: str) -> Any:
        return caller.client.get(path, headers={**caller.headers, "If-None-Match": sent})

    for sent in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
        answer = again(sent)
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert "Content-Type" not in answer.headers
    for sent in ('"x"', "x", "", '"'):
        assert again(sent).status_code == 200
    results = {"estimators": [{"estimator": "random_forest", "state": "running", "cv": None}]}
    with database.writing() as session:
        session.execute(sa.update(Job).values(state="running", progress=40, results=results))
    changed = again(tag)
    assert changed.status_code == 200
    assert changed.json["progress"] == 40
    states = {entry["estimator"]: entry["state"] for entry in changed.json["estimators"]}
    assert states["random_forest"] == "running"
    assert states["logistic_regression"] == "waiting"
    assert changed.headers["ETag"] != tag


def test_cancel(caller: Any, dataset: str, database: Database) -> None:
    path = caller.post(PATH, json={"dataset": dataset, "target": "species"}).location
    for _ in range(2):
        answer = caller.post(f"{path}/cancel")
        assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
        assert {entry["state"] for entry in answer.json["estimators"]} == {"stopped"}
    with database.writing() as session:
        session.execute(sa.update(Job).values(state="succeeded"))
    over = caller.post(f"{path}/cancel")
    assert over.status_code == 409
    assert "succeeded" in over.json["detail"]


def test_list_and_filters(caller: Any, dataset: str) -> None:
    ids = [
        caller.post(PATH, json={"dataset": dataset, "target": "species"}).json["id"]
        for _ in range(3)
    ]
    caller.post(f"{PATH}/{ids[0]}/cancel")

    def listed(query: str) -> list[str]:
        return [entry["id"] for entry in caller.get(f"{PATH}?{query}").json["trainings"]]

    assert listed("") == ids[::-1]
    assert listed("state=cancelled") == ids[:1]
    assert listed(f"state=queued&dataset={dataset}") == [ids[2], ids[1]]
    assert listed(f"dataset={NO_ID}") == []
    assert fields_of(caller.get(f"{PATH}?state=done")) == {"state"}
    assert fields_of(caller.get(f"{PATH}?stat=queued")) == {"stat"}
    assert fields_of(caller.get(f"{PATH}?state=queued&state=running")) == {"state"}


def test_trainings_of_others_are_not_there(
    caller: Any, dataset: str, database: Database, make_user: Any
) -> None:
    path = caller.post(PATH, json={"dataset": dataset, "target": "species"}).location
    _key, secret = keys.make_key(database, make_user("dora@example.org").id, "test")
    dora = dataclasses.replace(caller, key=secret)
    assert dora.get(path).status_code == 404
    assert dora.post(f"{path}/cancel").status_code == 404
    assert dora.get(PATH).json["trainings"] == []
    body = {"dataset": dataset, "target": "species"}
    assert fields_of(dora.post(PATH, json=body)) == {"dataset"}
    assert caller.get(path).json["state"] == "queued"


def test_a_training_of_an_older_release(caller: Any, dataset: str, database: Database) -> None:
    plan = {"target": "species", "features": FEATURES, "estimator": "random_forest", "seed": 7}
    job = Job(user_id=caller.user.id, dataset_id=dataset, name="old", plan_data=plan)
    with database.writing() as session:
        session.add(job)
    (entry,) = caller.get(f"{PATH}/{job.id}").json["estimators"]
    assert (entry["estimator"], entry["state"]) == ("random_forest", "waiting")
