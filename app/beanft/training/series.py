"""Series: the versions of one model, the best first, one of them current.

A model that was trained before there were series, or whose series is not known, is a series
of its own under its own id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.training.models import Model


@dataclass(frozen=True, slots=True)
class Series:
    """At least one version, ranked, and the one that answers where the series is asked."""

    id: str
    versions: list[Model]
    current: Model

    @property
    def name(self) -> str:
        """What it is called."""
        return self.current.name


def series_id(model: Model) -> str:
    """Return the id of a model's series."""
    return model.series_id or model.id


def held_out_score(model: Model) -> float | None:
    """Return the accuracy or R2 on held-out rows; older rows have it in their measures only."""
    if model.score is not None:
        return model.score
    found = model.metrics.get("score", {}).get("value", model.metrics.get("accuracy"))
    return None if found is None else float(found)


def _rank(model: Model) -> tuple[float, float, int]:
    lowest = float("-inf")
    held_out = held_out_score(model)
    return (
        lowest if model.cv_score is None else model.cv_score,
        lowest if held_out is None else held_out,
        model.version,
    )


def ranked(models: Iterable[Model]) -> list[Model]:
    """Return models by their score in cross-validation, then on held-out rows, the best first."""
    return sorted(models, key=_rank, reverse=True)


def current_of(models: Sequence[Model]) -> Model | None:
    """Return the version that was chosen, else the best one; None if there is none."""
    in_order = ranked(models)
    return next((model for model in in_order if model.is_current), next(iter(in_order), None))


def versions_of(session: Session, model: Model) -> list[Model]:
    """Return all models of one person's series, within a transaction, in no order."""
    if model.series_id is None:
        return [model]
    return list(
        session.scalars(
            sa.select(Model).where(
                Model.series_id == model.series_id, Model.user_id == model.user_id
            )
        )
    )


def _series(id_: str, models: Sequence[Model]) -> Series:
    in_order = ranked(models)
    return Series(id_, in_order, current_of(in_order) or in_order[0])


def series_of(database: Database, user_id: str) -> list[Series]:
    """Return a person's series, the one with the latest version first."""
    with database.reading() as session:
        models = session.scalars(
            sa.select(Model)
            .where(Model.user_id == user_id)
            .order_by(Model.created_at.desc(), Model.version.desc(), Model.id)
        )
        groups: dict[str, list[Model]] = {}
        for model in models:
            groups.setdefault(series_id(model), []).append(model)
    return [_series(id_, group) for id_, group in groups.items()]


def get_series(database: Database, user_id: str, id_: str) -> Series:
    """Return a person's series.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    alone = sa.and_(Model.id == id_, Model.series_id.is_(None))
    with database.reading() as session:
        models = list(
            session.scalars(
                sa.select(Model).where(
                    Model.user_id == user_id, sa.or_(Model.series_id == id_, alone)
                )
            )
        )
    if not models:
        raise NotFoundError("There is no such series of models.")
    return _series(id_, models)
