"""Counters and durations for Prometheus, one registry for each application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What is counted; labels have few values, so endpoints and not addresses."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "beanft_http_requests",
            "Requests answered.",
            ["service", "method", "endpoint", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "beanft_http_request_seconds",
            "Time to answer a request, in seconds.",
            ["service", "endpoint"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._predicted = Counter(
            "beanft_predicted_rows",
            "Rows predicted.",
            ["service"],
            registry=self._registry,
        ).labels(service)
        self._skipped = Counter(
            "beanft_skipped_rows",
            "Predicted rows that were not counted for drift.",
            ["service"],
            registry=self._registry,
        ).labels(service)
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        known = self._known.get((method, endpoint, status))
        if known is None:
            # Finding a counter by its labels takes longer than counting.
            known = self._known[method, endpoint, status] = (
                self._requests.labels(self._service, method, endpoint, str(status)),
                self._seconds.labels(self._service, endpoint),
            )
        known[0].inc()
        known[1].observe(seconds)

    def predicted(self, rows: int) -> None:
        """Count predicted rows."""
        self._predicted.inc(rows)

    def skipped(self, rows: int) -> None:
        """Count rows that were predicted and not looked at for drift."""
        self._skipped.inc(rows)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
