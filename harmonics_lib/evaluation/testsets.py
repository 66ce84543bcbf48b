"""Frozen test sets, and the grid of cells on which every method is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from harmonics_lib.arguments import check_kind, check_whole, describe, is_number
from harmonics_lib.forecasters.base import FARTHEST
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, check_process, random_stream


@dataclass(frozen=True)
class FrozenSet:
    """A fixed test set: the same signals on every machine, in double precision.

    Args:
        name: of its random stream; sets that differ only in their noise have the same clean signals.
        process: the distribution of the signals.
        size: number of signals.
        lookback: samples that a forecaster is given.
        horizon: largest number of samples to forecast.

    Raises:
        ValueError: a setting is out of range or of the wrong type.
    """

    name: str
    process: HarmonicProcess
    size: int = 5000
    lookback: int = 100
    horizon: int = 50

    def __post_init__(self):
        if not check_kind("name", self.name, str, "a text"):
            raise ValueError("name must not be empty, got ''")
        check_process(self.process)
        _set_sizes(self)

    def batch(self) -> SignalBatch:
        """The signals (size, lookback + horizon), as a copy that the caller may change."""
        batch = draw_once(self)
        return replace(batch, **{name: value.clone() for name, value in vars(batch).items() if name != "lookback"})


def _set_sizes(test: FrozenSet | Grid) -> None:
    """Check size, lookback and horizon of a test set and store them as ints."""
    for name, most in (("size", 10**8), ("lookback", 10**6), ("horizon", FARTHEST)):
        object.__setattr__(test, name, check_whole(name, getattr(test, name), maximum=most))


@lru_cache(maxsize=4)
def draw_once(test: FrozenSet) -> SignalBatch:
    """The signals of a test set, cached; the caller must not change them. Drawing a large set takes a second."""
    generator = random_stream(0, f"frozen set {test.name}")
    return test.process.sample(
        test.size, test.lookback + test.horizon, test.lookback, generator=generator, dtype=torch.float64
    )


#: The published test sets, by name.
FROZEN_SETS = {
    test.name: test
    for test in (
        FrozenSet("mixtures_3_6", HarmonicProcess((3, 6), (2, 99)), size=50_000),
        FrozenSet("mixtures_1_45", HarmonicProcess((1, 45), (10, 99)), size=50_000),
        FrozenSet("mixtures_1_45_short_periods", HarmonicProcess((1, 45), (2, 99)), size=50_000),
    )
}


@dataclass(frozen=True)
class Grid:
    """The cells on which every method is compared: numbers of components, levels of noise, kinds of periods.

    Cells that differ only in noise have the same clean signals, so that the effect of noise is paired.

    Raises:
        ValueError: a setting is out of range or of the wrong type.
    """

    components: tuple[int, ...] = (1, 2, 5, 10, 20, 45)
    noise_std: tuple[float, ...] = (0.0, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
    integer_periods: tuple[bool, ...] = (True, False)
    periods: tuple[float, float] = (2, 99)
    size: int = 1000
    lookback: int = 100
    horizon: int = 50

    def __post_init__(self):
        _set_sizes(self)
        for name in ("components", "noise_std", "integer_periods"):
            if not check_kind(name, getattr(self, name), (tuple, list), "a tuple of values"):
                raise ValueError(f"{name} must have at least one value, got none")
        for name in ("components", "noise_std"):
            if ranges := [value for value in getattr(self, name) if not is_number(value)]:
                raise ValueError(f"{name} must be numbers, one for each cell, got {describe(ranges[0])}")
        self.cells()  # building the processes checks the values

    def cells(self) -> dict[tuple[int, float, str], FrozenSet]:
        """The test sets by (components, noise_std, "whole" or "any" periods)."""
        return {
            (count, noise, "whole" if integer else "any"): FrozenSet(
                f"grid, {count} components, {'whole' if integer else 'any'} periods",
                HarmonicProcess(count, self.periods, integer, noise),
                self.size,
                self.lookback,
                self.horizon,
            )
            for integer in self.integer_periods
            for count in self.components
            for noise in self.noise_std
        }
