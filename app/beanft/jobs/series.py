"""The models that a job leaves: a version each of a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.core.database import new_id
from beanft.jobs.models import Job
from beanft.ml.plan import NAME_MAX_CHARS, Plan
from beanft.storage.files import StoredFile
from beanft.training.models import Model
from beanft.uploader.models import Dataset


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model whose file is stored: its estimator, schema and measures (JSON)."""

    estimator: str
    schema: dict[str, Any]
    metrics: dict[str, Any]
    file: StoredFile

    @property
    def cv_score(self) -> float:
        """Its mean score in cross-validation."""
        return float(self.metrics["cv"]["mean"])


def best_of(kept: Sequence[KeptModel]) -> int:
    """Return the position of the model that did best in cross-validation."""
    return max(range(len(kept)), key=lambda position: kept[position].cv_score)


def series_name(plan: Plan, dataset_name: str) -> str:
    """Return the name of a plan's models: the plan's own, or the data set's and the target."""
    stem = dataset_name[:-4] if dataset_name.lower().endswith(".csv") else dataset_name
    return (plan.name or f"{stem}: {plan.target}")[:NAME_MAX_CHARS]


def _series_of(session: Session, job: Job, plan: Plan, name: str) -> str | None:
    """Return the series of the newest model of that name, if it predicts the same."""
    newest = session.scalar(
        sa.select(Model)
        .where(Model.user_id == job.user_id, Model.name == name, Model.series_id.is_not(None))
        .order_by(Model.created_at.desc(), Model.version.desc())
        .limit(1)
    )
    if newest is None or (newest.schema.target, newest.task) != (plan.target, plan.task):
        return None
    return newest.series_id


def add_models(
    session: Session, job: Job, dataset: Dataset, plan: Plan, kept: Sequence[KeptModel]
) -> list[Model]:
    """Add a job's models, as the next versions of their series.

    Of a series without a current version, the one that did best in cross-validation becomes it.

    Args:
        session: the writing transaction, so that no other job gives the same versions.
        job: the job.
        dataset: what it trained on.
        plan: what it was to train.
        kept: its models, at least one.

    Returns:
        The rows, in the order of ``kept``.

    """
    name = series_name(plan, dataset.name)
    series = _series_of(session, job, plan, name) or new_id()
    last = session.scalar(sa.select(sa.func.max(Model.version)).where(Model.series_id == series))
    current = session.scalar(
        sa.select(Model.id).where(Model.series_id == series, Model.is_current).limit(1)
    )
    best = kept[best_of(kept)]
    models = [
        Model(
            id=new_id(),
            user_id=job.user_id,
            dataset_id=dataset.id,
            job_id=job.id,
            name=name,
            series_id=series,
            version=version,
            is_current=current is None and model is best,
            task=plan.task,
            score=model.metrics["score"]["value"],
            cv_score=model.cv_score,
            dataset_name=dataset.name,
            dataset_sha256=dataset.sha256,
            estimator=model.estimator,
            schema_data=model.schema,
            metrics=model.metrics,
            storage_key=model.file.key,
            sha256=model.file.sha256,
            size=model.file.size,
        )
        for version, model in enumerate(kept, start=(last or 0) + 1)
    ]
    session.add_all(models)
    session.flush()
    return models
