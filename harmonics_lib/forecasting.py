"""What every forecaster is and keeps, classical or neural: one boundary around all of them.

A forecaster is ``forecaster(lookback (B, N), horizon) -> (B, horizon)``. ``window_forecaster`` and
``network_forecaster`` make one from what is particular to it, a map from windows of peak 1 to
their continuations. Around that both do the same: check the input, divide each window by its
peak, hold the forecast within ``LIMIT`` peaks, warn and count, restore unit and dtype; and both
compute in one thread, so that results do not depend on their number.
"""

import copy
import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

Forecaster = Callable[[Tensor, int], Tensor]

#: Signals go on within the range of their window, more or less: a forecast is held at so many lookback peaks.
LIMIT = 3.0
_PART = 500  # windows that a network forecasts at a time


class UnstableForecast(UserWarning):
    """Forecasts left the range of their windows and were held at its limit; ``count`` of them."""

    def __init__(self, count: int, total: int):
        super().__init__(f"{count} of {total} forecasts went beyond {LIMIT:g} lookback peaks and are held there")
        self.count = count


def window_forecaster(estimate: Callable[[Tensor, int, Tensor], Tensor], minimum: int = 1) -> Forecaster:
    """A forecaster that fits a model to each window, computed in double precision.

    Args:
        estimate: maps x (B, N), windows of peak 1, to (B, horizon); called with x, the horizon and
            ``unit`` (B, 1), which is what 1 stands for.
        minimum: samples that a window has to have.
    """

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon, minimum)
        return _in_units_of_the_peak(estimate, lookback, horizon, torch.float64)

    return forecast


def network_forecaster(network: nn.Module) -> Forecaster:
    """A trained network as a forecaster.

    It is computed in double precision for a lookback that is, else in single precision. The
    network itself is left as it is: each dtype and device gets a copy, made at its first forecast.

    Args:
        network: has ``forecast(lookback (B, N), horizon) -> (B, horizon)``.
    """
    copies: dict[tuple, nn.Module] = {}

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon)
        dtype = torch.float64 if lookback.dtype == torch.float64 else torch.float32
        kind = (lookback.device, dtype)
        if kind not in copies:
            copies[kind] = copy.deepcopy(network).to(*kind).eval()
        with torch.no_grad():
            return _in_units_of_the_peak(partial(_in_parts, copies[kind]), lookback, horizon, dtype)

    return forecast


def _in_parts(network: nn.Module, x: Tensor, horizon: int, unit: Tensor) -> Tensor:
    """(B, horizon): the network's forecasts of x (B, N), a few windows at a time, whose states stay in the cache."""
    return torch.cat([network.forecast(part, horizon) for part in x.split(_PART)])


def _in_units_of_the_peak(estimate, lookback: Tensor, horizon: int, dtype: torch.dtype) -> Tensor:
    """(B, horizon): what ``estimate`` makes of windows of peak 1 in ``dtype``, held, in the unit of the lookback."""
    peak = lookback.double().abs().amax(dim=1, keepdim=True)
    unit = torch.where(peak > 0, peak, 1.0)
    with cpu_threads(1):  # small matrices, for which waking another thread costs more than it gains
        ahead = estimate((lookback.double() / unit).to(dtype), horizon, unit)
    unstable = (ahead.abs() >= LIMIT).any(dim=1)
    if unstable.any():
        warnings.warn(UnstableForecast(int(unstable.sum()), len(unstable)), stacklevel=3)
    return (ahead.clamp(-LIMIT, LIMIT) * unit).to(lookback)


@contextmanager
def cpu_threads(count: int):
    """Give PyTorch ``count`` threads inside a ``with`` block, and what it had before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_lookback(lookback: Tensor, horizon: int, minimum: int = 1) -> None:
    """Raise ``ValueError`` unless ``lookback`` is a finite (B, N) float tensor with B >= 1 and N >= minimum."""
    if not isinstance(lookback, Tensor) or not lookback.is_floating_point():
        kind = lookback.dtype if isinstance(lookback, Tensor) else type(lookback).__name__
        raise ValueError(f"lookback must be a floating-point torch tensor of shape (B, N), got {kind}")
    if lookback.ndim != 2 or len(lookback) == 0:
        raise ValueError(f"lookback must have shape (B, N) with at least one window, got {tuple(lookback.shape)}")
    if lookback.shape[1] < minimum:
        raise ValueError(f"lookback must have at least {minimum} samples, got {lookback.shape[1]}")
    check_whole("horizon", horizon)
    if not torch.isfinite(lookback).all():
        rows = (~torch.isfinite(lookback)).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(f"lookback must be finite, got NaN or infinity in {len(rows)} rows, first in row {rows[0]}")


def check_whole(name: str, value) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_noise_std(noise_std: float | None) -> None:
    """Raise ``ValueError`` unless ``noise_std`` is None or a finite number of at least 0."""
    if noise_std is not None and not (is_number(noise_std) and noise_std >= 0):
        raise ValueError(f"noise_std must be None or a number of at least 0, got {noise_std!r}")


def is_number(value) -> bool:
    """Whether ``value`` is a finite int or float, and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
