"""Wrappers of forecasters: detrending, differencing, and conformal intervals from past errors."""

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
    check_lookback,
    check_windows,
)
from harmonics_lib.forecasters.sparse import powers_of_time
from harmonics_lib.forecasters.window import Window


@dataclass(frozen=True, eq=False)
class conformal:
    """Intervals around forecasts by split conformal prediction, from windows with known continuations.

    The half-width of an interval is a quantile of the absolute errors on the calibration windows, for
    each step ahead. If a new window is exchangeable with the calibration windows, its sample is
    inside with probability ``coverage`` or more, on average over windows. This holds for any process
    and any forecaster. Errors are scaled by the predicted standard deviation of the observed samples
    if the forecaster has a distribution, and by the peak of the window otherwise.

    Args:
        forecaster: its forecasts are the centres of the intervals.
        lookback: (n, N) windows for calibration.
        future: (n, H) their continuations. Observed futures give intervals for observed samples, clean
            futures give intervals for the clean continuation.

    Raises:
        ValueError: the windows are not (n, N) and (n, H), or not finite; or the forecasts have another shape.

    Sources: Vovk, Gammerman and Shafer (2005); Lei et al. (2018), section 2.2, scaled as in their section 5.2.

    Example:
        >>> from harmonics_lib import persistence
        >>> lookback, future = torch.randn(50, 100), torch.randn(50, 3)
        >>> low, high = conformal(persistence(), lookback, future)(lookback[:1], horizon=3, coverage=0.9)
        >>> low.shape
        torch.Size([1, 3])
    """

    forecaster: ForecastFunction
    lookback: Tensor = field(repr=False)
    future: Tensor = field(repr=False)
    _ratios: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        check_forecaster_function("forecaster", self.forecaster)
        for name in ("lookback", "future"):
            object.__setattr__(self, name, check_windows(name, getattr(self, name)))
        if len(self.lookback) != len(self.future):
            raise ValueError(
                f"lookback and future must have as many windows, got {len(self.lookback)} and {len(self.future)}"
            )
        centre, scale = _centre_and_scale(self.forecaster, self.lookback, self.future.shape[1])
        ratios = ((self.future - centre).abs() / scale).sort(dim=0).values  # (n, H), ascending for each step
        object.__setattr__(self, "_ratios", ratios)

    def __call__(self, lookback: Tensor, horizon: int, coverage: float) -> tuple[Tensor, Tensor]:
        """The ends (low, high) of the intervals, (B, horizon) each, for windows (B, N) and at most H steps.

        Raises:
            ValueError: the lookback or the horizon is invalid, or n windows are too few for the coverage.
        """
        lookback, horizon = check_lookback(lookback, horizon)
        steps = self.future.shape[1]
        if horizon > steps:
            raise ValueError(f"horizon must be at most {steps}, that of the calibration, got {horizon}")
        rank = conformal_rank(len(self._ratios), coverage)
        centre, scale = _centre_and_scale(self.forecaster, lookback, horizon)
        half_width = self._ratios[rank - 1, :horizon].to(lookback) * scale
        return centre - half_width, centre + half_width


def conformal_rank(count: int, coverage: float) -> int:
    """The rank, among ``count`` errors in ascending order, that bounds a new error with probability ``coverage``.

    Raises:
        ValueError: the coverage is not between 0 and 1, or too close to 1 for so few errors.
    """
    check_coverage(coverage)
    if count < least_count(coverage):
        raise ValueError(
            f"a coverage of {coverage:g} needs at least {least_count(coverage)} windows for calibration, got {count}"
        )
    return max(1, math.ceil((count + 1) * coverage - 1e-9))


def least_count(coverage: float) -> int:
    """Smallest number of errors of which the largest bounds a new error with probability ``coverage``."""
    return max(1, math.ceil(coverage / (1 - coverage) - 1e-9))


def _centre_and_scale(forecaster: ForecastFunction, lookback: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Forecasts (B, horizon), and the scale of their errors, (B, horizon) or (B, 1)."""
    forecast, prediction = ask(forecaster, lookback, horizon)
    if prediction is not None:
        return forecast, prediction.observed.stddev
    peak = lookback.abs().amax(dim=1, keepdim=True)
    return forecast, torch.where(peak > 0, peak, 1.0)


@dataclass(frozen=True)
class _Wrapper(Forecaster):
    """Base of forecasters that wrap another forecaster."""

    forecaster: ForecastFunction

    def __post_init__(self):
        check_forecaster_function("forecaster", self.forecaster)


def linear_detrending(forecaster: ForecastFunction) -> Forecaster:
    """Linear detrending: a forecast of the residual of a least-squares line, plus the continued line.

    If the forecaster has a ``distribution``, so has the result, with the same standard deviations. They do not
    include the error of the line.

    Args:
        forecaster: of the residual.

    Raises:
        ValueError: ``forecaster`` is not a forecaster.
    """
    kind = DistributionLinearDetrending if isinstance(forecaster, ProbabilisticForecaster) else LinearDetrending
    return kind(forecaster)


@dataclass(frozen=True)
class LinearDetrending(_Wrapper):
    """See ``linear_detrending``."""

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
class DistributionLinearDetrending(LinearDetrending, DistributionForecaster):
    """See ``linear_detrending``."""

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        before, after = _line(window.x, horizon)
        prediction = ask_distribution(cast(ProbabilisticForecaster, self.forecaster), window.x - before, horizon)
        return prediction.mean + after, prediction.std, prediction.noise_std


def _line(x: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """The least-squares line of windows x (B, N): (B, N) over the window, and (B, horizon) after it."""
    powers = powers_of_time(x.shape[1], horizon, 2).to(x)
    line = x @ torch.linalg.pinv(powers[:-horizon]).T @ powers.T
    return line.split([x.shape[1], horizon], dim=1)


@dataclass(frozen=True)
class differenced(_Wrapper):
    """A forecast of the differences of a window, summed from the last sample on.

    It has no ``distribution``, because the standard deviation of a sum depends on the correlation of the errors,
    which a ``Prediction`` does not contain. ``conformal`` gives intervals.

    Args:
        forecaster: of the differences.

    Raises:
        ValueError: ``forecaster`` is not a forecaster.

    Example:
        >>> from harmonics_lib import persistence
        >>> differenced(persistence())(torch.tensor([[0.0, 1.0, 2.0]]), 2)
        tensor([[3., 4.]])
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
