"""The simplest rivals: the last sample, the last season, the mean, and the DFT, which repeats the window."""

from torch import Tensor

from harmonics_lib.forecasters.base import (
    Forecaster,
    window_forecaster,
)
from harmonics_lib.signals.spectrum import harmonics, taper


def persistence() -> Forecaster:
    """The last sample, repeated: the forecast that every other has to beat."""
    return window_forecaster(lambda x, horizon, unit: x[:, -1:].expand(-1, horizon))


def dft_extrapolation(taper_name: str | None = None) -> Forecaster:
    """The cosines of the lookback's DFT, run on beyond it.

    Without a taper this repeats the lookback, for every bin completes whole cycles in N samples.

    Args:
        taper_name: one of ``spectrum.TAPERS``, multiplied onto the lookback first.

    Raises:
        ValueError: a taper of another name.
    """
    if taper_name is not None:
        taper(taper_name, 2)  # an unknown name fails here, not at the first forecast

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        length = x.shape[1]
        window = x if taper_name is None else x * taper(taper_name, length).to(x)
        return harmonics(window).synthesise(horizon, start=length)

    return window_forecaster(estimate)


def seasonal_naive(season: int) -> Forecaster:
    """The last ``season`` samples, repeated."""
    return lambda lookback, horizon: lookback[:, -season:].repeat(1, -(-horizon // season))[:, :horizon]


def window_mean() -> Forecaster:
    """The mean of the window: nothing of what varies is forecast."""
    return lambda lookback, horizon: lookback.mean(dim=1, keepdim=True).expand(-1, horizon)
