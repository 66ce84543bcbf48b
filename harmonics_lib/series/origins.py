"""The origins from which a series forecasts itself, and what is estimated once for several of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

GROUP = 5  # origins that one estimate serves, and of which a slow candidate forecasts from one


@dataclass(frozen=True)
class Past:
    """A series and the origins from which it is forecast.

    Attributes:
        x: (N,) samples.
        ends: (n,) numbers of samples before each origin, in ascending order.
    """

    x: np.ndarray
    ends: np.ndarray

    def groups(self) -> Iterator[tuple[slice, Past]]:
        """Neighbouring origins that share an estimate, as rows and a past of their own; the last origin is alone."""
        last = len(self.ends) - 1
        for start in [*range(0, last, GROUP), last]:
            rows = slice(start, max(start + 1, min(start + GROUP, last)))
            yield rows, replace(self, ends=self.ends[rows])

    @property
    def first(self) -> int:
        """Samples before the first origin, from which an estimate for all origins is made."""
        return int(self.ends[0])

    def changes(self, lag: int = 1) -> Past:
        """The changes over ``lag`` samples, from the same origins."""
        return Past(self.x[lag:] - self.x[:-lag], self.ends - lag)


Candidate = Callable[[Past, int], np.ndarray]


def grouped(estimate: Callable[[Past, int], np.ndarray], fewest: int) -> Candidate:
    """A candidate from one that needs ``fewest`` samples before the first origin and estimates what it needs once."""

    def candidate(past: Past, horizon: int) -> np.ndarray:
        ahead = np.full((len(past.ends), horizon), math.nan)
        for rows, part in past.groups():
            if part.first >= fewest:
                ahead[rows] = estimate(part, horizon)
        return ahead

    return candidate
