"""A job is held by one worker at a time, and none is lost."""

from __future__ import annotations

import dataclasses
import datetime as dt
import urllib.request
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from beanft.config import Settings
from beanft.core.database import Database, utcnow
from beanft.core.errors import NotFoundError
from beanft.core.logs import present_request
from beanft.jobs import service
from beanft.jobs.metrics import JobMetrics
from beanft.jobs.models import Job
from beanft.jobs.queue import open_queue
from beanft.jobs.runner import Runner
from beanft.jobs.worker import Tender
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.sample import SAMPLES
from beanft.uploader.models import Dataset, IdempotencyKey
from beanft.uploader.service import add_dataset
from beanft.users.models import User


@pytest.fixture
def dataset(database: Database, settings: Settings, storage: Storage, make_user: Any) -> Dataset:
    user: User = make_user("ada@example.org")
    with (SAMPLES / "iris.csv").open("rb") as stream:
        return add_dataset(
            database, storage, settings.limits, user_id=user.id, name="iris.csv", source=stream
        )


@pytest.fixture
def job(database: Database, dataset: Dataset) -> Job:
    plan = {
        "target": "species",
        "features": ["petal_length", "petal_width"],
        "estimator": "decision_tree",
        "seed": 1,
    }
    job = Job(user_id=dataset.user_id, dataset_id=dataset.id, name="x", plan_data=plan)
    with database.writing() as session:
        session.add(job)
    return job


def state(database: Database, job: Job) -> Job:
    with database.reading() as session:
        return session.get_one(Job, job.id)


def age(database: Database, job: Job, **columns: Any) -> None:
    with database.writing() as session:
        session.execute(sa.update(Job).where(Job.id == job.id).values(**columns))


def runner(settings: Settings, database: Database, storage: Storage, **options: Any) -> Runner:
    given = {"stopping": lambda: False, "announce": lambda _id: None, **options}
    return Runner(settings, database, storage, **given)


def test_one_worker_gets_a_job(database: Database, job: Job) -> None:
    claim = service.claim_job(database, job.id, "a", 30)
    assert claim is not None
    assert service.claim_job(database, job.id, "b", 30) is None
    assert service.renew(database, claim, 30, 50, "half")
    assert (state(database, job).progress, state(database, job).attempt) == (50, 1)


def test_a_dead_workers_job_goes_back_and_its_claim_is_void(database: Database, job: Job) -> None:
    dead = service.claim_job(database, job.id, "a", 30)
    assert dead is not None
    assert service.sweep(database, queue_is_empty=True) == []
    age(database, job, lease_expires_at=utcnow() - dt.timedelta(seconds=1))
    assert service.sweep(database, queue_is_empty=False) == [job.id]
    assert not service.renew(database, dead, 30, 1, "still here")
    again = service.claim_job(database, job.id, "b", 30)
    assert again is not None
    assert again.attempt == 2
    assert not service.fail(database, dead, "no")
    assert state(database, job).state == "running"


def test_after_three_deaths_the_job_fails(database: Database, job: Job) -> None:
    for _ in range(service.MAX_ATTEMPTS):
        assert service.claim_job(database, job.id, "a", 30)
        age(database, job, lease_expires_at=utcnow() - dt.timedelta(seconds=1))
        announced = service.sweep(database, queue_is_empty=False)
    assert announced == []
    assert state(database, job).state == "failed"
    assert "died 3 times" in state(database, job).message


def test_a_released_job_costs_no_attempt(database: Database, job: Job) -> None:
    claim = service.claim_job(database, job.id, "a", 30)
    assert claim is not None
    assert service.release(database, claim)
    assert (state(database, job).state, state(database, job).attempt) == ("queued", 0)
    assert not service.renew(database, claim, 30, 1, "x")


def test_a_job_that_the_queue_lost_is_announced_again(
    settings: Settings, database: Database, job: Job
) -> None:
    age(database, job, announced_at=utcnow() - dt.timedelta(minutes=1))
    assert service.sweep(database, queue_is_empty=False) == []
    queue = open_queue(settings)
    heartbeat = settings.run_dir / "heartbeat"
    Tender(database, queue, heartbeat).tend()
    assert heartbeat.exists()
    assert queue.pending() == 1
    message = queue.huey.storage.enqueued_items()[0]
    assert job.id.encode() in message
    assert b"pickle" not in message
    assert message.startswith(b"[")
    queue.close()


