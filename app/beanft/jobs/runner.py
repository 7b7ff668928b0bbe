"""What a worker does with one job: claim it, fit in a child, store the model, say so."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from beanft.config import Settings
from beanft.core.database import Database, new_id
from beanft.core.logs import logger
from beanft.jobs import service
from beanft.jobs.fit_process import FitProcess, warm_up
from beanft.jobs.models import Job
from beanft.jobs.service import Claim
from beanft.ml.csv_text import CsvLimits
from beanft.ml.plan import Plan
from beanft.storage.files import Storage, undone_on_error
from beanft.training.models import Model
from beanft.uploader.models import Dataset

POLL_SECONDS = 0.5
MODEL_MAX_BYTES = 500_000_000
BROKEN = "Something went wrong on our side while training. It has been logged; try again."


class Runner:
    """Runs jobs, one at a time.

    Args:
        settings: leases and limits.
        database: where jobs and models are.
        storage: where files are.
        stopping: tells whether the worker is being stopped.
        announce: puts a job's id into the queue again.

    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        stopping: Callable[[], bool],
        announce: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._stopping = stopping
        self._announce = announce
        self._log = logger()
        self.owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{new_id()[:8]}"

    def run(self, job_id: str) -> None:
        """Run a job if nobody else does; safe to call any number of times."""
        if not self._stopping():
            warm_up()  # before the job is held: its imports may take longer than a lease
        if self._stopping():
            self._announce(job_id)
            return
        claim = service.claim_job(self._database, job_id, self.owner, self._settings.lease_seconds)
        if claim is None:
            return
        log = self._log.bind(job=job_id, attempt=claim.attempt)
        log.info("job_started")
        directory = Path(tempfile.mkdtemp(prefix="beanft-fit-"))
        try:
            outcome = self._work(claim, directory)
        except Exception:
            log.exception("job_broken")
            service.fail(self._database, claim, BROKEN)
            outcome = "broken"
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        log.info("job_ended", outcome=outcome)

    def _work(self, claim: Claim, directory: Path) -> str:
        with self._database.reading() as session:
            job = session.get_one(Job, claim.job_id)
            dataset = session.get_one(Dataset, job.dataset_id)
        source, target = directory / "data.csv", directory / "model.onnx"
        with self._storage.open(dataset.storage_key) as kept, source.open("wb") as copy:
            shutil.copyfileobj(kept, copy)
        limits = self._settings.limits
        fit = FitProcess(source, target)
        fit.start(
            dataset.profile,
            Plan.from_dict(job.plan_data),
            CsvLimits(limits.upload_max_rows, limits.upload_max_columns, limits.cell_max_chars),
        )
        try:
            ended = self._watch(claim, fit)
        finally:
            fit.end()
        if ended is not None:
            return ended
        outcome = fit.outcome or {}
        if outcome["kind"] == "done":
            return self._keep(claim, job, target, outcome["schema"], outcome["metrics"])
        if outcome["kind"] == "refused":
            service.fail(self._database, claim, outcome["message"])
            return "refused"
        self._log.error("fit_broken", job=claim.job_id, trace=outcome["message"])
        service.fail(self._database, claim, BROKEN)
        return "broken"

    def _watch(self, claim: Claim, fit: FitProcess) -> str | None:
        """Renew the lease while the fit runs; None when it ended by itself."""
        lease = self._settings.lease_seconds
        started = time.monotonic()
        renewed, shown, stop_at = started, -1, None
        while not fit.poll(POLL_SECONDS):
            now = time.monotonic()
            if self._stopping() and stop_at is None:
                stop_at = now + self._settings.worker_grace_seconds
            if stop_at is not None and now >= stop_at:
                service.release(self._database, claim)
                self._announce(claim.job_id)
                return "released"
            if now - started > self._settings.fit_max_seconds:
                minutes = self._settings.fit_max_seconds / 60
                service.fail(self._database, claim, f"It took longer than {minutes:g} minutes.")
                return "too_long"
            if fit.percent != shown or now - renewed > lease / 5:
                if not service.renew(self._database, claim, lease, fit.percent, fit.message):
                    return "lost"
                renewed, shown = now, fit.percent
        return None

    def _keep(
        self,
        claim: Claim,
        job: Job,
        target: Path,
        schema: dict[str, object],
        metrics: dict[str, object],
    ) -> str:
        with target.open("rb") as stream:
            kept = self._storage.save("models", "onnx", stream, most=MODEL_MAX_BYTES)
        model = Model(
            id=new_id(),
            user_id=job.user_id,
            dataset_id=job.dataset_id,
            name=job.name,
            estimator=job.plan_data["estimator"],
            schema_data=schema,
            metrics=metrics,
            storage_key=kept.key,
            sha256=kept.sha256,
            size=kept.size,
        )
        try:
            with undone_on_error(self._storage, kept.key), self._database.writing() as session:
                # The claim is checked before the model is added: if the job or its owner is
                # gone meanwhile, nothing refers to the file and it goes too.
                if not service.holds(session, claim):
                    raise _LostClaimError
                session.add(model)
                session.flush()
                service.finish(session, claim, model.id)
        except _LostClaimError:
            return "lost"
        return "succeeded"


class _LostClaimError(Exception):
    """Somebody cancelled or deleted the job while its model was being stored."""
