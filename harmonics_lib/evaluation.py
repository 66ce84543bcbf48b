"""Frozen test sets, squared errors by step, and intervals by the bootstrap."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from scipy.stats import bootstrap

from harmonics_lib.classical import Forecaster
from harmonics_lib.signals import HarmonicProcess, SignalBatch, random_stream


@dataclass(frozen=True)
class FrozenSet:
    """A test set that never changes: the same signals on every machine, in double precision.

    Args:
        process: the distribution.
        size: number of signals.
        lookback, horizon: samples that are seen, and predicted at the most.
        name: of its random stream.
    """

    name: str
    process: HarmonicProcess
    size: int = 5000
    lookback: int = 100
    horizon: int = 50

    def batch(self) -> SignalBatch:
        """The signals, (size, lookback + horizon)."""
        return _draw(self)


@lru_cache(maxsize=4)
def _draw(test: FrozenSet) -> SignalBatch:
    generator = random_stream(0, f"frozen set {test.name}")
    return test.process.sample(
        test.size, test.lookback + test.horizon, test.lookback, generator=generator, dtype=torch.float64
    )


#: The published test sets, by name.
FROZEN_SETS = {
    test.name: test
    for test in (
        FrozenSet("mixtures_3_6", HarmonicProcess((3, 6), (2, 99))),
        FrozenSet("mixtures_1_45", HarmonicProcess((1, 45), (10, 99))),
        FrozenSet("mixtures_1_45_short_periods", HarmonicProcess((1, 45), (2, 99))),
    )
}


@dataclass(frozen=True)
class Score:
    """Squared errors of one forecaster on one test set.

    Attributes:
        errors: (B, H) squared error against the clean continuation.
        power: mean square of the clean continuation.
    """

    errors: np.ndarray = field(repr=False)
    power: float

    @property
    def mse(self) -> float:
        """Mean over signals and steps, in units of the squared lookback peak."""
        return float(self.errors.mean())

    @property
    def by_step(self) -> np.ndarray:
        """(H,) mean over signals."""
        return self.errors.mean(axis=0)

    @property
    def nmse_db(self) -> float:
        """Mean squared error relative to the power of what is predicted, in dB."""
        return float(10 * np.log10(max(self.mse, np.finfo(float).tiny) / self.power))

    def interval(self, by_step: bool = False) -> tuple:
        """95 % bootstrap interval over signals, of the mean or, (H,) each, of the mean at every step."""
        return bootstrap_interval(self.errors if by_step else self.errors.mean(axis=1))


def score(forecaster: Forecaster, test: FrozenSet, horizon: int) -> Score:
    """Forecast the first ``horizon`` samples after the lookback of every signal in ``test``.

    Raises:
        ValueError: a horizon beyond the test set's, or a forecast of the wrong shape.
    """
    if not 1 <= horizon <= test.horizon:
        raise ValueError(f"horizon must be between 1 and {test.horizon} for {test.name}, got {horizon}")
    batch = test.batch()
    with torch.no_grad():
        forecast = forecaster(batch.past.clone(), horizon)  # a forecaster may write into what it is given
    truth = batch.future[:, :horizon]
    if forecast.shape != truth.shape:
        raise ValueError(f"a forecaster must return shape {tuple(truth.shape)}, got {tuple(forecast.shape)}")
    return Score(((forecast - truth) ** 2).numpy(), float(truth.square().mean()))


def bootstrap_interval(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000) -> tuple:
    """Percentile bootstrap interval (low, high) of the mean of ``samples`` (B, …) over B (Efron 1979)."""
    result = bootstrap(
        (samples,),
        np.mean,
        axis=0,
        n_resamples=resamples,
        batch=50,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return (float(low), float(high)) if samples.ndim == 1 else (low, high)
