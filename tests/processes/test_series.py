"""What a job of several estimators leaves: versions of a series, and results while it runs."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database
from beanft.jobs import runner as running
from beanft.jobs import service
from beanft.jobs.fit_process import NO_TRACE, FitProcess
from beanft.jobs.models import Job
from beanft.jobs.runner import Runner
from beanft.jobs.series import series_name
from beanft.ml.csv_text import CsvLimits
from beanft.ml.plan import Plan
from beanft.ml.profile import profile_csv
from beanft.ml.results import UNREACHED
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.sample import SAMPLES
from beanft.uploader.models import Dataset
from beanft.uploader.service import add_dataset
from tests.kept import Kept

FEATURES = ("petal_length", "petal_width")
PLAN = Plan("species", FEATURES, ("decision_tree", "logistic_regression"))


@pytest.fixture
def dataset(database: Database, settings: Settings, storage: Storage, make_user: Any) -> Dataset:
    with (SAMPLES / "iris.csv").open("rb") as stream:
        return add_dataset(
            database,
            storage,
            settings.limits,
            user_id=make_user("ada@example.org").id,
            name="iris.csv",
            source=stream,
        )


Start = Callable[[Plan], Job]


@pytest.fixture
def start(database: Database, dataset: Dataset) -> Start:
    """Return a function that makes a job."""

    def act(plan: Plan) -> Job:
        job = Job(
            user_id=dataset.user_id, dataset_id=dataset.id, name="x", plan_data=plan.to_dict()
        )
        with database.writing() as session:
            session.add(job)
        return job

    return act


@pytest.fixture
def worker(settings: Settings, database: Database, storage: Storage) -> Runner:
    return Runner(settings, database, storage, lambda: False, lambda _id: None)


def look(database: Database, job: Job) -> Job:
    with database.reading() as session:
        return session.get_one(Job, job.id)


def models_of(database: Database) -> list[Model]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Model).order_by(Model.created_at, Model.version)))


def states(job: Job) -> list[str]:
    return [entry["state"] for entry in (job.results or {})["estimators"]]


def test_a_job_leaves_a_version_for_each_estimator(
    database: Database, storage: Storage, worker: Runner, dataset: Dataset, start: Start
) -> None:
    job = start(PLAN)
    worker.run(job.id)
    done = look(database, job)
    models = models_of(database)
    assert [(m.estimator, m.version) for m in models] == [
        ("decision_tree", 1),
        ("logistic_regression", 2),
    ]
    assert {(m.job_id, m.series_id) for m in models} == {(job.id, models[0].series_id)}
    assert models[0].series_id
    best = max(models, key=lambda m: m.cv_score or 0)
    assert [m.is_current for m in models] == [m is best for m in models]
    assert (done.state, done.model_id, done.message) == ("succeeded", best.id, "Done")
    entries = (done.results or {})["estimators"]
    for entry, model in zip(entries, models, strict=True):
        assert (entry["state"], entry["model_id"]) == ("done", model.id)
        assert (entry["score"], entry["cv"]["mean"]) == (model.score, model.cv_score)
        assert (model.name, model.task) == ("iris: species", "classification")
        assert (model.dataset_name, model.dataset_sha256) == ("iris.csv", dataset.sha256)
        assert storage.stamp(model.storage_key)


def test_the_next_job_counts_on_and_leaves_the_current_one(
    database: Database, worker: Runner, start: Start
) -> None:
    worker.run(start(PLAN).id)
    worker.run(start(PLAN).id)
    models = models_of(database)
    assert [m.version for m in models] == [1, 2, 3, 4]
    assert len({m.series_id for m in models}) == 1
    assert [m.is_current for m in models[2:]] == [False, False]
    other = dataclasses.replace(PLAN, estimators=("decision_tree",), name="Another")
    worker.run(start(other).id)
    same_name = dataclasses.replace(other, target="petal_width", features=("petal_length",))
    worker.run(start(dataclasses.replace(same_name, task="regression")).id)
    named = [m for m in models_of(database) if m.name == "Another"]
    assert [(m.version, m.is_current, m.task) for m in named] == [
        (1, True, "classification"),
        (1, True, "regression"),
    ]
    assert len({m.series_id for m in named}) == 2, "they predict different things"


def test_names() -> None:
    assert series_name(PLAN, "iris.CSV") == "iris: species"
    assert series_name(PLAN, "iris") == "iris: species"
    assert series_name(dataclasses.replace(PLAN, name="Mine"), "iris.csv") == "Mine"
    assert len(series_name(PLAN, "n" * 200)) == 120


def test_a_job_of_an_older_release_still_runs(
    database: Database, worker: Runner, start: Start
) -> None:
    job = start(PLAN)
    old = {"target": "species", "features": list(FEATURES), "estimator": "decision_tree", "seed": 1}
    with database.writing() as session:
        session.execute(sa.update(Job).values(plan_data=old))
    worker.run(job.id)
    (model,) = models_of(database)
    assert (look(database, job).state, model.task) == ("succeeded", "classification")


class Watched:
    """Runs a worker and does something when the first model of its fit is finished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, then: Callable[[FitProcess], None]) -> None:
        poll = FitProcess.poll
        happened: list[bool] = []

        def act(fit: FitProcess, seconds: float) -> bool:
            ended = poll(fit, seconds)
            if fit.models and not happened:
                happened.append(True)
                then(fit)
            return ended

        monkeypatch.setattr(FitProcess, "poll", act)


