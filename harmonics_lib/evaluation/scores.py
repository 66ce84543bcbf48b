"""Errors of forecasts and of distributions, against the clean continuation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from harmonics_lib.arguments import check_kind, check_whole, describe
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.testsets import FrozenSet, draw_once
from harmonics_lib.forecasters.base import (
    LIMIT,
    ForecastFunction,
    Prediction,
    UnstableForecast,
    ask,
    central_interval,
    check_forecaster_function,
)
from harmonics_lib.signals.process import SignalBatch


@dataclass(frozen=True)
class Score:
    """Errors of one forecaster on one test set.

    Attributes:
        errors: (B, H) squared error against the clean continuation.
        ranked: (B, H) continuous ranked probability score against the clean continuation.
        power: (H,) mean square of the clean continuation.
        unstable: number of forecasts at or beyond ``LIMIT`` lookback peaks, where they are clipped.
    """

    errors: np.ndarray = field(repr=False)
    ranked: np.ndarray = field(repr=False)
    power: np.ndarray = field(repr=False)
    unstable: int

    @property
    def mse(self) -> float:
        """Mean over signals and steps, in units of the squared lookback peak."""
        return float(self.errors.mean())

    @property
    def crps(self) -> float:
        """Mean continuous ranked probability score over signals and steps, in lookback peaks (see ``normal_crps``)."""
        return float(self.ranked.mean())

    @property
    def by_step(self) -> np.ndarray:
        """(H,) mean over signals."""
        return self.errors.mean(axis=0)

    @property
    def by_signal(self) -> np.ndarray:
        """(B,) mean over steps."""
        return self.errors.mean(axis=1)

    @property
    def nmse_db(self) -> float:
        """Mean squared error relative to the power of what is predicted, in dB."""
        return float(decibels(self.mse, self.power.mean()))

    def interval(self, by_step: bool = False) -> tuple:
        """95 % bootstrap interval over signals, of the mean or, (H,) each, of the mean at every step."""
        return bootstrap_interval(self.errors if by_step else self.by_signal)


def score(forecaster: ForecastFunction, test: FrozenSet, horizon: int) -> Score:
    """Forecast the first ``horizon`` samples after the lookback of every signal in ``test``.

    Raises:
        ValueError: what is no forecaster or test set, a horizon beyond the test set's, a forecast of the wrong
            shape or one that is not finite.
    """
    check_kind("test", test, FrozenSet, "a FrozenSet, such as FROZEN_SETS['mixtures_3_6']")
    horizon = check_whole("horizon", horizon, maximum=test.horizon)
    return score_batch(check_forecaster_function("forecaster", forecaster), draw_once(test), horizon)


def score_batch(forecaster: ForecastFunction, batch: SignalBatch, horizon: int) -> Score:
    """The same for a batch of signals, whose settings the caller has checked."""
    forecast, prediction = _forecast(forecaster, batch.past, horizon)
    truth = batch.future[:, :horizon]
    limit = LIMIT * batch.past.abs().amax(dim=1, keepdim=True)
    return Score(
        errors=(forecast.to(truth) - truth).square().numpy(),
        ranked=(normal_crps(prediction.clean, truth) if prediction else (forecast - truth).abs()).numpy(),
        power=truth.square().mean(dim=0).numpy(),
        unstable=int((forecast.abs() >= limit).any(dim=1).sum()),
    )


def _forecast(forecaster: ForecastFunction, past: Tensor, horizon: int) -> tuple[Tensor, Prediction | None]:
    """(B, horizon) forecasts of windows and, of a forecaster that knows it, their distribution."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", UnstableForecast)  # counted instead
        forecast, prediction = ask(forecaster, past.clone(), horizon)  # a forecaster may write into what it is given
    if not torch.isfinite(forecast.double().square()).all():
        raise ValueError(f"expected a forecast whose squares are finite, got up to {forecast.abs().max():g}")
    return forecast, prediction


def normal_crps(distribution: Normal, truth: Tensor) -> Tensor:
    """Continuous ranked probability score of normal distributions: how far their mass lies from ``truth``.

    The integral of the squared difference of two distribution functions, the forecast's and the
    step at the truth. It is in the unit of the truth, is the absolute error where the forecast is
    a point, and is least on average for one who states the distribution that he believes.

    Args:
        distribution: of any shape, and truth: of the same.

    Raises:
        ValueError: what is no normal distribution, or a truth of another shape or that is not finite.

    Source: Gneiting and Raftery (2007), section 4.2.
    """
    _check_truth(distribution, truth)
    standard = Normal(torch.zeros_like(truth), 1.0)
    distance = truth - distribution.mean
    z = distance / distribution.stddev
    density = standard.log_prob(z).exp()
    ranked = distribution.stddev * (z * (2 * standard.cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return torch.where(z.isinf(), distance.abs(), ranked)  # so many deviations away it is a point


def calibration(distribution: Normal, truth: Tensor, coverages: Sequence[float]) -> np.ndarray:
    """(C,) shares of ``truth`` (B, H) inside the central intervals of these C coverages: equal to them, at best.

    Raises:
        ValueError: as ``normal_crps``; a coverage that is not between 0 and 1.
    """
    _check_truth(distribution, truth)
    try:
        coverages = list(coverages)
    except TypeError as error:
        raise ValueError(f"coverages must be a sequence of numbers, got {describe(coverages)}") from error
    intervals = (central_interval(distribution, coverage) for coverage in coverages)
    return np.array([((low <= truth) & (truth <= high)).double().mean().item() for low, high in intervals])


def _check_truth(distribution: Normal, truth: Tensor) -> None:
    """Raise ``ValueError`` unless these are a normal distribution and a finite tensor of its shape."""
    check_kind("distribution", distribution, Normal, "a torch Normal")
    if not isinstance(truth, Tensor) or not truth.is_floating_point():
        raise ValueError(f"truth must be a floating-point torch tensor, got {describe(truth)}")
    shape = tuple(distribution.batch_shape)
    if shape not in ((), tuple(truth.shape)):
        raise ValueError(f"truth must have the shape {shape} of the distribution, got {tuple(truth.shape)}")
    if not torch.isfinite(truth).all():
        raise ValueError(f"truth must be finite, got NaN or infinity in {int((~torch.isfinite(truth)).sum())} places")


def decibels(error, power):
    """An error relative to a power, in dB."""
    return 10 * np.log10(np.maximum(error, np.finfo(float).tiny) / power)
