"""Filter that compares what the entries saw before a change with what they saw after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Report = dict[str, Any]

# A few failures happen to any site: so many, and such a share, are the change's doing.
LEAST_FAILED = 5
LEAST_SHARE = 0.01
# With fewer requests a 99th percentile is the slowest one.
LEAST_REQUESTS = 50
# As do a few slow ones, the first that a new task gets above all.
LEAST_SLOW = 10
LEAST_SLOWER_MS = 500
TIMES = 3


def added(reports: Sequence[Report]) -> Report:
    """Return the figures of several machines, from what module entry_log returns for one window of each."""
    times = times_of(reports)
    return {
        "requests": sum(int(report["requests"]) for report in reports),
        "failed": sum(int(report["failed"]) for report in reports),
        "p99_ms": percentile(times, 0.99),
        "answered": sum(times.values()),
        "samples": [line for report in reports for line in report["samples"]][:5],
    }


def times_of(reports: Sequence[Report]) -> dict[int, int]:
    """Return how many requests took how many milliseconds."""
    times: dict[int, int] = {}
    for report in reports:
        for key, number in report["times_ms"].items():
            times[int(key)] = times.get(int(key), 0) + int(number)
    return times


def percentile(times: dict[int, int], share: float) -> int | None:
    """Return the time within which a share was answered; the module's, which a filter can't import."""
    left = share * sum(times.values())
    for milliseconds, number in sorted(times.items()):
        left -= number
        if left <= 0:
            return milliseconds
    return None


def percent(report: Report) -> float:
    """Return the failed requests in percent."""
    return 100 * report["failed"] / report["requests"] if report["requests"] else 0.0


def entry_verdict(after: Sequence[Report], before: Sequence[Report]) -> Report:
    """Decide whether what the entries saw got worse.

    Args:
        after: what module entry_log returned for the window after the change, for each machine.
        before: the same for the window before it.

    Returns:
        ``breach`` (whether it did), ``reason`` (a sentence with the figures), ``before`` and ``after`` (figures of
        all machines together) with ``requests``, ``failed``, ``p99_ms``, ``answered`` and ``samples``.
    """
    was, now = added(before), added(after)
    allowed = max(100 * LEAST_SHARE, TIMES * percent(was))
    failing = now["failed"] >= LEAST_FAILED and percent(now) > allowed
    slow = False
    if min(was["answered"], now["answered"]) >= LEAST_REQUESTS:
        limit = max(TIMES * was["p99_ms"], was["p99_ms"] + LEAST_SLOWER_MS)
        slower = sum(number for took, number in times_of(after).items() if took > limit)
        slow = slower >= LEAST_SLOW and now["p99_ms"] > limit
    if failing:
        reason = (
            f"{now['failed']} of {now['requests']} requests failed ({percent(now):.1f} %, "
            f"allowed are {allowed:.1f} %); before it were {was['failed']} of {was['requests']}"
        )
    elif slow:
        reason = (
            f"99 % of the requests were answered within {now['p99_ms']} ms, "
            f"and before within {was['p99_ms']} ms ({now['answered']} and {was['answered']} requests)"
        )
    else:
        within = "" if now["p99_ms"] is None else f", 99 % answered within {now['p99_ms']} ms"
        reason = f"{now['failed']} of {now['requests']} requests failed{within}"
    return {"breach": failing or slow, "reason": reason, "before": was, "after": now}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"entry_verdict": entry_verdict}
