"""The queue: Huey on SQLite. Messages are JSON and hold a job's id, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

QUEUE_NAME = "beanft"


class JsonSerializer(Serializer):
    """JSON instead of Huey's pickles: whoever can write the queue's file can't run code."""

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
        path: the queue's SQLite file.
        run: what a worker does with a job's id; services that only announce leave it out.

    """

    def __init__(self, path: Path, run: Callable[[str], None] = _not_a_worker) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.huey = SqliteHuey(
            QUEUE_NAME,
            filename=str(path),
            serializer=JsonSerializer(),
            results=False,
            timeout=10,
            strict_fifo=True,
        )

        def run_job(job_id: str) -> None:
            run(job_id)

        self._task = self.huey.task(name="run_job")(run_job)

    def announce(self, job_id: str) -> None:
        """Tell the workers that there is a job; told twice it still runs once."""
        self._task(job_id)

    def pending(self) -> int:
        """Return how many announcements wait. Fails if the queue can't be reached."""
        return int(self.huey.pending_count())
