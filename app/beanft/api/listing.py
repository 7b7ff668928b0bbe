"""Pages of lists, the latest first, by a cursor that new entries don't shift."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa

from beanft.core.database import Database
from beanft.jobs.models import Job
from beanft.training.models import Model
from beanft.uploader.models import Dataset

T = TypeVar("T", Dataset, Job, Model)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the last entry's moment and id."""

    created_at: dt.datetime
    id: str

    def cursor(self) -> str:
        """Return it as a text that is safe in an address."""
        text = f"{self.created_at.isoformat()} {self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Position:
        """Undo :meth:`cursor`.

        Raises:
            ValueError: it is no cursor.

        """
        try:
            padded = cursor.encode() + b"=" * (-len(cursor) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        except binascii.Error as error:
            raise ValueError(cursor) from error
        moment, space, id_ = text.partition(" ")
        created_at = dt.datetime.fromisoformat(moment)
        if created_at.tzinfo is None or not space or not id_:
            raise ValueError(cursor)
        return cls(created_at.astimezone(dt.UTC), id_)


@dataclass(frozen=True, slots=True)
class Asked:
    """The page that is wanted: at most ``limit`` entries after a position."""

    limit: int
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries, and where the next page begins; None at the end."""

    items: list[T]
    next: Position | None


def _page(
    database: Database, table: type[T], where: Sequence[sa.ColumnElement[bool]], asked: Asked
) -> Page[T]:
    query = sa.select(table).where(*where)
    if asked.after is not None:
        moment, id_ = asked.after.created_at, asked.after.id
        query = query.where(
            sa.or_(table.created_at < moment, sa.and_(table.created_at == moment, table.id < id_))
        )
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(asked.limit + 1)
    with database.reading() as session:
        found = list(session.scalars(query))
    items = found[: asked.limit]
    if len(found) <= asked.limit:
        return Page(items, None)
    return Page(items, Position(items[-1].created_at, items[-1].id))


def datasets(database: Database, user_id: str, asked: Asked) -> Page[Dataset]:
    """Return a page of a person's data sets."""
    return _page(database, Dataset, [Dataset.user_id == user_id], asked)


def trainings(
    database: Database,
    user_id: str,
    asked: Asked,
    *,
    dataset: str | None = None,
    state: str | None = None,
) -> Page[Job]:
    """Return a page of a person's trainings, of one data set or in one state if that is said."""
    where = [Job.user_id == user_id]
    if dataset is not None:
        where.append(Job.dataset_id == dataset)
    if state is not None:
        where.append(Job.state == state)
    return _page(database, Job, where, asked)


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models; what is None doesn't matter."""

    series: str | None = None
    dataset: str | None = None
    training: str | None = None
    estimator: str | None = None
    task: str | None = None
    current: bool | None = None
    released: bool | None = None

    def where(self) -> list[sa.ColumnElement[bool]]:
        """Return it as conditions."""
        conditions: list[sa.ColumnElement[bool]] = []
        if self.series is not None:
            # A model that has no series is one by itself.
            alone = sa.and_(Model.series_id.is_(None), Model.id == self.series)
            conditions.append(sa.or_(Model.series_id == self.series, alone))
        pairs = (
            (Model.dataset_id, self.dataset),
            (Model.job_id, self.training),
            (Model.estimator, self.estimator),
            (Model.task, self.task),
        )
        conditions += [column == value for column, value in pairs if value is not None]
        if self.current is not None:
            current = sa.or_(Model.is_current, Model.series_id.is_(None))
            conditions.append(current if self.current else sa.not_(current))
        if self.released is not None:
            released = Model.released_at.is_not(None)
            conditions.append(released if self.released else sa.not_(released))
        return conditions


def models(database: Database, user_id: str, asked: Asked, only: ModelFilter) -> Page[Model]:
    """Return a page of a person's models and the released ones."""
    usable = sa.or_(Model.user_id == user_id, Model.released_at.is_not(None))
    return _page(database, Model, [usable, *only.where()], asked)
