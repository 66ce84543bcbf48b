"""Scores of forecasts and of predictive distributions, against the clean continuation."""

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
        """(H,) mean squared error of each step, over signals."""
        return self.errors.mean(axis=0)

    @property
    def by_signal(self) -> np.ndarray:
        """(B,) mean squared error of each signal, over steps."""
        return self.errors.mean(axis=1)

    @property
    def nmse_db(self) -> float:
        """Mean squared error relative to the power of the clean continuation, in dB."""
        return float(decibels(self.mse, self.power.mean()))

    def interval(self, by_step: bool = False) -> tuple:
        """95 % bootstrap interval over signals of ``mse``, or of ``by_step`` as two arrays (H,)."""
        return bootstrap_interval(self.errors if by_step else self.by_signal)


def score(forecaster: ForecastFunction, test: FrozenSet, horizon: int) -> Score:
    """Forecast the first ``horizon`` samples after the lookback of every signal in ``test``, and score them.

    Raises:
        ValueError: the forecaster or the test set is not one, the horizon is beyond the test set's, or the forecast
            has the wrong shape or is not finite.

    Example:
        >>> from harmonics_lib import FrozenSet, HarmonicProcess, linear_prediction
        >>> test = FrozenSet("example", HarmonicProcess((3, 6)), size=100)
        >>> score(linear_prediction(), test, horizon=5).mse < 1e-6
        True
    """
    check_kind("test", test, FrozenSet, "a FrozenSet, such as FROZEN_SETS['mixtures_3_6']")
    horizon = check_whole("horizon", horizon, maximum=test.horizon)
    return score_batch(check_forecaster_function("forecaster", forecaster), draw_once(test), horizon)


def score_batch(forecaster: ForecastFunction, batch: SignalBatch, horizon: int) -> Score:
    """``score`` of the signals of a batch, without checks of the arguments."""
    forecast, prediction = _forecast(forecaster, batch.past, horizon)
    truth = batch.future[:, :horizon]
    limit = LIMIT * batch.past.abs().amax(dim=1, keepdim=True)
    return Score(
        errors=(forecast.to(truth) - truth).square().numpy(),
        ranked=(normal_crps(prediction.clean, truth) if prediction else (forecast - truth).abs()).numpy(),
        power=truth.square().mean(dim=0).numpy(),
        unstable=int((forecast.abs() >= limit).any(dim=1).sum()),
    )


def _forecast(forecaster: ForecastFunction, lookback: Tensor, horizon: int) -> tuple[Tensor, Prediction | None]:
    """Forecasts (B, horizon) and, from a probabilistic forecaster, their distribution."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", UnstableForecast)  # counted instead
        forecast, prediction = ask(forecaster, lookback.clone(), horizon)  # a copy: a forecaster may change its input
    if not torch.isfinite(forecast.double().square()).all():
        raise ValueError(f"expected a forecast with finite squares, got values up to {forecast.abs().max():g}")
    return forecast, prediction


def normal_crps(distribution: Normal, truth: Tensor) -> Tensor:
    """Continuous ranked probability score (CRPS) of normal distributions.

    The CRPS is the integral of the squared difference between the distribution function of the
    forecast and the step function at the truth. It has the unit of the truth and equals the absolute
    error of a point forecast. It is a proper score: the true distribution minimises its expectation.

    Args:
        distribution: normal distributions of any shape.
        truth: a tensor of the same shape.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: the distribution is not normal, or the truth has another shape or is not finite.

    Source: Gneiting and Raftery (2007), section 4.2.

    Example:
        >>> normal_crps(Normal(torch.zeros(2), torch.ones(2)), torch.tensor([0.0, 3.0]))
        tensor([0.2337, 2.4366])
    """
    _check_truth(distribution, truth)
    standard = Normal(torch.zeros_like(truth), 1.0)
    distance = truth - distribution.mean
    z = distance / distribution.stddev
    density = standard.log_prob(z).exp()
    ranked = distribution.stddev * (z * (2 * standard.cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return torch.where(z.isinf(), distance.abs(), ranked)  # a standard deviation of about 0: a point forecast


def calibration(distribution: Normal, truth: Tensor, coverages: Sequence[float]) -> np.ndarray:
    """(C,) shares of ``truth`` (B, H) inside the central intervals of C nominal coverages.

    A calibrated distribution has shares equal to the coverages.

    Raises:
        ValueError: as for ``normal_crps``; or a coverage is not between 0 and 1.

    Source: Gneiting, Balabdaoui and Raftery (2007).
    """
    _check_truth(distribution, truth)
    try:
        coverages = list(coverages)
    except TypeError as error:
        raise ValueError(f"coverages must be a sequence of numbers, got {describe(coverages)}") from error
    intervals = (central_interval(distribution, coverage) for coverage in coverages)
    return np.array([((low <= truth) & (truth <= high)).double().mean().item() for low, high in intervals])


def _check_truth(distribution: Normal, truth: Tensor) -> None:
    """Raise ``ValueError`` unless the arguments are a normal distribution and a finite tensor of its shape."""
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
