"""Imports every table, so that ``metadata`` is whole."""

from __future__ import annotations

from beanft.core.database import Base
from beanft.jobs.models import Job
from beanft.predictions.models import InputCount, Prediction
from beanft.security.throttle import Throttle
from beanft.storage.models import FileChunk, FileRecord
from beanft.training.models import Model, ModelShare
from beanft.uploader.models import Dataset, IdempotencyKey
from beanft.users.models import ApiKey, LoginLink, RecoveryCode, User, UserSession

TABLES = (
    *(User, UserSession, LoginLink, RecoveryCode, ApiKey, Throttle),
    *(Dataset, IdempotencyKey, Model, ModelShare, Job, Prediction, InputCount),
    *(FileRecord, FileChunk),
)
metadata = Base.metadata
