"""How many requests a key may send in a minute, counted in this process.

The generic cell rate algorithm (ITU-T I.371, annex A; there for ATM cells): one number a key,
the moment at which all that it has sent would be over if it had kept to its pace. So a key that
was quiet may send a whole minute's requests at once, and then goes on at its pace.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

WINDOW_SECONDS = 60.0
MOST_KEYS = 10_000


class RateLimiter:
    """Counts by key; each process counts for itself, so n processes let n times as much pass.

    Args:
        per_minute: most requests of one key in a minute.
        clock: seconds that never go back.

    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = WINDOW_SECONDS / per_minute
        # Half a request more, so that sums of fractions don't cost the last one.
        self._most = WINDOW_SECONDS + self._interval / 2
        self._policy = ("RateLimit-Policy", f'"key";q={per_minute};w={WINDOW_SECONDS:.0f}')
        self._clock = clock
        self._over: dict[str, float] = {}
        self._lock = threading.Lock()

    def admit(self, key: str) -> list[tuple[str, str]] | None:
        """Take one request from what a key may send.

        Returns:
            Headers that say what is left (draft-ietf-httpapi-ratelimit-headers), or None if
            it may send no more now.

        """
        now = self._clock()
        with self._lock:
            over = self._over.get(key, now)
            if over < now:
                over = now
            over += self._interval
            ahead = over - now
            if ahead > self._most:
                return None
            self._over[key] = over
            if len(self._over) > MOST_KEYS:
                self._over = {name: end for name, end in self._over.items() if end > now}
        return self._headers(ahead)

    def look(self, key: str) -> list[tuple[str, str]]:
        """Return the same headers without taking anything."""
        return self._headers(self._ahead(key))

    def retry_after(self, key: str) -> int:
        """Return the whole seconds after which a refused key may send again, at least 1."""
        return max(1, math.ceil(self._ahead(key) + self._interval - self._most))

    def _ahead(self, key: str) -> float:
        return max(0.0, self._over.get(key, 0.0) - self._clock())

    def _headers(self, ahead: float) -> list[tuple[str, str]]:
        left = int((self._most - ahead) / self._interval)
        return [self._policy, ("RateLimit", f'"key";r={left};t={int(ahead) + 1}')]
