"""Baselines: the last sample, the last season, the mean, and the DFT, which repeats the window."""

from dataclasses import dataclass

from torch import Tensor

from harmonics_lib.arguments import check_whole
from harmonics_lib.forecasters.base import LONGEST_WINDOW, Forecaster
from harmonics_lib.forecasters.window import Window
from harmonics_lib.signals.spectrum import harmonics, taper


@dataclass(frozen=True)
class persistence(Forecaster):
    """The last sample, repeated.

    Example:
        >>> persistence()(torch.tensor([[1.0, 2.0]]), 3)
        tensor([[2., 2., 2.]])
    """

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return window.x[:, -1:].expand(-1, horizon)


@dataclass(frozen=True)
class window_mean(Forecaster):
    """The mean of the window, repeated."""

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return window.x.mean(dim=1, keepdim=True).expand(-1, horizon)


@dataclass(frozen=True)
class seasonal_naive(Forecaster):
    """The last season, repeated.

    Args:
        season: its length in samples.

    Raises:
        ValueError: the season is not a whole number of at least 1, or the lookback is shorter than the season.

    Example:
        >>> seasonal_naive(2)(torch.tensor([[0.0, 1.0, 2.0]]), 3)
        tensor([[1., 2., 1.]])
    """

    season: int

    def __post_init__(self):
        self._set(season=check_whole("season", self.season, maximum=LONGEST_WINDOW))

    @property
    def minimum(self) -> int:
        return self.season

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return window.x[:, -self.season :].repeat(1, -(-horizon // self.season))[:, :horizon]


@dataclass(frozen=True)
class dft_extrapolation(Forecaster):
    """The cosines of the lookback's DFT, continued beyond it.

    Without a taper this repeats the lookback, because every bin completes whole cycles in N samples.

    Args:
        taper_name: one of ``spectrum.TAPERS``, by which the lookback is multiplied first; None for no taper.

    Raises:
        ValueError: the taper is unknown.
    """

    taper_name: str | None = None

    def __post_init__(self):
        if self.taper_name is not None:
            taper(self.taper_name, 2)  # an unknown name fails here, not at the first forecast

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        x, length = window.x, window.x.shape[1]
        if self.taper_name is not None:
            x = x * taper(self.taper_name, length).to(x)
        return harmonics(x).synthesise(horizon, start=length)
