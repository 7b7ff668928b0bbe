"""A sample of what goes by, when nobody knows how much that will be."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """At most ``size`` items, each of those that went by as likely as any other.

    Algorithm L of K.-H. Li, *Reservoir-sampling algorithms of time complexity
    O(n(1 + log(N/n)))*, ACM TOMS 20 (1994): it draws how many items to skip, so those cost
    nothing.

    Args:
        size: most items to keep; at least 1.
        seed: the same items and seed give the same sample.

    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError("a sample has at least one item")
        self.items: list[T] = []
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - statistics, no secret
        self._weight = 1.0
        self._skip = 0  # items to leave out before the next one that is taken

    def _draw(self) -> None:
        # 1 - random() lies in (0, 1], so that the logarithm is finite.
        self._weight *= math.exp(math.log(1.0 - self._random.random()) / self._size)
        if self._weight < 1.0:
            self._skip = int(math.log(1.0 - self._random.random()) / math.log1p(-self._weight))
        else:
            self._skip = 0

    def extend(self, items: Sequence[T]) -> None:
        """Let more items go by."""
        at = 0
        if len(self.items) < self._size:
            at = min(self._size - len(self.items), len(items))
            self.items.extend(items[:at])
            if len(self.items) < self._size:
                return
            self._draw()
        while self._skip < len(items) - at:
            at += self._skip
            self.items[self._random.randrange(self._size)] = items[at]
            at += 1
            self._draw()
        self._skip -= len(items) - at
