"""How far each estimator of a training is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from beanft.jobs.models import Job
from beanft.ml.plan import ESTIMATOR_NAMES, Plan
from beanft.training.card import score_text, spread_text

WAITING = "waiting"
UNFINISHED = (WAITING, "running")
STOPPED = "stopped"  # shown where a training ended before this estimator did


@dataclass(frozen=True, slots=True)
class Result:
    """One estimator's state, and its scores and seconds as text, ``-`` until they are known."""

    estimator: str
    name: str
    state: str = WAITING
    cv: str = "-"
    score: str = "-"
    seconds: str = "-"
    message: str = ""
    model_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return asdict(self)


def _result(entry: dict[str, Any], task: str, *, active: bool) -> Result:
    state = str(entry.get("state", WAITING))
    if not active and state in UNFINISHED:
        state = STOPPED
    key = str(entry.get("estimator", ""))
    cv = entry.get("cv") or {}
    seconds = entry.get("seconds")
    return Result(
        estimator=key,
        name=ESTIMATOR_NAMES.get(key, key),
        state=state,
        cv=spread_text(cv.get("mean"), cv.get("std"), task),
        score=score_text(entry.get("score"), task),
        seconds="-" if seconds is None else f"{seconds:.1f}",
        message=str(entry.get("message") or ""),
        model_id=entry.get("model_id"),
    )


def results_of(job: Job) -> list[Result]:
    """Return what is known of each estimator, in the plan's order.

    A job that no worker has begun, or that an older one runs, has no results yet.
    """
    plan = Plan.from_dict(job.plan_data)
    known = {
        str(entry.get("estimator")): entry for entry in (job.results or {}).get("estimators", [])
    }
    return [
        _result(known.get(key, {"estimator": key}), plan.task, active=job.active)
        for key in plan.estimators
    ]
