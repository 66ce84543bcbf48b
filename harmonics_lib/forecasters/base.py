"""What every forecaster is and keeps, classical or neural: one boundary around all of them.

A forecaster is ``forecaster(lookback (B, N), horizon) -> (B, horizon)``. ``window_forecaster`` and
``network_forecaster`` make one from what is particular to it, a map from windows of peak 1 to
their continuations. Around that both do the same: check the input, divide each window by its
peak, hold the forecast within ``LIMIT`` peaks, warn and count, restore unit and dtype, and refuse to
answer with what is not finite; and both compute each window in one thread, so that results do not depend on
their number.

A forecaster that knows its own error has ``forecaster.distribution(lookback, horizon)``, too: a
``Prediction``, whose mean is its forecast.
"""

import copy
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from harmonics_lib.arguments import check_coverage, check_function, check_kind, check_whole, is_number, shown

Forecaster = Callable[[Tensor, int], Tensor]

#: Signals go on within the range of their window, more or less: a forecast is held at so many lookback peaks.
LIMIT = 3.0
#: Samples ahead at most: a hundred windows of this report.
FARTHEST = 10_000
#: Samples of a window at most, where the cost grows with the cube: a minute.
LONGEST = 5000
_LONGEST = 1_000_000  # samples that a method may ask a window to have
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PART = 500  # windows that a network forecasts at a time


class UnstableForecast(UserWarning):
    """Forecasts left the range of their windows and were held at its limit; ``count`` of them."""

    def __init__(self, count: int, total: int):
        super().__init__(f"{count} of {total} forecasts went beyond {LIMIT:g} lookback peaks and are held there")
        self.count = count


@dataclass(frozen=True)
class Prediction:
    """Independent normal distributions of the samples to come, in the unit of the lookback.

    Attributes:
        mean: (B, H) the forecast.
        std: (B, H) standard deviation of the clean continuation; above 0.
        noise_std: (B, 1) standard deviation of the noise on top of it; at least 0.

    Raises:
        ValueError: tensors of other shapes, or values out of these ranges.
    """

    mean: Tensor
    std: Tensor
    noise_std: Tensor

    def __post_init__(self):
        for name in ("mean", "std", "noise_std"):
            check_windows(name, getattr(self, name))
        shape = tuple(self.mean.shape)
        for name, expected in (("std", shape), ("noise_std", (shape[0], 1))):
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} must have shape {expected}, got {tuple(getattr(self, name).shape)}")
        if not (self.std > 0).all() or not (self.noise_std >= 0).all():
            least = f"{self.std.min():g} and {self.noise_std.min():g}"
            raise ValueError(f"std must be above 0 and noise_std at least 0, got down to {least}")

    @property
    def clean(self) -> Normal:
        """Of the continuation without noise."""
        return Normal(self.mean, self.std)

    @property
    def observed(self) -> Normal:
        """Of the samples that will be seen: the clean continuation and noise."""
        return Normal(self.mean, torch.hypot(self.std, self.noise_std.expand_as(self.std)))


@runtime_checkable
class ProbabilisticForecaster(Protocol):
    """A forecaster that knows its own error."""

    def __call__(self, lookback: Tensor, horizon: int) -> Tensor:
        """(B, horizon) forecasts of windows (B, N)."""

    def distribution(self, lookback: Tensor, horizon: int) -> Prediction:
        """What it believes of the samples to come; its mean is the forecast."""


def central_interval(distribution: Normal, coverage: float) -> tuple[Tensor, Tensor]:
    """The ends (low, high) between which a sample falls with probability ``coverage``, half of the rest on each side.

    Raises:
        ValueError: what is no normal distribution; a coverage that is not between 0 and 1, or too close to 1 for
            the range of the distribution's dtype.
    """
    check_kind("distribution", distribution, Normal, "a torch Normal")
    check_coverage(coverage)
    ends = torch.tensor([(1 - coverage) / 2, (1 + coverage) / 2]).to(distribution.mean)
    low, high = distribution.icdf(ends[0]), distribution.icdf(ends[1])
    if not torch.isfinite(high - low).all():
        raise ValueError(f"coverage must be one of an interval with finite ends, got {float(coverage)!r}")
    return low, high


