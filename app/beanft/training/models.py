"""The table of models."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow
from beanft.ml.plan import ESTIMATORS
from beanft.ml.schema import Schema


class Model(Base):
    """A trained model. Its artefact is an ONNX file with a checksum.

    A *released* model belongs to nobody (``user_id`` is None), everybody may use it, and it
    has golden predictions that a service must reproduce to be ready. ``released_name`` is
    unique, so two deploys at once release one.
    """

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True, default=new_id)
    user_id: Mapped[str | None] = mapped_column(
        sa.String(20), sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    dataset_id: Mapped[str | None] = mapped_column(
        sa.String(20), sa.ForeignKey("datasets.id", ondelete="SET NULL"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(120))
    version: Mapped[int] = mapped_column(default=1)
    estimator: Mapped[str] = mapped_column(sa.String(40))
    schema_data: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    storage_key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    released_at: Mapped[dt.datetime | None]
    released_name: Mapped[str | None] = mapped_column(sa.String(40), unique=True)
    golden_key: Mapped[str | None] = mapped_column(sa.String(120))

    @property
    def schema(self) -> Schema:
        """What the model takes and gives."""
        return Schema.from_dict(self.schema_data)

    @property
    def estimator_name(self) -> str:
        """The estimator's name for people."""
        return ESTIMATORS.get(self.estimator, self.estimator)
