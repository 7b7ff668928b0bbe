"""The table of jobs: the truth about long work. The queue only says "look at this id"."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("queued", "running")


class Job(Base):
    """One training.

    A worker holds a job by ``lease_owner`` and ``attempt`` until ``lease_expires_at``; when
    that passes without renewal the worker is dead and the job goes back to the queue.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    dataset_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    model_id: Mapped[str | None] = mapped_column(
        sa.String(20), sa.ForeignKey("models.id", ondelete="SET NULL"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(120))
    request_id: Mapped[str | None] = mapped_column(sa.String(64))  # who asked, for the logs
    plan_data: Mapped[dict[str, Any]]
    results: Mapped[dict[str, Any] | None]  # what is known of each estimator so far
    state: Mapped[str] = mapped_column(sa.String(12), default="queued", index=True)
    progress: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(sa.String(500), default="Waiting for a worker")
    attempt: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(sa.String(80))
    lease_expires_at: Mapped[dt.datetime | None]
    heartbeat_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    announced_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]

    @property
    def active(self) -> bool:
        """True while it waits or runs."""
        return self.state in ACTIVE
