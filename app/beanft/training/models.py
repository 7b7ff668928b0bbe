"""The tables of models and of the links by which they are shared."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow
from beanft.ml.plan import ESTIMATOR_NAMES
from beanft.ml.schema import Schema


class Model(Base):
    """A trained model. Its artefact is an ONNX file with a checksum.

    A *released* model belongs to nobody (``user_id`` is None), everybody may use it, and it
    has golden predictions that a service must reproduce to be ready. ``released_name`` is
    unique, so two deploys at once release one.

    Models of one person that predict the same target of the same data are a *series*, a version
    each; one of them is *current* and answers where the series is asked. ``score`` and
    ``cv_score`` are the accuracy (0 to 1) or R2 (at most 1) on held-out rows and in
    cross-validation. ``dataset_name`` and ``dataset_sha256`` stay when the data set is deleted.
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
    series_id: Mapped[str | None] = mapped_column(sa.String(20), index=True)
    is_current: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    job_id: Mapped[str | None] = mapped_column(sa.String(20), index=True)
    task: Mapped[str] = mapped_column(
        sa.String(16), default="classification", server_default="classification"
    )
    score: Mapped[float | None]
    cv_score: Mapped[float | None]
    notes: Mapped[str | None] = mapped_column(sa.String(4000))
    dataset_name: Mapped[str | None] = mapped_column(sa.String(120))
    dataset_sha256: Mapped[str | None] = mapped_column(sa.String(64))
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
        return ESTIMATOR_NAMES.get(self.estimator, self.estimator)


class ModelShare(Base):
    """A link that shows a model to whoever has it, without letting them use it: its token's hash."""

    __tablename__ = "model_shares"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True, default=new_id)
    model_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("models.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    revoked_at: Mapped[dt.datetime | None]
