"""Requests made from the document, right ones and wrong ones, and answers held against it.

What is made is the same in every run. Ids that fit the document's pattern are exchanged for those of
things that there are, so that most requests get past the first look-up.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig

from beanft.api.listing import Position
from beanft.api.openapi.document import document
from beanft.config import load_settings
from beanft.training.sample import SAMPLES

# What the schema can't say: which bytes are a table, which columns a data set or a model has.
UNSAID = ("storeDataset", "startTraining", "predict")
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]
EXAMPLES = 20
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
# Of all refusals: 411 and 413 are some, too.
REFUSED = [*map(str, (400, 401, 403, 404, 405, 406, 409, 411, 413, 415, 422, 428, 429)), "5xx"]
GENERATION = {
    "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
    "generation": {
        "max-examples": EXAMPLES,
        "deterministic": True,
        "with-security-parameters": False,
    },
    "seed": 7,
}
WITH_422 = {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "422"]}}
CONFIG = SchemathesisConfig.from_dict(
    {**GENERATION, "checks": {**GENERATION["checks"], **WITH_422}}
)
WHOLE = schemathesis.openapi.from_dict(
    document(load_settings({"BEANFT_ENVIRONMENT": "test", "BEANFT_PREDICT_MAX_ROWS": "1000"})),
    config=SchemathesisConfig.from_dict(
        {
            **GENERATION,
            "operations": [{"include-operation-id": name, "checks": WITH_422} for name in UNSAID],
        }
    ),
)


class Relay:
    """An application that is known before there is one: operations are collected with it."""

    app: Flask

    def __call__(self, *call: Any) -> Any:
        """Have the present test's application answer."""
        return self.app(*call)


RELAY = WHOLE.app = Relay()
ID = re.compile(r"[0-9a-f]{20}\Z")
AWKWARD = (
    "0,1,class,a b/c{d}\n"
    + "".join(f"{n},{n % 7}.5,{'xy'[n % 2]},{'rgb'[n % 3]}\n" for n in range(60))
).encode()


@pytest.fixture
def ids(caller: Any, iris: Any, make_model: Any) -> Callable[[str, str], str]:
    """Return a function that names something that there is; what will be deleted is made anew."""
    content = (SAMPLES / "iris.csv").read_bytes()

    def dataset() -> str:
        made = caller.post("/api/v1/datasets", data=content, content_type="text/csv")
        return str(made.json["id"])

    def model() -> str:
        return str(make_model(iris, caller.user.id).id)

    kept = dataset()
    body = {"dataset": kept, "target": "species"}
    training = caller.post("/api/v1/trainings", json=body).json["id"]
    there = {"dataset_id": kept, "training_id": training, "model_id": model()}
    make = {"dataset_id": dataset, "model_id": model}
    return lambda name, method: make[name]() if method == "DELETE" and name in make else there[name]


@pytest.fixture
def aim(ids: Callable[[str, str], str]) -> Callable[[Case], None]:
    """Return a function that makes a request useful."""
    cursor = Position(dt.datetime(2100, 1, 1, tzinfo=dt.UTC), "0").cursor()

    def act(case: Case) -> None:
        for name, value in case.path_parameters.items():
            if isinstance(value, str) and ID.match(value):
                case.path_parameters[name] = ids(name, case.method)
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return
        if "cursor" in case.query:
            case.query["cursor"] = cursor
        if isinstance(case.body, dict) and "dataset" in case.body:
            case.body["dataset"] = ids("dataset_id", "GET")

    return act


@WHOLE.parametrize()
@SETTINGS
def test_every_operation(case: Case, api: Flask, caller: Any, aim: Callable[[Case], None]) -> None:
    RELAY.app = api
    aim(case)
    case.call_and_validate(headers=caller.headers)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("which", ["iris", "awkward"])
def test_rows_of_one_model(
    api: Flask, caller: Any, iris: Any, train: Any, make_model: Any, which: str, mode: Any
) -> None:
    """What its own document says of a model's rows is all that it takes."""
    trained = iris if which == "iris" else train(AWKWARD, "class")
    path = f"/api/v1/models/{make_model(trained, caller.user.id).id}"
    schema = schemathesis.openapi.from_wsgi(
        f"{path}/openapi.json", api, config=CONFIG, headers=caller.headers
    )
    operation = schema[f"{path}/predictions"]["POST"]
    statuses = set()

    @hypothesis.settings(SETTINGS, max_examples=60)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        # Which text is a table with the model's columns is beyond a schema.
        hypothesis.assume(case.media_type == "application/json")
        answer = case.call_and_validate(headers=caller.headers)
        statuses.add(answer.status_code)
        if mode.is_positive and answer.status_code == 422:
            # Numbers that fit may still have sums that don't.
            assert {"too large" in error["message"] for error in answer.json()["errors"]} == {True}

    check()
    assert 200 in statuses if mode.is_positive else statuses & {400, 415, 422}
