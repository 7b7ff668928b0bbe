"""Imports every table, so that ``metadata`` is whole."""

from __future__ import annotations

from beanft.core.database import Base
from beanft.jobs.models import Job
from beanft.security.throttle import Throttle
from beanft.training.models import Model
from beanft.uploader.models import Dataset, IdempotencyKey
from beanft.users.models import ApiKey, LoginLink, User, UserSession

TABLES = (User, UserSession, LoginLink, ApiKey, Throttle, Dataset, IdempotencyKey, Model, Job)
metadata = Base.metadata