def test_a_round_forgets_old_idempotency_keys(
    settings: Settings, database: Database, make_user: Any
) -> None:
    user = make_user("ada@example.org")
    with database.writing() as session:
        for key, hours in (("old", 25), ("new", 23)):
            made = utcnow() - dt.timedelta(hours=hours)
            session.add(
                IdempotencyKey(
                    user_id=user.id, key=key, request_sha256="x", dataset_id="x", created_at=made
                )
            )
    queue = open_queue(settings)
    Tender(database, queue, settings.run_dir / "heartbeat").tend()
    with database.reading() as session:
        assert session.scalars(sa.select(IdempotencyKey.key)).all() == ["new"]
    queue.close()


def test_cancelling_is_for_the_owner_and_ends_the_claim(database: Database, job: Job) -> None:
    claim = service.claim_job(database, job.id, "a", 30)
    with pytest.raises(NotFoundError):
        service.cancel(database, "somebody else", job.id)
    assert service.cancel(database, job.user_id, job.id)
    assert not service.cancel(database, job.user_id, job.id)
    assert claim is not None
    assert not service.renew(database, claim, 30, 1, "x")


def test_a_run_makes_one_model_however_often_it_is_announced(
    settings: Settings, database: Database, storage: Storage, job: Job
) -> None:
    worker = runner(settings, database, storage)
    worker.run(job.id)
    worker.run(job.id)
    worker.run("no such job")
    done = state(database, job)
    assert (done.state, done.progress) == ("succeeded", 100)
    with database.reading() as session:
        model = session.scalars(sa.select(Model)).one()
    assert done.model_id == model.id
    assert model.metrics["accuracy"] > 0.9


def test_a_refused_fit_says_why(
    settings: Settings, database: Database, storage: Storage, job: Job
) -> None:
    age(database, job, plan_data={**job.plan_data, "features": []})
    runner(settings, database, storage).run(job.id)
    done = state(database, job)
    assert done.state == "failed"
    assert "Choose at least one column" in done.message


def test_a_lost_file_is_our_fault_and_no_traceback_is_shown(
    settings: Settings, database: Database, storage: Storage, dataset: Dataset, job: Job
) -> None:
    storage.delete(dataset.storage_key)
    runner(settings, database, storage).run(job.id)
    done = state(database, job)
    assert done.state == "failed"
    assert "on our side" in done.message


def test_a_fit_that_takes_too_long_is_killed(
    settings: Settings, database: Database, storage: Storage, job: Job
) -> None:
    hurried = dataclasses.replace(settings, fit_max_seconds=0.0)
    runner(hurried, database, storage).run(job.id)
    assert state(database, job).state == "failed"
    assert "It took longer" in state(database, job).message


def test_a_stopping_worker_takes_nothing(
    settings: Settings, database: Database, storage: Storage, job: Job
) -> None:
    announced: list[str] = []
    worker = runner(settings, database, storage, stopping=lambda: True, announce=announced.append)
    worker.run(job.id)
    assert announced == [job.id]
    assert state(database, job).state == "queued"


def test_a_jobs_lines_name_the_request_that_it_came_from(
    settings: Settings, database: Database, storage: Storage, job: Job
) -> None:
    ended: list[tuple[str, str | None]] = []
    worker = runner(
        settings, database, storage, ended=lambda how: ended.append((how, present_request()))
    )
    age(database, job, plan_data={**job.plan_data, "features": []}, request_id="abcdefgh-1")
    # Tests of pages in this process leave one; a worker answers nobody.
    structlog.contextvars.clear_contextvars()
    worker.run(job.id)
    assert ended == [("refused", "abcdefgh-1")]
    assert present_request() is None
    age(database, job, state="queued", request_id=None)
    worker.run(job.id)
    assert ended[1:] == [("refused", None)]


def test_a_worker_counts_jobs_for_prometheus(
    settings: Settings, database: Database, dataset: Dataset, job: Job
) -> None:
    metrics = JobMetrics()
    tender = Tender(database, open_queue(settings), settings.run_dir / "heartbeat", metrics)
    address = f"http://127.0.0.1:{metrics.serve('127.0.0.1', 0)}/metrics"

    def figures() -> dict[str, float]:
        tender.tend()
        with urllib.request.urlopen(address, timeout=5) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line[0] != "#"]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    age(database, job, created_at=utcnow() - dt.timedelta(seconds=90))
    found = figures()
    assert found['beanft_jobs{state="queued"}'] == 1
    assert found['beanft_jobs{state="running"}'] == 0
    assert 89 < found["beanft_oldest_waiting_job_seconds"] < 200
    assert found['beanft_jobs_ended_total{outcome="succeeded"}'] == 0

    assert service.claim_job(database, job.id, "w", 30)
    metrics.ended("succeeded")
    found = figures()
    assert found['beanft_jobs{state="queued"}'] == 0
    assert found['beanft_jobs{state="running"}'] == 1
    assert found["beanft_oldest_waiting_job_seconds"] == 0
    assert found['beanft_jobs_ended_total{outcome="succeeded"}'] == 1