def window_forecaster(
    estimate: Callable[[Tensor, int, Tensor], Tensor],
    minimum: int = 1,
    distribution: Callable[[Tensor, int, Tensor], tuple[Tensor, Tensor, Tensor]] | None = None,
    maximum: int | None = None,
) -> Forecaster:
    """A forecaster that fits a model to each window, computed in double precision.

    Args:
        estimate: maps x (B, N), windows of peak 1, to (B, horizon); called with x, the horizon and
            ``unit`` (B, 1), which is what 1 stands for.
        minimum: samples that a window has to have.
        distribution: called in the same way, gives that mean with the standard deviation of the clean
            continuation, (B, horizon) each, and that of the noise, (B, 1); makes a
            ``ProbabilisticForecaster``.
        maximum: samples that a window may have; None for any number.

    Raises:
        ValueError: what is no function, or a minimum or maximum that is no whole number.
    """
    check_function("estimate", estimate)
    minimum = check_whole("minimum", minimum, maximum=_LONGEST)
    maximum = None if maximum is None else check_whole("maximum", maximum, minimum)

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        horizon = check_lookback(lookback, horizon, minimum, maximum)
        return _forecast(estimate, lookback, horizon, torch.float64)

    def predict(lookback: Tensor, horizon: int) -> Prediction:
        horizon = check_lookback(lookback, horizon, minimum, maximum)
        return _predict(distribution, lookback, horizon, torch.float64)

    if distribution is not None:
        check_function("distribution", distribution)
        forecast.distribution = predict
    return forecast


def network_forecaster(network: nn.Module) -> Forecaster:
    """A trained network as a forecaster.

    It is computed in double precision for a lookback that is, else in single precision, with the
    weights that it has at the time. The network itself is left as it is: each dtype and device has a copy.

    Args:
        network: has ``forecast(lookback (B, N), horizon) -> (B, horizon)``. If it also has
            ``distribution(lookback, horizon)``, which gives that mean with the standard deviation of
            the clean continuation, (B, horizon) each, and that of the noise, (B, 1), the
            forecaster is a ``ProbabilisticForecaster``.

    Raises:
        ValueError: what is not such a network.
    """
    if not isinstance(network, nn.Module) or not callable(getattr(network, "forecast", None)):
        raise ValueError(f"network must be a torch module with a method forecast, got {type(network).__name__}")
    if any(weights.is_meta or weights.is_complex() for weights in network.parameters()):
        raise ValueError("network must have weights that are real numbers, got complex ones, or none (meta device)")
    copies: dict[tuple, nn.Module] = {}

    def copy_for(lookback: Tensor) -> tuple[nn.Module, torch.dtype]:
        dtype = torch.float64 if lookback.dtype == torch.float64 else torch.float32
        kind = (lookback.device, dtype)
        if kind not in copies:
            copies[kind] = copy.deepcopy(network).to(*kind).eval()
        copies[kind].load_state_dict(network.state_dict())  # it may have been trained since
        return copies[kind], dtype

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        horizon = check_lookback(lookback, horizon)
        served, dtype = copy_for(lookback)
        with torch.no_grad():
            return _forecast(partial(_in_parts, served.forecast), lookback, horizon, dtype)

    def predict(lookback: Tensor, horizon: int) -> Prediction:
        horizon = check_lookback(lookback, horizon)
        served, dtype = copy_for(lookback)
        with torch.no_grad():
            return _predict(partial(_distribution_in_parts, served.distribution), lookback, horizon, dtype)

    if hasattr(network, "distribution"):
        forecast.distribution = predict
    return forecast


def _in_parts(forecast: Forecaster, x: Tensor, horizon: int, unit: Tensor) -> Tensor:
    """(B, horizon): a network's forecasts of x (B, N), a few windows at a time, whose states stay in the cache."""
    return torch.cat(_of_parts(lambda part, steps: _shaped(forecast(part, steps), (len(part), steps)), x, horizon))


