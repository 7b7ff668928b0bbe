"""What can be said of a column of numbers while it goes by, in memory that doesn't grow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from beanft.ml.sampling import Reservoir

QUANTILES = tuple(step / 10 for step in range(11))
SAMPLE_SIZE = 5_000
SEED = 7
# Whole numbers above this are not told apart from others by a double.
INTEGER_MOST = 2.0**53


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class NumberSummary:
    """Count, range, mean, spread and deciles of numbers that come in pieces.

    Mean and spread are merged piece by piece after T. F. Chan, G. H. Golub and R. J. LeVeque,
    *Updating formulae and a pairwise algorithm for computing sample variances* (1979).
    """

    def __init__(self) -> None:
        self.count = 0
        self.least = math.inf
        self.most = -math.inf
        self.integer = True
        self._mean = 0.0
        self._squares = 0.0  # sum of squared distances from the mean
        self._sample: Reservoir[float] = Reservoir(SAMPLE_SIZE, SEED)

    def add(self, numbers: npt.NDArray[np.float64]) -> None:
        """Take n finite numbers."""
        count = len(numbers)
        if not count:
            return
        self.least = min(self.least, float(numbers.min()))
        self.most = max(self.most, float(numbers.max()))
        if self.integer:
            self.integer = bool((np.rint(numbers) == numbers).all())
        self._sample.extend(numbers)  # type: ignore[arg-type]  # an array is a sequence, too
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(numbers.mean())
            squares = float(np.square(numbers - mean).sum())
        if not self.count:
            self.count, self._mean, self._squares = count, mean, squares
            return
        total = self.count + count
        distance = mean - self._mean
        self._mean += distance * (count / total)
        self._squares += squares + distance * distance * (self.count * count / total)
        self.count = total

    @property
    def whole(self) -> bool:
        """True when there are only whole numbers, small enough to be exact."""
        exact = max(abs(self.least), abs(self.most)) <= INTEGER_MOST
        return bool(self.count) and self.integer and exact

    @property
    def mean(self) -> float | None:
        """Mean, or None when there are no numbers or it is too large for a double."""
        if not self.count or not math.isfinite(self._mean):
            return None
        return min(max(self._mean, self.least), self.most)

    @property
    def std(self) -> float | None:
        """Standard deviation of a sample (n - 1), None for less than two numbers.

        0 where all differences are below 1e-162, whose squares no double can hold.
        """
        if self.count < 2:
            return None
        return _finite(math.sqrt(self._squares / (self.count - 1)))

    def quantiles(self) -> list[float] | None:
        """Minimum, nine deciles and maximum, interpolated linearly; None without numbers.

        Exact for up to 5000 numbers, above that those of a sample of 5000 (the error of a
        decile's rank is then 0.7 % at most, in two of three cases); the ends are exact always.
        """
        if not self.count:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.quantile(np.array(self._sample.items, np.float64), QUANTILES)
        if not np.isfinite(found).all():
            return None
        return [self.least, *found[1:-1].tolist(), self.most]
