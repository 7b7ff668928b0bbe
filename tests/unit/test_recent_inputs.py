"""What models were asked of late: bins, days, and when there is too little to say anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from beanft.core.database import Database, utcnow
from beanft.ml.schema import Feature
from beanft.predictions.inputs import bin_labels, drift
from beanft.predictions.models import InputCount
from beanft.training.models import Model
from beanft.users.models import User


def test_bins_have_names() -> None:
    numbers = Feature("a", "number", edges=(1.0, 2.5, 1e6))
    assert bin_labels(numbers) == ["under 1", "1 to 2.5", "2.5 to 1e+06", "from 1e+06", "missing"]
    assert bin_labels(Feature("a", "number")) == ["any number", "missing"]
    assert bin_labels(Feature("a", "text", values=("x", "y"))) == [
        *("x", "y"),
        *("another value", "missing"),
    ]


@pytest.fixture
def model(iris: Any, make_model: Callable[..., Model], make_user: Callable[[str], User]) -> Model:
    """A model with a number of two bins, a text of one value, and a feature without bins."""
    schema = {
        "features": [
            {"name": "a", "kind": "number", "edges": [1.0], "shares": [0.5, 0.5, 0.0]},
            {"name": "c", "kind": "text", "values": ["x"], "shares": [1.0, 0.0, 0.0]},
            {"name": "old", "kind": "number"},
            {"name": "odd", "kind": "number", "edges": [1.0], "shares": [1.0]},
        ],
        "target": "y",
        "classes": ["p", "q"],
    }
    return make_model(iris, make_user("ada@example.org").id, schema_data=schema)


def count(database: Database, model: Model, feature: int, days_ago: int, **bins: int) -> None:
    day = (utcnow() - dt.timedelta(days=days_ago)).date().isoformat()
    counts = {name.removeprefix("b"): rows for name, rows in bins.items()}
    with database.writing() as session:
        session.add(InputCount(model_id=model.id, day=day, feature=feature, counts=counts))


def test_the_last_seven_days_are_added_up(database: Database, model: Model) -> None:
    count(database, model, 0, 0, b0=100, b1=90)
    count(database, model, 0, 6, b1=10, b2=0)
    count(database, model, 0, 7, b0=10_000)  # too old
    count(database, model, 1, 1, b0=40, b1=360)
    count(database, model, 2, 0, b0=5)  # has nothing to be compared with
    count(database, model, 3, 0, b0=5)
    count(database, model, 9, 0, b0=5)  # no such feature
    moved, stable = drift(database, model)
    assert (moved.name, moved.drift, moved.rows) == ("c", "large", 400)
    assert [(b.label, b.expected, b.recent) for b in moved.bins] == [
        ("x", 1.0, 0.1),
        ("another value", 0.0, 0.9),
    ]
    assert (stable.name, stable.drift, stable.rows) == ("a", "stable", 200)
    assert stable.index == 0


def test_nothing_asked_is_no_drift(database: Database, model: Model) -> None:
    assert drift(database, model) == []
    count(database, model, 0, 0, b99=3, bx=1)  # bins that the model doesn't have
    assert drift(database, model) == []


def test_many_bins_need_many_rows(
    database: Database, iris: Any, make_model: Any, make_user: Any
) -> None:
    values = [f"v{place}" for place in range(40)]
    feature = {"name": "c", "kind": "text", "values": values, "shares": [*([1 / 40] * 40), 0, 0]}
    schema = {"features": [feature], "target": "y", "classes": ["p", "q"]}
    model = make_model(iris, make_user("ada@example.org").id, schema_data=schema)
    # As in training, but for what chance does to 400 rows in 40 bins.
    count(database, model, 0, 1, **{f"b{place}": 5 + 10 * (place % 2) for place in range(40)})
    (entry,) = drift(database, model)
    assert (entry.rows, entry.drift) == (400, "few")
    count(database, model, 0, 0, b0=400)
    (entry,) = drift(database, model)
    assert (entry.rows, entry.drift) == (800, "large")
