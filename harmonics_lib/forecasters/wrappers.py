"""Forecasters made of others: of a window beside its line, or of its changes; and intervals by their past errors."""

import math
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from harmonics_lib.arguments import check_coverage
from harmonics_lib.forecasters.base import (
    DistributionForecaster,
    Forecaster,
    ForecastFunction,
    ProbabilisticForecaster,
    ask,
    ask_distribution,
    check_forecaster_function,
    check_horizon,
    check_lookback,
    check_windows,
)
from harmonics_lib.forecasters.sparse import powers_of_time
from harmonics_lib.forecasters.window import Window


@dataclass(frozen=True, eq=False)
class conformal:
    """Intervals around forecasts, from windows whose continuation is known.

    For each step ahead, the errors on these windows are sorted; an interval extends as far
    to both sides as the share ``coverage`` of them. If a new window is exchangeable with these,
    whatever the process and however bad the forecaster, its sample falls inside with at
    least that probability, on average over windows. Errors are compared in units of the
    standard deviation of the observed samples where the forecaster has a distribution, so that intervals
    are wide where it is uncertain, else in peaks of their window.

    Args:
        forecaster: whose forecasts are in the middle of the intervals.
        past: (n, N) windows for calibration; future: (n, H) their continuations. With observed
            futures the intervals are for observed samples, with clean ones for the clean continuation.

    Raises:
        ValueError: windows that are not (n, N) and (n, H), or not finite; forecasts of another shape.

    Sources: Vovk, Gammerman and Shafer (2005); Lei et al. (2018), section 2.2, scaled as in their section 5.2.
    """

    forecaster: ForecastFunction
    past: Tensor = field(repr=False)
    future: Tensor = field(repr=False)
    _ratios: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        check_forecaster_function("forecaster", self.forecaster)
        check_windows("past", self.past)
        check_windows("future", self.future)
        if len(self.past) != len(self.future):
            raise ValueError(
                f"past and future must be of the same windows, got {len(self.past)} and {len(self.future)}"
            )
        centre, scale = _centre_and_scale(self.forecaster, self.past, self.future.shape[1])
        ratios = ((self.future - centre).abs() / scale).sort(dim=0).values  # (n, H), each step in rising order
        object.__setattr__(self, "_ratios", ratios)

    def __call__(self, lookback: Tensor, horizon: int, coverage: float) -> tuple[Tensor, Tensor]:
        """The ends (low, high) of the intervals, (B, horizon) each, for windows (B, N) and at most H steps.

        Raises:
            ValueError: a bad lookback or horizon, or a coverage for which n windows are too few.
        """
        horizon, steps = check_horizon(horizon), self.future.shape[1]
        if horizon > steps:
            raise ValueError(f"horizon must be at most {steps}, that of the calibration, got {horizon}")
        rank = conformal_rank(len(self._ratios), coverage)
        centre, scale = _centre_and_scale(self.forecaster, lookback, horizon)
        reach = self._ratios[rank - 1, :horizon].to(lookback) * scale
        return centre - reach, centre + reach


def conformal_rank(count: int, coverage: float) -> int:
    """Which of ``count`` errors in rising order an error to come stays within, with probability ``coverage`` or more.

    Raises:
        ValueError: a coverage that is not between 0 and 1, or is too close to 1 for so few errors.
    """
    check_coverage(coverage)
    if count < least_count(coverage):
        raise ValueError(
            f"a coverage of {coverage:g} needs at least {least_count(coverage)} windows for calibration, got {count}"
        )
    return max(1, math.ceil((count + 1) * coverage - 1e-9))


def least_count(coverage: float) -> int:
    """Number of errors from which on one of them bounds an error to come with probability ``coverage``."""
    return max(1, math.ceil(coverage / (1 - coverage) - 1e-9))


def _centre_and_scale(forecaster: ForecastFunction, lookback: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """(B, horizon) forecasts, and (B, horizon) or (B, 1) the unit of their errors."""
    check_lookback(lookback, horizon)
    ahead, prediction = ask(forecaster, lookback, horizon)
    if prediction is not None:
        return ahead, prediction.observed.stddev
    peak = lookback.abs().amax(dim=1, keepdim=True)
    return ahead, torch.where(peak > 0, peak, 1.0)


@dataclass(frozen=True)
class _Wrapper(Forecaster):
    """A forecaster that is made of another."""

    forecaster: ForecastFunction

    def __post_init__(self):
        check_forecaster_function("forecaster", self.forecaster)


def beside_a_line(forecaster: ForecastFunction) -> Forecaster:
    """A forecaster of the line that least squares fits to a window, and of the rest beside it.

    If the forecaster of the rest has a ``distribution``, so has this one: the same about another mean. The error of
    the line itself is left out.

    Args:
        forecaster: of the rest.

    Raises:
        ValueError: what is not a forecaster.
    """
    kind = DistributionBesideALine if isinstance(forecaster, ProbabilisticForecaster) else BesideALine
    return kind(forecaster)


@dataclass(frozen=True)
class BesideALine(_Wrapper):
    """See ``beside_a_line``."""

    @property
    def minimum(self) -> int:
        return max(2, getattr(self.forecaster, "minimum", 1))

    @property
    def maximum(self) -> int | None:
        return getattr(self.forecaster, "maximum", None)

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        before, after = _line(window.x, horizon)
        return ask(self.forecaster, window.x - before, horizon)[0] + after


@dataclass(frozen=True)
class DistributionBesideALine(BesideALine, DistributionForecaster):
    """See ``beside_a_line``."""

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        before, after = _line(window.x, horizon)
        prediction = ask_distribution(cast(ProbabilisticForecaster, self.forecaster), window.x - before, horizon)
        return prediction.mean + after, prediction.std, prediction.noise_std


def _line(x: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """The line that least squares fits to windows x (B, N): (B, N) over the window, (B, horizon) after it."""
    powers = powers_of_time(x.shape[1], horizon, 2).to(x)
    line = x @ torch.linalg.pinv(powers[:-horizon]).T @ powers.T
    return line.split([x.shape[1], horizon], dim=1)


@dataclass(frozen=True)
class differenced(_Wrapper):
    """A forecaster of the changes from sample to sample, summed from the last sample on.

    It has no ``distribution``: the deviation of a sum depends on how the errors of its steps are correlated, and
    a distribution of the changes states each step's alone. ``conformal`` gives intervals.

    Args:
        forecaster: of the changes.

    Raises:
        ValueError: what is not a forecaster.
    """

    @property
    def minimum(self) -> int:
        return 1 + getattr(self.forecaster, "minimum", 1)

    @property
    def maximum(self) -> int | None:
        longest = getattr(self.forecaster, "maximum", None)
        return None if longest is None else longest + 1

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        changes = ask(self.forecaster, window.x.diff(dim=1), horizon)[0]
        return window.x[:, -1:] + changes.cumsum(dim=1)
