"""Versions of a model: the leaderboard, which one is current, and the list of all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from beanft.core.database import Database, new_id
from beanft.core.errors import NotFoundError
from beanft.extensions import Site
from beanft.jobs.models import Job
from beanft.training import series, service
from beanft.training.models import Model

Family = Callable[..., list[Model]]


@pytest.fixture
def family(iris: Any, make_model: Callable[..., Model]) -> Family:
    """Return a function that makes three versions; by cross-validation the second is best."""

    def act(user_id: str, **fields: Any) -> list[Model]:
        id_ = new_id()
        scores = [(0.91, 0.95), (0.97, 0.90), (0.94, 0.99)]
        return [
            make_model(
                iris,
                user_id,
                series_id=id_,
                version=number,
                cv_score=cv,
                score=held_out,
                is_current=number == 1,
                metrics={
                    **iris.metrics,
                    "baseline": 0.33,
                    "cv": {"folds": 5, "scores": [cv], "mean": cv, "std": 0.02},
                },
                **fields,
            )
            for number, (cv, held_out) in enumerate(scores, start=1)
        ]

    return act


def test_the_leaderboard_ranks_by_cross_validation_and_marks_the_current(
    ada: Any, family: Family
) -> None:
    first, second, third = family(ada[0].id)
    page = ada[1].get(f"/series/{first.series_id}").text
    links = re.findall(r'<a href="/models/(\w+)">Version', page)
    assert links == [second.id, third.id, first.id]
    assert "97.0 ± 2.0 %" in page
    assert "33.0 %" in page
    row = page[page.index(first.id) :]
    assert ">current<" in row[: row.index("</tr>")]
    assert page.count(">current<") == 1


def test_another_version_can_be_made_current(ada: Any, family: Family, database: Database) -> None:
    first, second, _third = family(ada[0].id)
    assert first.series_id is not None
    assert service.resolve_model(database, ada[0].id, first.series_id).id == first.id
    answer = ada[1].post(f"/models/{second.id}/promote", page="/account")
    assert answer.location == f"/series/{first.series_id}"
    assert service.resolve_model(database, ada[0].id, first.series_id).id == second.id
    with database.reading() as session:
        assert [m.id for m in series.versions_of(session, second) if m.is_current] == [second.id]
    assert "Version 2 is the current one" in ada[1].get(answer.location).text


def test_a_series_of_somebody_else_is_not_there(
    ada: Any, bob: Any, visitor: Any, family: Family, database: Database
) -> None:
    first, second, _third = family(ada[0].id)
    assert bob[1].get(f"/series/{first.series_id}").status_code == 404
    assert bob[1].post(f"/models/{second.id}/promote", page="/account").status_code == 404
    assert visitor.get(f"/series/{first.series_id}").status_code in {302, 401}
    for user_id in (bob[0].id, None):
        with pytest.raises(NotFoundError):
            service.resolve_model(database, user_id, str(first.series_id))
    assert series.get_series(database, ada[0].id, str(first.series_id)).current.id == first.id


def test_deleting_the_current_version_makes_the_best_other_current(
    ada: Any, site: Site, family: Family
) -> None:
    first, second, third = family(ada[0].id)
    page = ada[1].get(f"/models/{first.id}").text
    assert "best other version becomes current" in page
    assert ada[1].post(f"/models/{first.id}/delete", page="/account").status_code == 302
    left = series.get_series(site.database, ada[0].id, str(first.series_id))
    assert left.current.id == second.id
    assert left.current.is_current
    # One that isn't current goes without a change.
    assert ada[1].post(f"/models/{third.id}/delete", page="/account").status_code == 302
    assert series.get_series(site.database, ada[0].id, str(first.series_id)).current.id == second.id
    assert ada[1].post(f"/models/{second.id}/delete", page="/account").status_code == 302
    assert ada[1].get(f"/series/{first.series_id}").status_code == 404


def test_models_lists_series_with_their_current_version_and_what_is_released(
    ada: Any, family: Family, iris: Any, make_model: Any, sample: dict[str, Any]
) -> None:
    first, second, _third = family(ada[0].id, name="Flowers")
    alone = make_model(iris, ada[0].id, name="Old <one>")
    page = ada[1].get("/models").text
    assert sample["name"] in page
    assert page.count("Flowers</a>") == 1
    assert f"/models/{first.id}" in page
    assert f"/models/{second.id}" not in page
    assert f'/series/{first.series_id}">3<' in page
    assert "Old &lt;one&gt;" in page
    # A model from before there were series is a series of its own.
    assert f'/series/{alone.id}">1<' in page
    board = ada[1].get(f"/series/{alone.id}")
    assert board.status_code == 200
    assert "Old &lt;one&gt;" in board.text


def test_a_series_without_a_chosen_version_answers_with_its_best(
    ada: Any, family: Family, database: Database
) -> None:
    first, second, _third = family(ada[0].id)
    with database.writing() as session:
        session.get_one(Model, first.id).is_current = False
    assert service.resolve_model(database, ada[0].id, str(first.series_id)).id == second.id


def test_older_rows_are_ranked_by_their_measures(
    ada: Any, iris: Any, make_model: Any, database: Database
) -> None:
    old = [
        make_model(iris, ada[0].id, series_id="s" * 20, version=n, metrics={"accuracy": value})
        for n, value in ((1, 0.5), (2, 0.8))
    ]
    unknown = make_model(iris, ada[0].id, series_id="s" * 20, version=3, metrics={})
    found = series.get_series(database, ada[0].id, "s" * 20)
    assert [m.id for m in found.versions] == [old[1].id, old[0].id, unknown.id]


def test_the_leaderboard_names_what_failed_and_marks_what_is_new(
    ada: Any, bob: Any, family: Family, database: Database
) -> None:
    dataset = ada[1].upload(b"a,y\n1,x\n2,z\n" * 6).location.rsplit("/", 1)[1]
    first, second, _third = family(ada[0].id)
    results = {
        "estimators": [
            {"estimator": "logistic_regression", "state": "done", "model_id": second.id},
            {"estimator": "random_forest", "state": "failed", "message": "It ran out of <memory>."},
        ]
    }
    plan = {
        "target": "y",
        "features": ["a"],
        "estimator": "logistic_regression",
        "estimators": ["logistic_regression", "random_forest"],
        "seed": 7,
    }
    job = Job(
        user_id=ada[0].id,
        dataset_id=dataset,
        name="y",
        plan_data=plan,
        results=results,
        state="succeeded",
        model_id=second.id,
    )
    with database.writing() as session:
        session.add(job)
        session.flush()
        session.get_one(Model, second.id).job_id = job.id
    answer = ada[1].get(f"/jobs/{job.id}")
    assert answer.location == f"/series/{first.series_id}?job={job.id}"
    page = ada[1].get(answer.location).text
    assert "Random forest failed: It ran out of &lt;memory&gt;." in page
    assert page.count('class="fresh"') == 1
    hers = f"/series/{first.series_id}"
    assert "failed" not in ada[1].get(hers).text
    assert ada[1].get(f"{hers}?job={'0' * 20}").status_code == 404
    assert bob[1].get(answer.location).status_code == 404
