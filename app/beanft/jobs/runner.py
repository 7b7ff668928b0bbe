"""What a worker does with one job: claim it, fit in a child, store the models, say so."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database, is_busy, is_unreachable, new_id
from beanft.core.logs import as_part_of, logger
from beanft.jobs import service
from beanft.jobs.fit_process import FitProcess, model_path, warm_up
from beanft.jobs.models import Job
from beanft.jobs.series import KeptModel, add_models, best_of
from beanft.jobs.service import Claim
from beanft.ml.csv_text import CsvLimits
from beanft.ml.plan import Plan
from beanft.ml.results import Results, of_estimator
from beanft.ml.results import ended as results_ended
from beanft.storage.files import Storage, undone_on_error
from beanft.uploader.models import Dataset

POLL_SECONDS = 0.5
SHOW_SECONDS = 1.0  # between two looks at a fit that its owner can see
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
        ended: is told how each job ended here.

    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        stopping: Callable[[], bool],
        announce: Callable[[str], None],
        ended: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._stopping = stopping
        self._announce = announce
        self._ended = ended
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
        with as_part_of(claim.request_id):
            self._run(claim)

    def _run(self, claim: Claim) -> None:
        log = self._log.bind(job=claim.job_id, attempt=claim.attempt)
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
        self._ended(outcome)

    def _work(self, claim: Claim, directory: Path) -> str:
        with self._database.reading() as session:
            job = session.get_one(Job, claim.job_id)
            dataset = session.get_one(Dataset, job.dataset_id)
        plan = Plan.from_dict(job.plan_data)
        source = directory / "data.csv"
        with self._storage.open(dataset.storage_key) as kept, source.open("wb") as copy:
            shutil.copyfileobj(kept, copy)
        limits = self._settings.limits
        fit = FitProcess(source, directory)
        fit.start(
            dataset.profile,
            plan,
            CsvLimits(limits.upload_max_rows, limits.upload_max_columns, limits.cell_max_chars),
        )
        try:
            ended = self._watch(claim, fit)
        finally:
            fit.end()
        if ended is not None:
            return ended
        outcome = fit.outcome or {}
        traces = outcome.get("traces", {})
        if outcome["kind"] == "broken":
            traces, outcome["message"] = {"": outcome["message"]}, BROKEN
        for estimator, trace in traces.items():
            self._log.error("fit_broken", job=claim.job_id, estimator=estimator, trace=trace)
        message = outcome.get("message", "")
        results = results_ended(fit.results, message)
        if not fit.models:
            service.fail(self._database, claim, message, results)
            return str(outcome["kind"])
        # Whatever ended the fit, the models that were finished by then are good.
        return self._keep(claim, job, dataset, plan, fit, results)

    def _watch(self, claim: Claim, fit: FitProcess) -> str | None:
        """Renew the lease while the fit runs; None when it ended, or had to."""
        lease = self._settings.lease_seconds
        started = time.monotonic()
        renewed, shown, stop_at = started, (0, ""), None
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
                fit.stop("too_long", f"It took longer than {minutes:g} minutes.")
                return None
            state = (fit.percent, fit.message)
            since = now - renewed
            if since > lease / 5 or (since >= SHOW_SECONDS and state != shown):
                try:
                    if not service.renew(self._database, claim, lease, *state, fit.results):
                        return "lost"
                except sa.exc.SQLAlchemyError as error:
                    if not (is_busy(error) or is_unreachable(error)):
                        raise
                    # A server that is restarted costs no training. If it is away for longer than
                    # the lease, the claim is looked at before anything is kept.
                    self._log.warning("lease_not_renewed", job=claim.job_id, reason=str(error))
                    continue
                renewed, shown = now, state
        return None

    def _keep(
        self,
        claim: Claim,
        job: Job,
        dataset: Dataset,
        plan: Plan,
        fit: FitProcess,
        results: Results,
    ) -> str:
        try:
            with ExitStack() as undo:
                kept = []
                for found in fit.models:
                    with model_path(fit.directory, found["estimator"]).open("rb") as stream:
                        file = self._storage.save("models", "onnx", stream, most=MODEL_MAX_BYTES)
                    undo.enter_context(undone_on_error(self._storage, file.key))
                    kept.append(
                        KeptModel(found["estimator"], found["schema"], found["metrics"], file)
                    )
                with self._database.writing() as session:
                    # The claim is checked before the models are added: if the job or its owner
                    # is gone meanwhile, nothing refers to the files and they go too.
                    if not service.holds(session, claim):
                        raise _LostClaimError
                    models = add_models(session, job, dataset, plan, kept)
                    for model in models:
                        of_estimator(results, model.estimator)["model_id"] = model.id
                    service.finish(session, claim, models[best_of(kept)].id, results)
        except _LostClaimError:
            return "lost"
        return "succeeded"


class _LostClaimError(Exception):
    """Somebody cancelled or deleted the job while its models were being stored."""
