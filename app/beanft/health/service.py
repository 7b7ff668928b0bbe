"""Is this process ready? It is when it can do, right now, what it is for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from beanft.core.schema_revision import database_revision, is_sufficient, shipped
from beanft.extensions import Site
from beanft.health.marker import drain_marker
from beanft.training.models import Model
from beanft.training.service import released_models

RETRY_SECONDS = 5.0
# Three entries ask each task six times a second, and one task's database is every task's.
GOOD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Failing:
    """The check that failed, and why."""

    check: str
    reason: str


class Readiness:
    """Checks a site, cheaply enough for several proxies four times a second.

    What was found good is not looked at again for a second, but that the task is being stopped
    is seen at once, and what fails is looked at each time. A released model's golden predictions
    are computed once a process for each state of its files; afterwards only the files' stamps
    are looked at. A model that fails is tried again after 5 seconds.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._golden: dict[str, tuple[object, str | None, float]] = {}
        self._lock = threading.Lock()
        self._good_since: float | None = None

    def check(self) -> Failing | None:
        """Return the first failing check, or None."""
        if drain_marker(self._site.settings.run_dir).exists():
            return Failing("draining", "this task is being stopped")
        begun = time.monotonic()
        if self._good_since is not None and begun - self._good_since < GOOD_SECONDS:
            return None
        try:
            revision = database_revision(self._site.database)
            if not is_sufficient(revision):
                needed = shipped().head
                return Failing("schema", f"the database is at {revision}, {needed} is needed")
            models = released_models(self._site.database)
        except Exception as error:
            return Failing("database", f"the database can't be reached: {type(error).__name__}")
        for model in models:
            if problem := self._golden_problem(model):
                return Failing("model", f"{model.released_name}: {problem}")
        self._good_since = begun
        return None

    def _golden_problem(self, model: Model) -> str | None:
        artefacts = self._site.artefacts
        state = (model.sha256, artefacts.stamp(model))
        known = self._golden.get(model.id)
        if known is not None and known[0] == state:
            _state, problem, checked = known
            if problem is None or time.monotonic() - checked < RETRY_SECONDS:
                return problem
        with self._lock:
            problem = artefacts.golden_problem(model)
            self._golden[model.id] = (state, problem, time.monotonic())
        return problem
