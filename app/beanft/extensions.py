"""What an application is wired with, and how to reach it from a view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flask import current_app

from beanft.api.rate import RateLimiter
from beanft.config import Settings
from beanft.core.database import Database
from beanft.core.metrics import Metrics
from beanft.predictions.recorder import Recorder
from beanft.predictions.service import Artefacts, Predictor
from beanft.storage.choose import open_storage
from beanft.storage.files import Storage
from beanft.users.keys import KeyRing

if TYPE_CHECKING:
    from beanft.jobs.queue import JobQueue
    from beanft.plots.columns import ColumnCache

NAME = "beanft"


@dataclass
class Site:
    """Services of one process; each is made when it is first used, or given by a test."""

    settings: Settings
    service: str

    @cached_property
    def database(self) -> Database:
        """The database."""
        return Database(self.settings.database_url, self.settings.database_access)

    @cached_property
    def storage(self) -> Storage:
        """Where files are."""
        return open_storage(self.settings, self.database)

    @cached_property
    def queue(self) -> JobQueue:
        """Where jobs are announced."""
        # Imported late: most processes of the API never announce one, and it costs 0.1 s.
        from beanft.jobs.queue import open_queue

        return open_queue(self.settings)

    @cached_property
    def artefacts(self) -> Artefacts:
        """Loaded models."""
        return Artefacts(self.storage, self.settings.model_cache_size)

    @cached_property
    def recorder(self) -> Recorder:
        """Counts what models are asked."""
        return Recorder(self.database, self.metrics)

    @cached_property
    def predictor(self) -> Predictor:
        """Predictions."""
        return Predictor(self.database, self.artefacts, self.settings.limits, self.recorder.note)

    @cached_property
    def keys(self) -> KeyRing:
        """Who holds an API key."""
        return KeyRing(self.database, self.settings.key_cache_seconds)

    @cached_property
    def columns(self) -> ColumnCache:
        """Columns of data sets that somebody looked at lately."""
        # Imported late: the API draws nothing.
        from beanft.plots.columns import ColumnCache

        return ColumnCache()

    @cached_property
    def rate(self) -> RateLimiter:
        """How many requests a key may send."""
        return RateLimiter(self.settings.limits.api_requests_per_minute)

    @cached_property
    def metrics(self) -> Metrics:
        """Counters."""
        return Metrics(self.service)


def site() -> Site:
    """Return the running application's services."""
    found = current_app.extensions[NAME]
    if not isinstance(found, Site):
        raise TypeError("the application wasn't made by beanft.wsgi")
    return found
