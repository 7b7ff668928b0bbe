"""The queue on Valkey: over TLS, first come first served; and when it is away nothing fails."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from huey.registry import Message
from structlog.testing import capture_logs
from valkey.exceptions import ConnectionError as LostConnectionError

from beanft.config import Access, Settings
from beanft.core.database import Database
from beanft.core.schema_revision import MIGRATIONS
from beanft.jobs.fit_process import FitProcess
from beanft.jobs.models import Job
from beanft.jobs.queue import open_queue
from beanft.jobs.runner import Runner
from beanft.jobs.valkey import ValkeyStorage
from beanft.ml.plan import Plan
from beanft.storage.files import Storage
from beanft.training.sample import SAMPLES
from beanft.training.service import start_training
from beanft.uploader.models import Dataset
from beanft.uploader.service import add_dataset
from tests.servers import Servers


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


PLAN = Plan("species", ("petal_length", "petal_width"), ("decision_tree",))


def test_announcements_come_in_their_order_and_once(settings: Settings) -> None:
    one, two = open_queue(settings), open_queue(settings, works=True)
    assert isinstance(two.huey.storage, ValkeyStorage)
    for name in "abc":
        one.announce(name)
    assert one.pending() == two.pending() == 3
    waiting = two.huey.storage.enqueued_items()
    assert [Message(*json.loads(message)).args for message in waiting] == [["a"], ["b"], ["c"]]
    assert two.huey.storage.enqueued_items(1) == waiting[:1]
    assert [two.huey.storage.dequeue() for _ in range(3)] == waiting
    begun = time.monotonic()
    assert two.huey.storage.dequeue() is None
    assert time.monotonic() - begun < 30
    for queue in (one, two):
        queue.close()


@pytest.mark.parametrize("wrong", ["password", "ca"])
def test_a_stranger_is_refused_and_refuses(settings: Settings, wrong: str) -> None:
    access = settings.queue_access
    if wrong == "password":
        access = Access("hush-hush", access.ca)
    else:
        access = Access(access.password, Path("/etc/ssl/certs/ca-certificates.crt"))
    queue = open_queue(dataclasses.replace(settings, queue_access=access))
    with pytest.raises(LostConnectionError) as caught:
        queue.pending()
    assert "hush-hush" not in str(caught.value)
    queue.close()


def test_a_training_starts_while_the_queue_is_away(
    settings: Settings, database: Database, dataset: Dataset, nobody: str
) -> None:
    away = dataclasses.replace(settings, queue_url=f"valkeys://beanft@{nobody}/0")
    queue = open_queue(away)
    with capture_logs() as logs:
        begun = time.monotonic()
        job = start_training(database, queue, settings.limits, dataset, PLAN)
    assert time.monotonic() - begun < 30
    assert [line["job"] for line in logs if line["event"] == "job_not_announced"] == [job.id]
    with database.reading() as session:
        assert session.get_one(Job, job.id).state == "queued"
    queue.close()


def test_a_server_that_is_away_for_a_moment_costs_no_training(
    settings: Settings,
    database: Database,
    storage: Storage,
    dataset: Dataset,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = open_queue(settings)
    slow = Plan("species", PLAN.features, ("random_forest", "decision_tree"))
    job = start_training(database, queue, settings.limits, dataset, slow)
    queue.close()
    settings = dataclasses.replace(settings, lease_seconds=5.0)
    worker = Runner(settings, database, storage, lambda: False, lambda _id: None)
    allow = f"ALTER DATABASE {servers.name} ALLOW_CONNECTIONS"
    poll, polls = FitProcess.poll, 0

    def cut(fit: FitProcess, seconds: float) -> bool:
        """Close the database for some seconds of the fit."""
        nonlocal polls
        polls += 1
        if polls == 1:
            servers.say("postgres", f"{allow} false")
            cut_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            servers.say("postgres", f"{cut_off}'{servers.name}'")
        elif polls == 5:
            servers.say("postgres", f"{allow} true")
        if polls < 8:  # it isn't over before
            time.sleep(seconds)
            return False
        return poll(fit, seconds)

    monkeypatch.setattr(FitProcess, "poll", cut)
    try:
        with capture_logs() as logs:
            worker.run(job.id)
    finally:
        servers.say("postgres", f"{allow} true")
    with database.reading() as session:
        done = session.get_one(Job, job.id)
    assert (done.state, done.attempt) == ("succeeded", 1)
    assert [line for line in logs if line["event"] == "lease_not_renewed"]


def test_a_worker_finds_jobs_while_the_queue_is_away(
    settings: Settings,
    places: dict[str, str],
    database: Database,
    dataset: Dataset,
    nobody: str,
    tmp_path: Path,
) -> None:
    queue = open_queue(dataclasses.replace(settings, queue_url=f"valkeys://beanft@{nobody}/0"))
    job = start_training(database, queue, settings.limits, dataset, PLAN)
    queue.close()
    env = {
        **places,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(MIGRATIONS.parent),
        "BEANFT_ENVIRONMENT": "test",
        "BEANFT_QUEUE_URL": f"valkeys://beanft@{nobody}/0",
        "BEANFT_RUN_DIR": str(tmp_path / "run"),
        "TMPDIR": str(tmp_path),
    }
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "beanft", "run-worker"]
        worker = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 90
        state = ""
        while state != "succeeded" and time.monotonic() < end:
            time.sleep(0.2)
            with database.reading() as session:
                state = session.get_one(Job, job.id).state
        assert state == "succeeded"
        assert (tmp_path / "run" / "heartbeat").exists(), "it is healthy"
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    said = (tmp_path / "log").read_text()
    assert said.count("queue_out_of_reach") == 1, "said once and not each second"
    assert "Traceback" not in said
