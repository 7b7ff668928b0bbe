"""Start trainings, and find and delete the models that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from beanft.config import Limits
from beanft.core.database import Database
from beanft.core.errors import ConflictError, NotFoundError
from beanft.jobs.models import ACTIVE, Job
from beanft.ml.plan import ESTIMATORS, Plan, check_plan
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.uploader.models import Dataset

if TYPE_CHECKING:
    from beanft.jobs.queue import JobQueue


def start_training(
    database: Database, queue: JobQueue, limits: Limits, dataset: Dataset, plan: Plan
) -> Job:
    """Check a plan and queue it.

    Raises:
        DataError: the data can't be trained on as planned; fields are named.
        ConflictError: the person has too many trainings under way.

    """
    check_plan(plan, dataset.profile)
    job = Job(
        user_id=dataset.user_id,
        dataset_id=dataset.id,
        name=f"{plan.target} by {ESTIMATORS[plan.estimator].lower()}"[:120],
        plan_data=plan.to_dict(),
    )
    with database.writing() as session:
        count = sa.select(sa.func.count()).where(
            Job.user_id == dataset.user_id, Job.state.in_(ACTIVE)
        )
        if int(session.scalar(count) or 0) >= limits.active_jobs_per_user:
            raise ConflictError(
                f"{limits.active_jobs_per_user} of your trainings are under way. "
                "Wait for one to end, or cancel it."
            )
        session.add(job)
    # If this process dies right here the sweeper announces the job instead.
    queue.announce(job.id)
    return job


def jobs_of_dataset(database: Database, dataset_id: str) -> list[Job]:
    """Return the last 20 trainings on a data set, the latest first."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(Job)
                .where(Job.dataset_id == dataset_id)
                .order_by(Job.created_at.desc())
                .limit(20)
            )
        )


def models_of(database: Database, user_id: str) -> list[Model]:
    """Return a person's models and the released ones, the latest first."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(Model)
                .where(sa.or_(Model.user_id == user_id, Model.released_at.is_not(None)))
                .order_by(Model.released_at.is_not(None), Model.created_at.desc())
            )
        )


def get_model(database: Database, user_id: str | None, model_id: str) -> Model:
    """Return a person's model, or a released one.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.reading() as session:
        model = session.get(Model, model_id)
    if model is None or (model.released_at is None and model.user_id != user_id):
        raise NotFoundError("There is no such model.")
    return model


def released_models(database: Database) -> list[Model]:
    """Return the models that everybody may use."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(Model)
                .where(Model.released_at.is_not(None))
                .order_by(Model.released_name, Model.id)
            )
        )


def delete_model(database: Database, storage: Storage, user_id: str, model_id: str) -> None:
    """Delete a person's model and its file.

    Raises:
        NotFoundError: there is none, or it isn't theirs; released ones aren't.

    """
    model = get_model(database, user_id, model_id)
    if model.user_id != user_id:
        raise NotFoundError("There is no such model of yours.")
    with database.writing() as session:
        session.execute(sa.delete(Model).where(Model.id == model.id))
    storage.delete(model.storage_key)
