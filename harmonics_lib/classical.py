"""Forecasters that need no training.

Each name is a factory: it takes settings and returns ``forecaster(lookback (B, N), horizon)``,
which gives (B, horizon) and raises ``ValueError`` for a lookback that is not (B, N), not finite or
too short.
"""

from collections.abc import Callable

from torch import Tensor

from harmonics_lib.signals import check_lookback
from harmonics_lib.spectrum import harmonics, taper

Forecaster = Callable[[Tensor, int], Tensor]


def persistence() -> Forecaster:
    """The last sample, repeated: the forecast that every other has to beat."""

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon)
        return lookback[:, -1:].expand(-1, horizon).clone()

    return forecast


def dft_extrapolation(taper_name: str | None = None) -> Forecaster:
    """The cosines of the lookback's DFT, run on beyond it.

    Without a taper this repeats the lookback, for every bin completes whole cycles in N samples.

    Args:
        taper_name: one of ``spectrum.TAPERS``, multiplied onto the lookback first.
    """
    if taper_name is not None:
        taper(taper_name, 2)  # an unknown name fails here, not at the first forecast

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon)
        length = lookback.shape[1]
        window = lookback if taper_name is None else lookback * taper(taper_name, length).to(lookback)
        return harmonics(window).synthesise(horizon, start=length)

    return forecast
