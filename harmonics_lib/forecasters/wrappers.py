"""Intervals for any forecaster, by split conformal prediction: as wide as its errors on other windows were."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harmonics_lib.arguments import check_coverage, check_function, shown
from harmonics_lib.forecasters.base import (
    Forecaster,
    ProbabilisticForecaster,
    check_horizon,
    check_lookback,
    check_windows,
)
from harmonics_lib.forecasters.sparse import powers_of_time


def conformal(
    forecaster: Forecaster, past: Tensor, future: Tensor
) -> Callable[[Tensor, int, float], tuple[Tensor, Tensor]]:
    """Intervals around forecasts, from windows whose continuation is known.

    For each step ahead, the errors on these windows are put in order; an interval reaches as far
    to both sides as the share ``coverage`` of them. If a window to come could as well have been one
    of these, whatever the process and however bad the forecaster, its sample falls inside with at
    least that probability, on average over windows. Errors are compared in units of the
    standard deviation of the observed samples where the forecaster states one, so that intervals
    are wide where it is in doubt, else in peaks of their window.

    Args:
        forecaster: whose forecasts are in the middle of the intervals.
        past: (n, N) windows for calibration; future: (n, H) how they went on. With observed
            futures the intervals are for observed samples, with clean ones for the clean continuation.

    Returns:
        A function of lookback (B, N), horizon (at most H) and coverage that gives the ends of the intervals
        (low, high), (B, horizon) each. It raises ``ValueError`` for a coverage that n windows cannot promise.

    Raises:
        ValueError: windows that are not (n, N) and (n, H), or not finite; forecasts of another shape.

    Sources: Vovk, Gammerman and Shafer (2005); Lei et al. (2018), section 2.2, scaled as in their section 5.2.
    """
    check_function("forecaster", forecaster)
    check_windows("past", past)
    check_windows("future", future)
    if len(past) != len(future):
        raise ValueError(f"past and future must be of the same windows, got {len(past)} and {len(future)}")
    steps = future.shape[1]
    centre, scale = _centre_and_scale(forecaster, past, steps)
    ratios = ((future - centre).abs() / scale).sort(dim=0).values  # (n, H), each step in rising order

    def intervals(lookback: Tensor, horizon: int, coverage: float) -> tuple[Tensor, Tensor]:
        horizon = check_horizon(horizon)
        if horizon > steps:
            raise ValueError(f"horizon must be at most {steps}, that of the calibration, got {horizon}")
        rank = conformal_rank(len(ratios), coverage)
        centre, scale = _centre_and_scale(forecaster, lookback, horizon)
        reach = ratios[rank - 1, :horizon].to(lookback) * scale
        return centre - reach, centre + reach

    return intervals


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


def _centre_and_scale(forecaster: Forecaster, lookback: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """(B, horizon) forecasts, and (B, horizon) or (B, 1) what their errors are measured by."""
    if isinstance(forecaster, ProbabilisticForecaster):
        prediction = forecaster.distribution(lookback, horizon)
        return prediction.mean, prediction.observed.stddev
    check_lookback(lookback, horizon)
    peak, ahead = lookback.abs().amax(dim=1, keepdim=True), forecaster(lookback, horizon)
    if not isinstance(ahead, Tensor) or ahead.shape != (len(lookback), horizon):
        raise ValueError(f"forecaster must return a tensor of shape {(len(lookback), horizon)}, got {shown(ahead)}")
    if ahead.is_complex() or not torch.isfinite(ahead).all():
        raise ValueError(f"forecaster must return finite real numbers, got {shown(ahead)}")
    return ahead, torch.where(peak > 0, peak, 1.0)


def beside_a_line(forecaster: Forecaster) -> Forecaster:
    """A forecaster of what least squares with a level and a slope leaves of a window, and the line."""

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        powers = powers_of_time(lookback.shape[1], horizon, 2).to(lookback)
        line = lookback @ torch.linalg.pinv(powers[:-horizon]).T @ powers.T  # (B, N + horizon)
        return forecaster(lookback - line[:, :-horizon], horizon) + line[:, -horizon:]

    return forecast


def differenced(forecaster: Forecaster) -> Forecaster:
    """A forecaster of the changes from sample to sample, summed up from the last sample on."""
    return lambda lookback, horizon: lookback[:, -1:] + forecaster(lookback.diff(dim=1), horizon).cumsum(dim=1)
