"""Start trainings, and find and delete the models that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.config import Limits
from beanft.core.database import Database
from beanft.core.errors import ConflictError, InvalidError, NotFoundError
from beanft.core.logs import logger, present_request
from beanft.jobs.models import ACTIVE, Job
from beanft.jobs.series import series_name
from beanft.ml.plan import Plan, check_plan
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.series import current_of, ranked, versions_of
from beanft.uploader.models import Dataset

if TYPE_CHECKING:
    from beanft.jobs.queue import JobQueue

NOTES_MAX_CHARS = 4000


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
        name=series_name(plan, dataset.name),
        request_id=present_request(),
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
    logger().info("job_queued", job=job.id)
    # If this process dies right here, or the queue is away, a worker finds the job by looking.
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


def resolve_model(database: Database, user_id: str | None, id_: str) -> Model:
    """Return the model of that id, or the current one of the series of that id.

    A program that asks by the series' id goes on working when another version is promoted.

    Raises:
        NotFoundError: there is neither, or it is somebody else's.

    """
    with database.reading() as session:
        model = session.get(Model, id_)
        if model is None and user_id is not None:
            found = session.scalars(
                sa.select(Model).where(Model.series_id == id_, Model.user_id == user_id)
            )
            model = current_of(list(found))
    if model is None or (model.released_at is None and model.user_id != user_id):
        raise NotFoundError("There is no such model.")
    return model


def own_model(session: Session, user_id: str, model_id: str) -> Model:
    """Return a model that a person may change, within a transaction.

    Raises:
        NotFoundError: there is none, or it isn't theirs; released ones aren't.

    """
    model = session.get(Model, model_id)
    if model is None or model.user_id != user_id:
        raise NotFoundError("There is no such model of yours.")
    return model


def promote(database: Database, user_id: str, model_id: str) -> Model:
    """Make a model the current one of its series.

    Raises:
        NotFoundError: there is none, or it isn't theirs.

    """
    with database.writing() as session:
        model = own_model(session, user_id, model_id)
        for other in versions_of(session, model):
            other.is_current = other.id == model.id
    return model


def set_notes(database: Database, user_id: str, model_id: str, notes: str) -> None:
    """Say what a model is for, in at most 4000 characters; empty takes it back.

    Raises:
        NotFoundError: there is none, or it isn't theirs.
        InvalidError: it is too long.

    """
    # Browsers send CR LF, and count it as one character against a text field's limit.
    notes = notes.replace("\r\n", "\n").strip()
    if len(notes) > NOTES_MAX_CHARS:
        message = f"{len(notes)} characters are too many; {NOTES_MAX_CHARS} fit."
        raise InvalidError(message, errors=[{"field": "notes", "message": message}])
    with database.writing() as session:
        own_model(session, user_id, model_id).notes = notes or None


def delete_model(database: Database, storage: Storage, user_id: str, model_id: str) -> None:
    """Delete a person's model and its file; the best other one of its series becomes current.

    Raises:
        NotFoundError: there is none, or it isn't theirs; released ones aren't.

    """
    with database.writing() as session:
        model = own_model(session, user_id, model_id)
        others = [other for other in versions_of(session, model) if other.id != model.id]
        session.delete(model)
        if model.is_current and others:
            ranked(others)[0].is_current = True
    storage.delete(model.storage_key)
