"""The latest rows that a person asked a model about on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.predictions.models import Prediction

KEPT = 5


def _latest(user_id: str, model_id: str) -> sa.Select[Prediction]:
    return (
        sa.select(Prediction)
        .where(Prediction.user_id == user_id, Prediction.model_id == model_id)
        .order_by(Prediction.created_at.desc(), Prediction.id.desc())
    )


def remember(
    database: Database,
    user_id: str,
    model_id: str,
    inputs: Mapping[str, str],
    answer: Mapping[str, Any],
) -> None:
    """Keep a prediction, and of all by this person with this model the latest five.

    Raises:
        NotFoundError: the model was deleted in the meantime.

    """
    try:
        with database.writing() as session:
            session.add(
                Prediction(
                    user_id=user_id, model_id=model_id, inputs=dict(inputs), answer=dict(answer)
                )
            )
            session.flush()
            for old in session.scalars(_latest(user_id, model_id).offset(KEPT)):
                session.delete(old)
    except sa.exc.IntegrityError:
        raise NotFoundError("There is no such model.") from None


def latest(database: Database, user_id: str, model_id: str) -> list[Prediction]:
    """Return a person's predictions with a model, the latest first: five at most."""
    with database.reading() as session:
        return list(session.scalars(_latest(user_id, model_id).limit(KEPT)))