SLOW = dataclasses.replace(PLAN, estimators=("decision_tree", "random_forest", "gradient_boosting"))


def test_what_was_finished_stays_when_the_fit_dies(
    database: Database, worker: Runner, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watched(monkeypatch, lambda fit: os.kill(fit.pid, signal.SIGKILL))
    job = start(SLOW)
    worker.run(job.id)
    done = look(database, job)
    assert done.state == "succeeded"
    assert models_of(database)[0].estimator == "decision_tree"
    assert done.model_id in {m.id for m in models_of(database)}
    assert states(done)[0] == "done"
    assert states(done)[-1] == "failed"
    messages = [entry["message"] for entry in (done.results or {})["estimators"]]
    assert messages[-1] in (f"{UNREACHED} {NO_TRACE}", NO_TRACE)


def test_what_was_finished_stays_when_time_is_up(
    settings: Settings,
    database: Database,
    storage: Storage,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried = dataclasses.replace(settings, fit_max_seconds=3600.0)
    worker = Runner(hurried, database, storage, lambda: False, lambda _id: None)
    clock = time.monotonic

    def later(_fit: FitProcess) -> None:
        monkeypatch.setattr(running.time, "monotonic", lambda: clock() + 4000)

    Watched(monkeypatch, later)
    job = start(SLOW)
    worker.run(job.id)
    done = look(database, job)
    assert done.state == "succeeded"
    assert states(done) == ["done", "failed", "failed"]
    assert "60 minutes" in (done.results or {})["estimators"][1]["message"]


def test_a_cancelled_job_leaves_no_model_and_ends_its_results(
    database: Database,
    kept_files: Kept,
    worker: Runner,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = start(SLOW)

    def cancel(fit: FitProcess) -> None:
        held = look(database, job)
        claim = service.Claim(job.id, str(held.lease_owner), held.attempt)
        assert service.renew(database, claim, 30, fit.percent, fit.message, fit.results)
        assert {"running", "waiting"} & set(states(look(database, job)))
        assert service.cancel(database, job.user_id, job.id)

    Watched(monkeypatch, cancel)
    worker.run(job.id)
    done = look(database, job)
    assert (done.state, done.model_id) == ("cancelled", None)
    assert set(states(done)) == {"done", "failed"}
    assert "Cancelled." in (done.results or {})["estimators"][-1]["message"]
    assert models_of(database) == []
    assert kept_files.stored("models") == [], "no file is left"


def test_the_models_of_a_job_that_is_lost_while_they_are_stored_go_too(
    database: Database,
    kept_files: Kept,
    worker: Runner,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "holds", lambda _session, _claim: False)
    worker.run(start(PLAN).id)
    assert models_of(database) == []
    assert kept_files.stored("models") == []


def test_results_are_written_while_it_runs_but_not_more_often_than_each_second(
    database: Database, worker: Runner, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, times, seen = service.renew, [], []

    def note(*given: Any) -> bool:
        times.append(time.monotonic())
        seen.append(str(given[-1]))  # as it is now: the fit goes on writing into it
        return renew(*given)

    monkeypatch.setattr(service, "renew", note)
    job = start(SLOW)
    worker.run(job.id)
    assert states(look(database, job)) == ["done"] * 3
    assert seen, "it takes seconds, so it was seen on its way"
    assert all("running" in results or "waiting" in results for results in seen)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(gap >= running.SHOW_SECONDS - 0.01 for gap in gaps)


def test_a_training_that_gives_no_model_says_why_for_each(
    database: Database, worker: Runner, start: Start
) -> None:
    rows = "a,y\n" + "x,p\nz,q\nx,q\nz,p\n" * 20
    job = start(
        dataclasses.replace(PLAN, features=("a",), target="y", estimators=("nearest_neighbors",))
    )
    dataset = look(database, job).dataset_id
    profile = profile_csv(io.BytesIO(rows.encode()), CsvLimits())
    with database.writing() as session:
        found = session.get_one(Dataset, dataset)
        found.profile_data = profile.to_dict()
        kept = worker._storage.save("datasets", "csv", io.BytesIO(rows.encode()), most=10**6)
        found.storage_key = kept.key
    worker.run(job.id)
    done = look(database, job)
    assert done.state == "failed"
    assert "Nearest neighbors: In every row some neighbors are equally near" in done.message
    assert states(done) == ["failed"]
