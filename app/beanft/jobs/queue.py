"""The queue: Huey on SQLite or on Valkey. Messages are JSON and hold a job's id, nothing else.

Jobs are rows of the database. The queue only says that there is one, so that a worker takes it at
once: when it is away, nothing fails and nothing is lost, and workers find jobs by looking.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beanft.config import Settings
from beanft.core.logs import logger


@contextmanager
def _left_out(name: str) -> Iterator[None]:
    """Let an import fail: Huey imports each driver that there is, and 10 MB come with one."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _left_out("psycopg"):
    from huey import Huey, SqliteHuey
    from huey.registry import Message
    from huey.serializer import Serializer

QUEUE_NAME = "beanft"


class JsonSerializer(Serializer):
    """JSON instead of Huey's pickles: whoever can write into the queue can't run code."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(list(data) if isinstance(data, Message) else data).encode()

    def _deserialize(self, data: bytes) -> Any:
        loaded = json.loads(data)
        return Message(*loaded) if isinstance(loaded, list) else loaded


def _not_a_worker(job_id: str) -> None:
    raise RuntimeError(f"job {job_id} was taken from the queue by a process that is no worker")


class JobQueue:
    """Announces jobs to workers.

    Args:
        huey: the queue itself.
        run: what a worker does with a job's id; services that only announce leave it out.

    """

    def __init__(self, huey: Huey, run: Callable[[str], None] = _not_a_worker) -> None:
        self.huey = huey

        def run_job(job_id: str) -> None:
            run(job_id)

        self._task = self.huey.task(name="run_job")(run_job)

    def announce(self, job_id: str) -> None:
        """Tell the workers that there is a job; told twice it still runs once.

        Never fails: a job that could not be announced is found by the workers' own looking.
        """
        try:
            self._task(job_id)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            logger().warning("job_not_announced", job=job_id, reason=reason)

    def pending(self) -> int:
        """Return how many announcements wait. Fails if the queue can't be reached."""
        return int(self.huey.pending_count())

    def close(self) -> None:
        """Close its connections."""
        self.huey.storage.close()


def open_queue(
    settings: Settings, run: Callable[[str], None] = _not_a_worker, *, works: bool = False
) -> JobQueue:
    """Return an installation's queue.

    Args:
        settings: name Valkey, or a file.
        run: what a worker does with a job's id.
        works: whether this process takes jobs, and so is told itself what Valkey can't be.

    """
    if settings.queue_url is None:
        return JobQueue(_in_file(settings.queue_path), run)
    # Imported late: where the queue is a file, there is no need of the client's memory.
    from beanft.jobs.valkey import ValkeyStorage, connect

    huey = Huey(
        QUEUE_NAME,
        serializer=JsonSerializer(),
        results=False,
        storage_class=ValkeyStorage,
        client=connect(settings.queue_url, settings.queue_access),
        works=works,
    )
    return JobQueue(huey, run)


def _in_file(path: Path) -> Huey:
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteHuey(
        QUEUE_NAME,
        filename=str(path),
        serializer=JsonSerializer(),
        results=False,
        timeout=10,
        strict_fifo=True,
    )
