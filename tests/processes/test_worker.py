"""Real workers: killed, stopped, raced for a job, and cancelled under."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database
from beanft.core.schema_revision import MIGRATIONS
from beanft.jobs import service as jobs
from beanft.jobs.models import Job
from beanft.jobs.queue import open_queue
from beanft.ml.plan import Plan
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.service import start_training
from beanft.uploader.models import Dataset
from beanft.uploader.service import add_dataset

LEASE = 2.0


def wait(what: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until ``what`` returns something true, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it didn't happen in time")


class Workers:
    """Worker processes on the test's installation."""

    def __init__(self, places: dict[str, str], tmp_path: Path) -> None:
        self.places = places
        self.tmp_path = tmp_path
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, grace: int = 0, *command: str) -> subprocess.Popen[bytes]:
        """Start one; it is ready when it has touched its heartbeat."""
        run_dir = self.tmp_path / f"run-{len(self.running)}"
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(MIGRATIONS.parent),
            "BEANFT_ENVIRONMENT": "test",
            **self.places,
            "BEANFT_RUN_DIR": str(run_dir),
            "BEANFT_LEASE_SECONDS": str(LEASE),
            "BEANFT_WORKER_GRACE_SECONDS": str(grace),
            # A worker that is killed leaves there what it was at.
            "TMPDIR": str(self.tmp_path),
        }
        log = (self.tmp_path / f"log-{len(self.running)}").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "beanft", *(command or ("run-worker",))],
            env=env,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.running.append(process)
        return process

    def ready(self) -> None:
        """Wait until all are."""
        for number in range(len(self.running)):
            wait((self.tmp_path / f"run-{number}" / "heartbeat").exists)

    def stop(self) -> None:
        """Kill what is left."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def workers(places: dict[str, str], tmp_path: Path) -> Iterator[Workers]:
    started = Workers(places, tmp_path)
    yield started
    started.stop()


@pytest.fixture
def big(
    database: Database, settings: Settings, storage: Storage, make_user: Any, tmp_path: Path
) -> Dataset:
    """A data set on which a forest takes seconds to fit."""
    random.seed(0)
    path = tmp_path / "big.csv"
    names = [f"x{index}" for index in range(12)]
    with path.open("w") as stream:
        stream.write(",".join([*names, "y"]) + "\n")
        for _ in range(6000):
            row = [random.gauss(0, 1) for _ in names]
            label = "ab"[sum(row) + random.gauss(0, 2) > 0]
            stream.write(",".join([*(f"{x:.3f}" for x in row), label]) + "\n")
    with path.open("rb") as stream:
        return add_dataset(
            database,
            storage,
            settings.limits,
            user_id=make_user("ada@example.org").id,
            name="big.csv",
            source=stream,
        )


class Jobs:
    """Trainings that take seconds, and what became of them."""

    def __init__(self, settings: Settings, database: Database, dataset: Dataset) -> None:
        self.settings = settings
        self.database = database
        self.dataset = dataset
        self.queue = open_queue(settings)

    def start(self) -> Job:
        """Queue one."""
        plan = Plan(
            "y", tuple(f"x{index}" for index in range(12)), ("random_forest", "decision_tree")
        )
        return start_training(self.database, self.queue, self.settings.limits, self.dataset, plan)

    def look(self, job: Job) -> Job:
        """Return it as it is now."""
        with self.database.reading() as session:
            return session.get_one(Job, job.id)

    def running(self, job: Job) -> Job | None:
        """Return it if it is in the middle of its fit."""
        found = self.look(job)
        return found if found.state == "running" and found.progress >= 35 else None


@pytest.fixture
def trainings(settings: Settings, database: Database, big: Dataset) -> Iterator[Jobs]:
    found = Jobs(settings, database, big)
    yield found
    found.queue.close()


def test_no_job_is_lost(database: Database, workers: Workers, trainings: Jobs) -> None:
    start, look, running = trainings.start, trainings.look, trainings.running
    queue = trainings.queue
    first, second = workers.start(), workers.start()
    by_pid = {first.pid: first, second.pid: second}
    workers.ready()

    # Killed with SIGKILL in mid-fit: the other one finishes the job. Announced twice, it
    # runs once.
    job = start()
    queue.announce(job.id)
    held = wait(lambda: running(job))
    killed = by_pid.pop(int(str(held.lease_owner).split(":")[1]))
    killed.kill()
    killed.wait()
    done = wait(lambda: (found := look(job)).state == "succeeded" and found)
    assert done.attempt == 2
    with database.reading() as session:
        versions = session.scalars(sa.select(Model.version).order_by(Model.version)).all()
    assert versions == [1, 2], "each estimator once, though two workers tried"

    # Cancelled in mid-fit: the fit is killed, and the worker takes the next job.
    job = start()
    wait(lambda: running(job))
    assert jobs.cancel(database, job.user_id, job.id)

    # Stopped with SIGTERM in mid-fit, with no grace: the job is handed back at once.
    job = start()
    wait(lambda: running(job))
    ((_pid, last),) = by_pid.items()
    last.send_signal(signal.SIGTERM)
    assert last.wait(20) == 0
    found = look(job)
    assert (found.state, found.attempt, found.lease_owner) == ("queued", 0, None)
    assert queue.pending() >= 1


def test_a_worker_that_is_stopped_finishes_its_job_and_takes_no_other(
    workers: Workers, trainings: Jobs
) -> None:
    worker = workers.start(60)
    workers.ready()
    # It is ready before the fork server has imported scikit-learn, and for some time has none.
    assert Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text() == ""
    job, other = trainings.start(), trainings.start()
    wait(lambda: trainings.running(job))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    done = trainings.look(job)
    assert (done.state, done.attempt) == ("succeeded", 1)
    left = trainings.look(other)
    assert (left.state, left.attempt) == ("queued", 0)
    assert trainings.queue.pending() >= 1


def test_the_supervisor_lets_a_worker_hand_its_job_back(workers: Workers, trainings: Jobs) -> None:
    supervisor = workers.start(1, "serve", "worker")
    workers.ready()
    job = trainings.start()
    wait(lambda: trainings.running(job))
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0
    found = trainings.look(job)
    if found.state != "succeeded":  # within the second of grace
        assert (found.state, found.attempt, found.lease_owner) == ("queued", 0, None)
