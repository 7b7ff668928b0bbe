"""What a worker tells Prometheus: how many jobs wait and run, and how those that it ran ended.

Every worker looks at the same table, so the figures of two are to be compared and not added.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from beanft.jobs.models import ACTIVE
from beanft.jobs.service import Waiting

# What a run of a job may come to: see jobs.runner.
OUTCOMES = ("succeeded", "refused", "too_long", "died", "broken", "released", "lost")


class JobMetrics:
    """The figures, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._jobs = Gauge(
            "beanft_jobs", "Jobs that wait or run.", ["state"], registry=self._registry
        )
        self._oldest = Gauge(
            "beanft_oldest_waiting_job_seconds",
            "For how long the job that waits longest has been there, in seconds.",
            registry=self._registry,
        )
        self._ended = Counter(
            "beanft_jobs_ended",
            "Jobs that this worker ended, by how.",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in OUTCOMES:
            # A counter that begins with its first event shows no increase by it.
            self._ended.labels(outcome)

    def seen(self, found: Waiting) -> None:
        """Take what a look at the table showed."""
        for state in ACTIVE:
            self._jobs.labels(state).set(found.jobs.get(state, 0))
        self._oldest.set(found.oldest_seconds)

    def ended(self, outcome: str) -> None:
        """Count a job that ended here."""
        self._ended.labels(outcome).inc()

    def serve(self, host: str, port: int) -> int:
        """Answer Prometheus in a thread, on a free port if that is 0; return the port."""
        server, _thread = start_http_server(port, addr=host, registry=self._registry)
        return server.server_port