def _distribution_in_parts(distribution: Callable, x: Tensor, horizon: int, unit: Tensor) -> tuple[Tensor, ...]:
    """The same of mean and standard deviation, (B, horizon) each, and of the noise's, (B, 1)."""
    parts = _of_parts(lambda part, steps: _three(distribution(part, steps), len(part), steps), x, horizon)
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def _of_parts(function: Callable, x: Tensor, horizon: int) -> list:
    """What a network's function makes of each part of x (B, N): as many parts at a time as there are processors.

    Each part is computed in one thread, so that results do not depend on how many there are.
    """
    parts = x.split(_PART)
    if len(parts) == 1 or x.device.type != "cpu":
        return [function(part, horizon) for part in parts]

    def work(part: Tensor):
        with torch.no_grad():  # which holds for its own thread only
            return function(part, horizon)

    with ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, parts))


def _forecast(estimate: Callable, lookback: Tensor, horizon: int, dtype: torch.dtype) -> Tensor:
    """(B, horizon): what ``estimate`` makes of windows of peak 1 in ``dtype``, held, in the unit of the lookback."""
    ahead, peak = _at_peak_one(estimate, lookback, horizon, dtype)
    return _in_unit(_held(_finite(_shaped(ahead, (len(lookback), horizon)))), peak, lookback)


def _predict(distribution: Callable, lookback: Tensor, horizon: int, dtype: torch.dtype) -> Prediction:
    """The same of a distribution; one that is certain of the continuation keeps what rounding leaves of a peak."""
    parts, peak = _at_peak_one(distribution, lookback, horizon, dtype)
    mean, std, noise_std = map(_finite, _three(parts, len(lookback), horizon))
    parts = (_held(mean), std.clamp_min(torch.finfo(dtype).eps), noise_std)
    mean, std, noise_std = (_in_unit(part, peak, lookback) for part in parts)
    return Prediction(mean, std.clamp_min(torch.finfo(lookback.dtype).tiny), noise_std)


def _at_peak_one(estimate: Callable, lookback: Tensor, horizon: int, dtype: torch.dtype) -> tuple:
    """What ``estimate`` makes of windows of peak 1 in ``dtype``, and (B, 1) their peaks, 0 where there is nothing."""
    windows = lookback.detach().double()
    peak = windows.abs().amax(dim=1, keepdim=True)
    unit = torch.where(peak > 0, peak, 1.0)
    with cpu_threads(1):  # small matrices, for which waking another thread costs more than it gains
        return estimate((windows / unit).to(dtype), horizon, unit), peak


