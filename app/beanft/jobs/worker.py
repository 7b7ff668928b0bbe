"""The worker's process: Huey's consumer, a heartbeat and the sweeper."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from beanft.config import Settings
from beanft.core.database import Database
from beanft.core.logs import configure_logs, logger
from beanft.core.schema_revision import database_revision, is_sufficient
from beanft.jobs import service
from beanft.jobs.fit_process import warm_up
from beanft.jobs.metrics import JobMetrics
from beanft.jobs.queue import JobQueue, open_queue
from beanft.jobs.runner import Runner
from beanft.storage.choose import open_storage
from beanft.uploader.once import forget_keys

if TYPE_CHECKING:
    from huey.consumer import Consumer

TEND_SECONDS = 3.0
# A new worker is ready at once and leaves the processors to web and api, which start with it.
WARM_UP_AFTER_SECONDS = 20.0


class Tender:
    """Every few seconds: is all in reach? Then touch the heartbeat and sweep."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        heartbeat: Path,
        metrics: JobMetrics | None = None,
    ) -> None:
        self._database = database
        self._queue = queue
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._stop = threading.Event()
        self._log = logger()

    def tend(self) -> None:
        """Do one round; raises if the database, or a queue in a file, can't be reached."""
        if not is_sufficient(database_revision(self._database)):
            raise RuntimeError("the database's schema is older than this release")
        pending = self._queue.pending()
        for job_id in service.sweep(self._database, queue_is_empty=pending == 0):
            self._log.warning("job_announced_again", job=job_id)
            self._queue.announce(job_id)
        forget_keys(self._database)
        if self._metrics is not None:
            self._metrics.seen(service.waiting(self._database))
        self._heartbeat.parent.mkdir(parents=True, exist_ok=True)
        self._heartbeat.touch()

    def run(self) -> None:
        """Go on until stopped; a round that fails is logged and not a heartbeat."""
        while True:
            try:
                self.tend()
            except Exception as error:
                self._log.error("worker_out_of_reach", reason=str(error))
            if self._stop.wait(TEND_SECONDS):
                return

    def start(self) -> None:
        """Run in a thread."""
        threading.Thread(target=self.run, daemon=True, name="tender").start()

    def stop(self) -> None:
        """Stop after the present round."""
        self._stop.set()


def run_worker(settings: Settings) -> None:
    """Take jobs until SIGTERM; then finish or hand back the job in hand."""
    # After beanft.jobs.queue, which keeps Huey from importing what isn't used.
    from huey.consumer import Consumer

    configure_logs("worker")
    database = Database(settings.database_url, settings.database_access)
    consumer: Consumer | None = None

    def stopping() -> bool:
        return consumer is not None and consumer.stop_flag.is_set()

    def run(job_id: str) -> None:
        runner.run(job_id)

    queue = open_queue(settings, run, works=True)
    storage = open_storage(settings, database)
    metrics = JobMetrics()
    if settings.metrics_port:
        metrics.serve(settings.host, settings.metrics_port)
    runner = Runner(settings, database, storage, stopping, queue.announce, metrics.ended)
    consumer = Consumer(
        queue.huey,
        workers=1,
        periodic=False,
        max_delay=1.0,
        graceful_signal="TERM",
        shutdown_timeout=settings.worker_grace_seconds + 10,
    )
    heartbeat = settings.run_dir / "heartbeat"
    tender = Tender(database, queue, heartbeat, metrics if settings.metrics_port else None)
    tender.start()
    # A job that comes before has it done then.
    later = threading.Timer(WARM_UP_AFTER_SECONDS, warm_up)
    later.daemon = True
    later.start()
    logger().info("worker_started", owner=runner.owner, revision=settings.revision)
    consumer.run()
    later.cancel()
    tender.stop()
    logger().info("worker_stopped")
