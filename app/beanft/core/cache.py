"""A small in-process cache with a life in seconds and a bound on entries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """Thread-safe; the oldest entry goes first when it is full.

    Args:
        seconds: life of an entry; 0 turns the cache off.
        size: most entries kept.

    """

    def __init__(self, seconds: float, size: int = 1024) -> None:
        self._seconds = seconds
        self._size = size
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, load: Callable[[], V | None]) -> V | None:
        """Return the cached value, else what ``load`` returns; None is never kept."""
        now = time.monotonic()
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]
        value = load()
        if value is not None and self._seconds > 0:
            with self._lock:
                self._entries.pop(key, None)
                self._entries[key] = (now + self._seconds, value)
                while len(self._entries) > self._size:
                    self._entries.popitem(last=False)
        return value