def _three(parts: tuple, count: int, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation, (count, horizon) each, and the noise's, (count, 1), if that is what ``parts`` are."""
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise ValueError(f"expected a distribution's mean, std and noise_std as a tuple, got {shown(parts)}")
    shapes = ((count, horizon), (count, horizon), (count, 1))
    return tuple(_shaped(part, shape) for part, shape in zip(parts, shapes, strict=True))


def _shaped(estimate: Tensor, shape: tuple[int, int]) -> Tensor:
    """What a method estimates, if it is a tensor of that shape."""
    if not isinstance(estimate, Tensor) or estimate.shape != shape or estimate.is_complex():
        kind = f"{estimate.dtype} of shape {tuple(estimate.shape)}" if isinstance(estimate, Tensor) else shown(estimate)
        raise ValueError(f"expected an estimate that is a real tensor of shape {shape}, got {kind}")
    return estimate


def _finite(estimate: Tensor) -> Tensor:
    """What a method estimates, (B, …), if all of it is finite."""
    if not torch.isfinite(estimate).all():
        rows = (~torch.isfinite(estimate)).any(dim=1).sum()
        raise ValueError(
            f"expected a finite estimate, got NaN or infinity for {rows} of {len(estimate)} windows of finite samples; "
            "are the weights of the network finite?"
        )
    return estimate


def _in_unit(estimate: Tensor, unit: Tensor, lookback: Tensor) -> Tensor:
    """An estimate (B, …) at peak 1 in the unit (B, 1), dtype and device of the lookback, without gradient."""
    scaled = (estimate.detach() * unit).to(lookback)
    if not torch.isfinite(scaled).all():
        raise ValueError(
            f"the forecast goes beyond the range of {lookback.dtype}; give the lookback in a smaller unit or "
            "in double precision"
        )
    return scaled


def _held(ahead: Tensor) -> Tensor:
    """(B, horizon) forecasts of windows of peak 1 within the limit, with a warning for the caller's caller's caller."""
    unstable = (ahead.abs() >= LIMIT).any(dim=1)
    if unstable.any():
        warnings.warn(UnstableForecast(int(unstable.sum()), len(unstable)), stacklevel=4)
    return ahead.clamp(-LIMIT, LIMIT)


@contextmanager
def cpu_threads(count: int):
    """Give PyTorch ``count`` threads inside a ``with`` block, and what it had before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_lookback(lookback: Tensor, horizon: int, minimum: int = 1, maximum: int | None = None) -> int:
    """The horizon as an int, if both are good.

    Raises:
        ValueError: as ``check_windows``, or ``horizon`` is not a whole number from 1 to ``FARTHEST``.
    """
    check_windows("lookback", lookback, minimum, maximum)
    return check_horizon(horizon)


def check_windows(name: str, windows: Tensor, minimum: int = 1, maximum: int | None = None) -> None:
    """Raise ``ValueError`` unless ``windows`` is a finite (B, N) float tensor, B >= 1 and minimum <= N <= maximum."""
    if not isinstance(windows, Tensor) or windows.dtype not in _DTYPES:
        kind = windows.dtype if isinstance(windows, Tensor) else type(windows).__name__
        raise ValueError(f"{name} must be a floating-point torch tensor of shape (B, N), got {kind}")
    if windows.layout != torch.strided or windows.is_meta:
        kind = "one on the meta device" if windows.is_meta else windows.layout
        raise ValueError(f"{name} must be a dense tensor that has values, got {kind}")
    if windows.ndim != 2 or len(windows) == 0:
        raise ValueError(f"{name} must have shape (B, N) with at least one window, got {tuple(windows.shape)}")
    if windows.shape[1] < minimum:
        raise ValueError(f"{name} must have at least {minimum} samples, got {windows.shape[1]}")
    if maximum is not None and windows.shape[1] > maximum:
        raise ValueError(
            f"{name} must have at most {maximum:,} samples, for the cost grows with the cube: got {windows.shape[1]}; "
            "give the last ones, or every second"
        )
    if not torch.isfinite(windows).all():
        rows = (~torch.isfinite(windows)).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(f"{name} must be finite, got NaN or infinity in {len(rows)} rows, first in row {rows[0]}")


def check_horizon(horizon: int) -> int:
    """The horizon as an int; ``ValueError`` unless it is a whole number from 1 to ``FARTHEST``."""
    return check_whole("horizon", horizon, maximum=FARTHEST)


def check_network_lookback(network: nn.Module, lookback: Tensor, horizon: int, minimum: int = 1) -> int:
    """The horizon as an int, if both are good for this network, whose dtype the lookback has to have.

    Raises:
        ValueError: as ``check_lookback``; another dtype, or one that recurrent layers and the DFT do not have.
    """
    horizon, own = check_lookback(lookback, horizon, minimum), next(network.parameters()).dtype
    if lookback.dtype != own or own not in (torch.float32, torch.float64):
        raise ValueError(
            f"expected network and lookback both in torch.float32 or both in torch.float64, got {own} and "
            f"{lookback.dtype}; network_forecaster(network) serves every dtype"
        )
    return horizon


def check_noise_std(noise_std: float | None) -> None:
    """Raise ``ValueError`` unless ``noise_std`` is None or a finite number of at least 0."""
    if noise_std is not None and not (is_number(noise_std) and noise_std >= 0):
        raise ValueError(f"noise_std must be None or a number of at least 0, got {shown(noise_std)}")
