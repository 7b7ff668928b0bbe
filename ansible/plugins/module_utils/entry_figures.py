"""What lines of the entry's access log say: requests, failures and times, in a form that adds up over machines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# HAProxy's `option httplog`: client, date, frontend, backend/server, times, status, bytes, cookies,
# termination, connections, queues, request.
LINE = re.compile(
    r"^\S+ \[[^\]]+\] (?P<frontend>\S+) (?P<backend>[^/\s]+)/\S+ (?P<times>[-+/\d]+) (?P<status>-?\d+) \S+ \S+ \S+ "
    r"(?P<end>\S{4}) \S+ \S+ (?:\{[^}]*\} )*\"(?P<request>.*)\"?$"
)
# HAProxy marks the name where the client came by TLS.
FRONTENDS = ("entry", "entry~")
# So begin backends of services beside the application: what they answer is not its doing.
BESIDE = "beanft-"
# Asked by machines, and denied.
NOT_COUNTED = re.compile(r"^\S+ (?:https?://[^/\s]+)?/+(?:metrics|healthz|readyz)(?=[/?\s]|$)")
# The first letter of a termination state, where who ended it is the client, or a client that said nothing any more.
CLIENT = "Cc"
# … and where it is the server (a refusal, silence, a death), or HAProxy for want of one, of room or of sense.
SERVER = "SsDURIK"
# Answers of HAProxy itself, as it is told to: a page for maintenance.
OWN = "L"
SAMPLES = 5
SAMPLE_LENGTH = 300


def bucket(milliseconds: int) -> int:
    """Return the upper end of the bucket of a time: exact below 32 ms, above it within 7 %."""
    step = 1 << max(milliseconds.bit_length() - 5, 0)
    return milliseconds // step * step + step - 1


def percentile(times: dict[int, int], share: float) -> int | None:
    """Return the time within which a share of the requests was answered, or None without requests."""
    left = share * sum(times.values())
    for milliseconds, number in sorted(times.items()):
        left -= number
        if left <= 0:
            return milliseconds
    return None


@dataclass
class Figures:
    """The figures of a window of time."""

    requests: int = 0
    failed: int = 0
    backends: dict[str, dict[str, int]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Count a line; those that are no request, or none that counts, say nothing."""
        match = LINE.match(line)
        if not match or match["frontend"] not in FRONTENDS or NOT_COUNTED.match(match["request"]):
            return
        if match["backend"].startswith(BESIDE):
            return
        status, end = int(match["status"]), match["end"][0]
        if end == OWN:
            return
        failed = end not in CLIENT and (status == -1 or status >= 500 or end in SERVER)
        self.requests += 1
        self.failed += failed
        backend = self.backends.setdefault(match["backend"], {"requests": 0, "failed": 0})
        backend["requests"] += 1
        backend["failed"] += failed
        if failed and len(self.samples) < SAMPLES:
            self.samples.append(re.sub(r"\?[^\s\"]*", "", line)[:SAMPLE_LENGTH])
        # Queue, connection and answer: what the client waits for, and not how fast it sends and reads itself.
        waited = [int(part) for part in match["times"].split("/")[1:4]]
        if not failed and min(waited) >= 0:
            key = bucket(sum(waited))
            self.times[key] = self.times.get(key, 0) + 1

    def report(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "backends": self.backends,
            "p50_ms": percentile(self.times, 0.5),
            "p99_ms": percentile(self.times, 0.99),
            "times_ms": {str(key): number for key, number in sorted(self.times.items())},
            "samples": self.samples,
        }
