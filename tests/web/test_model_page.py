"""The page about a model: its measures for each task, what is said of older ones, and drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beanft.charts import scatter
from beanft.core.database import Database, utcnow
from beanft.predictions.models import InputCount
from beanft.training.models import Model
from beanft.uploader.models import Dataset

REGRESSION: dict[str, Any] = {
    "score": {"name": "r2", "value": 0.5},
    "r2": 0.5,
    "mae": 42.5,
    "rmse": 53.25,
    "baseline": -0.01,
    "rows": 3,
    "train_rows": 10,
    "cv": {"folds": 5, "scores": [0.4, 0.5], "mean": 0.45, "std": 0.05},
    "scatter": [[100.0, 120.0], [200.0, 180.0], [150.0, 150.0]],
    "importance": [{"feature": "bmi", "mean": 0.3, "std": 0.02}],
}


@pytest.fixture
def regression(iris: Any, make_model: Callable[..., Model]) -> Callable[[str], Model]:
    """Return a function that stores a regression's row; its file isn't asked."""
    schema = {**iris.schema.to_dict(), "task": "regression", "classes": [], "target": "progress"}

    def act(user_id: str) -> Model:
        return make_model(
            iris, user_id, task="regression", schema_data=schema, metrics=REGRESSION, score=0.5
        )

    return act


def test_a_regression_is_shown_by_its_own_measures(ada: Any, regression: Any) -> None:
    page = ada[1].get(f"/models/{regression(ada[0].id).id}").text
    assert 'id="r2">0.500<' in page
    for said in ("42.5", "53.25", "-0.010", "0.450 ± 0.050", "It gives progress: a number."):
        assert said in page
    assert page.count("<circle") == 3
    assert '<td class="num">120</td><td class="num">20</td>' in page
    for absent in ("Confusion matrix", "Accuracy", "Each class"):
        assert absent not in page


def test_a_regressions_form_promises_no_probabilities(ada: Any, regression: Any) -> None:
    page = ada[1].get(f"/models/{regression(ada[0].id).id}/predict").text
    assert "Predict progress" in page
    assert "probability of each class" not in page


def test_points_are_drawn_on_one_scale() -> None:
    drawn = scatter([[0.0, 10.0], [10.0, 0.0], [5.0, 5.0]])
    assert drawn is not None
    assert (drawn.low, drawn.high) == (0.0, 10.0)
    assert drawn.points == [(0.0, 0.0), (100.0, 100.0), (50.0, 50.0)]
    assert scatter([]) is None
    flat = scatter([[3.0, 3.0]])
    assert flat is not None
    assert flat.points == [(0.0, 100.0)]


def test_a_model_of_before_shows_what_it_has(ada: Any, iris: Any, make_model: Any) -> None:
    old = {
        key: iris.metrics[key]
        for key in ("accuracy", "rows", "confusion", "classes", "train_rows", "seed", "parity")
    }
    schema = {
        "features": [
            {"name": f.name, "kind": f.kind, "least": f.least, "most": f.most, "median": f.median}
            for f in iris.schema.features
        ],
        "target": "species",
        "classes": list(iris.schema.classes),
    }
    model = make_model(iris, ada[0].id, metrics=old, schema_data=schema)
    answer = ada[1].get(f"/models/{model.id}")
    assert answer.status_code == 200
    assert "trained before that was kept" in answer.text
    assert "not known any more" in answer.text
    assert "Versions" not in answer.text
    assert "What counts" not in answer.text
    assert ada[1].get(f"/models/{model.id}/predict").status_code == 200


def test_the_card_says_which_data_it_came_from(
    ada: Any, bob: Any, iris: Any, make_model: Any, database: Database
) -> None:
    where = ada[1].upload(b"a,y\n1,x\n2,z\n" * 6, "flowers.csv").location
    with database.reading() as session:
        dataset = session.get_one(Dataset, where.rsplit("/", 1)[1])
    model = make_model(
        iris,
        ada[0].id,
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        dataset_sha256=dataset.sha256,
    )
    page = ada[1].get(f"/models/{model.id}").text
    assert f'href="{where}">flowers.csv<' in page
    assert dataset.sha256 in page
    assert model.sha256 in page
    # What it was stays said when the data set is gone, and leads nowhere.
    ada[1].post(f"{where}/delete", page="/account")
    page = ada[1].get(f"/models/{model.id}").text
    assert "flowers.csv" in page
    assert where not in page
    assert dataset.sha256 in page
    assert bob[1].get(f"/models/{model.id}").status_code == 404


def test_drift_is_said_in_words_to_the_owner(
    ada: Any, iris: Any, make_model: Any, database: Database
) -> None:
    schema = iris.schema.to_dict()
    for feature in schema["features"]:
        feature.update(edges=[2.0], shares=[0.5, 0.5, 0.0])
    model = make_model(iris, ada[0].id, schema_data=schema)
    assert "Nothing in the last 7 days." in ada[1].get(f"/models/{model.id}").text
    counts = ({"0": 150, "1": 150}, {"0": 270, "1": 30}, {"0": 198, "1": 102}, {"1": 3})
    day = utcnow().date().isoformat()
    with database.writing() as session:
        for position, found in enumerate(counts):
            session.add(InputCount(model_id=model.id, day=day, feature=position, counts=found))
    page = ada[1].get(f"/models/{model.id}").text
    drift = page[page.index('id="drift"') :]
    order = [drift.index(f.name) for f in iris.schema.features]
    assert order[1] < order[2] < order[0]  # what moved most comes first
    for said in ("moved a lot", ">moved<", ">stable<", "too few rows", "under 2", "from 2"):
        assert said in drift
