"""What may happen to a job, each step one short transaction that checks who holds it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from beanft.core.database import Database, utcnow
from beanft.core.errors import NotFoundError
from beanft.jobs.models import ACTIVE, Job
from beanft.ml.results import Results, ended

MAX_ATTEMPTS = 3
REANNOUNCE_AFTER = dt.timedelta(seconds=10)
GIVEN_UP = f"The worker died {MAX_ATTEMPTS} times during this training. Try a smaller data set."


@dataclass(frozen=True, slots=True)
class Claim:
    """Proof that a worker holds a job; it stops being valid when another attempt begins."""

    job_id: str
    owner: str
    attempt: int
    request_id: str | None = None


def _changed(result: sa.Result[Any]) -> bool:
    return isinstance(result, CursorResult) and result.rowcount == 1


def _held(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Job.id == claim.job_id,
        Job.state == "running",
        Job.lease_owner == claim.owner,
        Job.attempt == claim.attempt,
    )


def get_job(database: Database, user_id: str, job_id: str) -> Job:
    """Return a person's job.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.reading() as session:
        job = session.get(Job, job_id)
    if job is None or job.user_id != user_id:
        raise NotFoundError("There is no such training.")
    return job


def claim_job(database: Database, job_id: str, owner: str, lease: float) -> Claim | None:
    """Take a waiting job for ``lease`` seconds; None if it isn't waiting (any more)."""
    now = utcnow()
    with database.writing() as session:
        result = session.execute(
            sa.update(Job)
            .where(Job.id == job_id, Job.state == "queued")
            .values(
                state="running",
                lease_owner=owner,
                lease_expires_at=now + dt.timedelta(seconds=lease),
                heartbeat_at=now,
                attempt=Job.attempt + 1,
                started_at=now,
                progress=0,
                message="Starting",
                results=None,
            )
        )
        if not _changed(result):
            return None
        job = session.execute(sa.select(Job.attempt, Job.request_id).where(Job.id == job_id)).one()
    return Claim(job_id, owner, job.attempt, job.request_id)


def renew(
    database: Database,
    claim: Claim,
    lease: float,
    progress: int,
    message: str,
    results: Results | None = None,
) -> bool:
    """Hold a job for ``lease`` more seconds; False if it was cancelled, deleted or lost.

    Args:
        database: where the job is.
        claim: what holds it.
        lease: seconds.
        progress: percent done.
        message: what it does now.
        results: what is known of each estimator so far.

    """
    now = utcnow()
    with database.writing() as session:
        return _changed(
            session.execute(
                sa.update(Job)
                .where(*_held(claim))
                .values(
                    lease_expires_at=now + dt.timedelta(seconds=lease),
                    heartbeat_at=now,
                    progress=progress,
                    message=message[:500],
                    results=results,
                )
            )
        )


def holds(session: Session, claim: Claim) -> bool:
    """Tell whether the claim is still valid, within a writing transaction."""
    return session.scalar(sa.select(Job.id).where(*_held(claim))) is not None


def finish(
    session: Session, claim: Claim, model_id: str, results: Results, message: str = "Done"
) -> bool:
    """Mark a held job as done, in the transaction that adds its models; the id is the best's."""
    return _changed(
        session.execute(
            sa.update(Job)
            .where(*_held(claim))
            .values(
                state="succeeded",
                model_id=model_id,
                progress=100,
                message=message[:500],
                results=results,
                finished_at=utcnow(),
                lease_owner=None,
                lease_expires_at=None,
            )
        )
    )


def fail(database: Database, claim: Claim, message: str, results: Results | None = None) -> bool:
    """Mark a held job as failed for a reason that a second try wouldn't change."""
    with database.writing() as session:
        return _changed(
            session.execute(
                sa.update(Job)
                .where(*_held(claim))
                .values(
                    state="failed",
                    message=message[:500],
                    results=results,
                    finished_at=utcnow(),
                    lease_owner=None,
                    lease_expires_at=None,
                )
            )
        )


def release(database: Database, claim: Claim) -> bool:
    """Hand a held job back, unfinished; the attempt doesn't count."""
    with database.writing() as session:
        return _changed(
            session.execute(
                sa.update(Job)
                .where(*_held(claim))
                .values(
                    state="queued",
                    attempt=Job.attempt - 1,
                    progress=0,
                    message="Waiting for another worker",
                    announced_at=utcnow(),
                    lease_owner=None,
                    lease_expires_at=None,
                )
            )
        )


def cancel(database: Database, user_id: str, job_id: str) -> bool:
    """Cancel a person's job; False if it was over. A running fit notices within seconds."""
    get_job(database, user_id, job_id)
    with database.writing() as session:
        results = session.scalar(sa.select(Job.results).where(Job.id == job_id))
        return _changed(
            session.execute(
                sa.update(Job)
                .where(Job.id == job_id, Job.user_id == user_id, Job.state.in_(ACTIVE))
                .values(
                    state="cancelled",
                    message="Cancelled",
                    results=ended(results, "Cancelled.") if results else None,
                    finished_at=utcnow(),
                    lease_owner=None,
                    lease_expires_at=None,
                )
            )
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """The jobs that are under way: their number by state, and the age of the oldest that waits."""

    jobs: dict[str, int]
    oldest_seconds: float


def waiting(database: Database) -> Waiting:
    """Look at the jobs that are under way."""
    jobs = (
        sa.select(Job.state, sa.func.count(), sa.func.min(Job.created_at))
        .where(Job.state.in_(ACTIVE))
        .group_by(Job.state)
    )
    with database.reading() as session:
        found = session.execute(jobs).all()
    oldest = next((since for state, _number, since in found if state == "queued"), None)
    seconds = (utcnow() - oldest).total_seconds() if oldest else 0.0
    return Waiting({state: number for state, number, _since in found}, max(0.0, seconds))


def sweep(database: Database, *, queue_is_empty: bool) -> list[str]:
    """Find jobs whose worker died, and waiting jobs that the queue has lost.

    Args:
        database: where the jobs are.
        queue_is_empty: only then is a waiting job lost and not just behind others.

    Returns:
        The ids to announce again.

    """
    now = utcnow()
    with database.reading() as session:
        if not session.scalar(sa.select(Job.id).where(Job.state.in_(ACTIVE)).limit(1)):
            return []
    with database.writing() as session:
        dead = (Job.state == "running", Job.lease_expires_at < now)
        session.execute(
            sa.update(Job)
            .where(*dead, Job.attempt >= MAX_ATTEMPTS)
            .values(state="failed", message=GIVEN_UP, finished_at=now, lease_owner=None)
        )
        returned = list(session.scalars(sa.select(Job.id).where(*dead)))
        session.execute(
            sa.update(Job)
            .where(*dead)
            .values(
                state="queued",
                announced_at=now,
                progress=0,
                message="Its worker died; waiting for another",
                lease_owner=None,
                lease_expires_at=None,
            )
        )
        if queue_is_empty:
            lost = (Job.state == "queued", Job.announced_at < now - REANNOUNCE_AFTER)
            returned += session.scalars(sa.select(Job.id).where(*lost))
            session.execute(sa.update(Job).where(*lost).values(announced_at=now))
    return returned
