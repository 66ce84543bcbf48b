"""The base of all forecasters, classical and neural: settings, checks, scaling, and the limit of a forecast.

A forecaster is called as ``forecaster(lookback (B, N), horizon)`` and returns (B, horizon). What is
particular to a method is a map from windows of peak 1 to their continuations. The base class does the rest:
it checks the input, divides each window by its peak, clips the forecast to ``LIMIT`` peaks with a
warning, restores unit and dtype, and refuses a forecast that is not finite. Each window is computed
in one thread, so that results do not depend on the number of threads.

A forecaster that estimates its own error also has ``distribution(lookback, horizon)``, which returns a
``Prediction``. Its mean is the forecast.
"""

import copy
import inspect
import os
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from harmonics_lib.arguments import (
    Windows,
    check_coverage,
    check_function,
    check_kind,
    check_whole,
    describe,
    is_number,
    to_windows,
)
from harmonics_lib.forecasters.window import Window

#: What the library accepts as a forecaster: any function of lookback (B, N) and horizon that returns (B, horizon).
ForecastFunction = Callable[[Tensor, int], Tensor]

#: A signal stays within about the range of its window, so a forecast is clipped to so many lookback peaks.
LIMIT = 3.0
#: The longest horizon: a hundred windows of this report.
FARTHEST = 10_000
#: Samples of a window at most, where the cost grows with the cube: one window then takes a minute.
LONGEST = 5000
#: Samples that a method may ask a window to have, at most.
LONGEST_WINDOW = 1_000_000
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PART = 500  # windows that a network forecasts at a time


class UnstableForecast(UserWarning):
    """``count`` of ``total`` forecasts left the range of their windows and were clipped."""

    def __init__(self, count: int, total: int):
        super().__init__(f"{count} of {total} forecasts exceeded {LIMIT:g} lookback peaks and were clipped")
        self.count, self.total = count, total

    def __reduce__(self):
        return type(self), (self.count, self.total)


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
            check_windows(name, check_kind(name, getattr(self, name), Tensor, "a tensor"))
        shape = tuple(self.mean.shape)
        for name, expected in (("std", shape), ("noise_std", (shape[0], 1))):
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} must have shape {expected}, got {tuple(getattr(self, name).shape)}")
        if not (self.std > 0).all() or not (self.noise_std >= 0).all():
            least = f"{self.std.min():g} and {self.noise_std.min():g}"
            raise ValueError(f"std must be above 0 and noise_std at least 0, got down to {least}")

    @property
    def clean(self) -> Normal:
        """The distribution of the continuation without noise."""
        return Normal(self.mean, self.std)

    @property
    def observed(self) -> Normal:
        """The distribution of the samples to be observed: the clean continuation plus noise."""
        return Normal(self.mean, torch.hypot(self.std, self.noise_std.expand_as(self.std)))


@runtime_checkable
class ProbabilisticForecaster(Protocol):
    """A forecaster that estimates its own error."""

    def __call__(self, lookback: Tensor, horizon: int) -> Tensor:
        """(B, horizon) forecasts of windows (B, N)."""

    def distribution(self, lookback: Tensor, horizon: int) -> Prediction:
        """The distribution of the next ``horizon`` samples; its mean is the forecast."""


def central_interval(distribution: Normal, coverage: float) -> tuple[Tensor, Tensor]:
    """The ends (low, high) of the central interval that contains a sample with probability ``coverage``.

    Raises:
        ValueError: the distribution is not normal, or the coverage is not between 0 and 1 or is too close to 1 for
            the distribution's dtype.
    """
    check_kind("distribution", distribution, Normal, "a torch Normal")
    check_coverage(coverage)
    ends = torch.tensor([(1 - coverage) / 2, (1 + coverage) / 2]).to(distribution.mean)
    low, high = distribution.icdf(ends[0]), distribution.icdf(ends[1])
    if not torch.isfinite(high - low).all():
        raise ValueError(f"coverage must be one of an interval with finite ends, got {float(coverage)!r}")
    return low, high


class Forecaster(ABC):
    """A method with its settings, called as ``forecaster(lookback (B, N), horizon)``, which returns (B, horizon).

    A subclass is a frozen dataclass whose fields are its settings, so that it can be printed, compared,
    copied and pickled. It defines ``_estimate``, a map from windows of peak 1 to their continuations.

    Attributes:
        minimum: samples that a window must have.
        maximum: samples that a window may have; None for any number.

    Example:
        >>> @dataclass(frozen=True)
        ... class drift(Forecaster):
        ...     def _estimate(self, window, horizon):
        ...         slope = (window.x[:, -1:] - window.x[:, :1]) / (window.x.shape[1] - 1)
        ...         return window.x[:, -1:] + slope * torch.arange(1, horizon + 1)
        >>> drift()(torch.tensor([[0.0, 1.0, 2.0]]), 2)
        tensor([[3., 4.]])
    """

    @property
    def minimum(self) -> int:
        return 1

    @property
    def maximum(self) -> int | None:
        return None

    def __call__(self, lookback: Windows, horizon: int) -> Tensor:
        """(B, horizon) forecasts of windows (B, N), in their unit, dtype and device.

        Windows that are no tensor, such as an array or a pandas object, are converted (see ``check_windows``).

        Raises:
            ValueError: the lookback is not (B, N), not finite, too short or too long; the horizon is not a whole
                number from 1 to 10,000; or the forecast is not finite.
        """
        lookback, horizon = check_lookback(lookback, horizon, self.minimum, self.maximum)
        with _default_settings(lookback.device):
            window = Window.of(lookback, self._dtype(lookback))
            ahead = check_forecast(self._estimate(window, horizon), (len(window), horizon))
            return _restore_unit(_clip(ahead), window, lookback)

    @abstractmethod
    def _estimate(self, window: Window, horizon: int) -> Tensor:
        """(B, horizon) continuations of ``window.x`` (B, N), whose peaks are 1."""

    def _dtype(self, lookback: Tensor) -> torch.dtype:
        """The dtype of ``window.x``."""
        return torch.float64

    def _set(self, **attributes) -> None:
        """Give a frozen forecaster an attribute, such as a setting converted to its usual type."""
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def __reduce__(self):
        """A copy is built from the settings."""
        settings = [setting.name for setting in fields(cast(Any, self)) if setting.init]
        return type(self), tuple(getattr(self, name) for name in settings)


class DistributionForecaster(Forecaster):
    """A forecaster that estimates its own error: a subclass defines ``_distribution``."""

    def distribution(self, lookback: Windows, horizon: int) -> Prediction:
        """The distribution of the samples to come, whose mean is the forecast.

        The standard deviation is at least the rounding error. Arguments and errors are those of a forecast.
        """
        lookback, horizon = check_lookback(lookback, horizon, self.minimum, self.maximum)
        dtype = self._dtype(lookback)
        with _default_settings(lookback.device):
            window = Window.of(lookback, dtype)
            mean, std, noise_std = _check_parts(self._distribution(window, horizon), len(window), horizon)
            parts = (_clip(mean), std.clamp_min(torch.finfo(dtype).eps), noise_std)
            mean, std, noise_std = (_restore_unit(part, window, lookback) for part in parts)
            return Prediction(mean, std.clamp_min(torch.finfo(lookback.dtype).tiny), noise_std)

    @abstractmethod
    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation of the clean continuation, (B, horizon) each, and the noise's, (B, 1)."""

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return self._distribution(window, horizon)[0]


def window_forecaster(
    estimate: Callable[[Tensor, int], Tensor],
    minimum: int = 1,
    distribution: Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]] | None = None,
    maximum: int | None = None,
) -> Forecaster:
    """A forecaster from a function that continues windows, with the same checks as the library's own forecasters.

    Args:
        estimate: ``estimate(x, horizon)`` maps windows x (B, N) of peak 1, in double precision, to (B, horizon).
        minimum: samples that a window must have.
        distribution: ``distribution(x, horizon)`` returns that mean with the standard deviation of the clean
            continuation, (B, horizon) each, and that of the noise, (B, 1). With it the forecaster is a
            ``ProbabilisticForecaster``.
        maximum: samples that a window may have; None for any number.

    Raises:
        ValueError: ``estimate`` or ``distribution`` is not a function, or a limit is not a whole number.

    Example:
        >>> last = window_forecaster(lambda x, horizon: x[:, -1:].expand(-1, horizon))
        >>> last(torch.tensor([[1.0, 2.0]]), 3)
        tensor([[2., 2., 2.]])
    """
    if distribution is None:
        return FunctionForecaster(estimate, minimum, maximum)
    return DistributionFunctionForecaster(estimate, minimum, maximum, distribution)


@dataclass(frozen=True)
class FunctionForecaster(Forecaster):
    """See ``window_forecaster``."""

    estimate: Callable[[Tensor, int], Tensor]
    minimum: int = 1
    maximum: int | None = None

    def __post_init__(self):
        check_function("estimate", self.estimate)
        minimum = check_whole("minimum", self.minimum, maximum=LONGEST_WINDOW)
        maximum = None if self.maximum is None else check_whole("maximum", self.maximum, minimum)
        self._set(minimum=minimum, maximum=maximum)

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return self.estimate(window.x, horizon)


@dataclass(frozen=True)
class DistributionFunctionForecaster(FunctionForecaster, DistributionForecaster):
    """See ``window_forecaster``."""

    parts: Callable | None = None  # checked to be one

    def __post_init__(self):
        super().__post_init__()
        check_function("distribution", self.parts)

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        return cast(Callable, self.parts)(window.x, horizon)


def network_forecaster(network: nn.Module) -> Forecaster:
    """A trained network as a forecaster.

    It computes in double precision for a lookback in double precision, else in single precision. Each dtype
    and device has its own copy of the network, which is updated when the weights of the network change.
    (Changes through ``.data`` do not update it, because PyTorch does not count them.)

    Args:
        network: has ``forecast(lookback (B, N), horizon) -> (B, horizon)``. If it also has
            ``distribution(lookback, horizon)``, which returns that mean with the standard deviation of
            the clean continuation, (B, horizon) each, and that of the noise, (B, 1), the
            forecaster is a ``ProbabilisticForecaster``.

    Raises:
        ValueError: the network is not a torch module with a method ``forecast`` and real weights.
    """
    return (DistributionNetworkForecaster if hasattr(network, "distribution") else NetworkForecaster)(network)


@dataclass(frozen=True)
class NetworkForecaster(Forecaster):
    """See ``network_forecaster``."""

    network: nn.Module
    _copies: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        network = self.network
        if not isinstance(network, nn.Module) or not callable(getattr(network, "forecast", None)):
            raise ValueError(f"network must be a torch module with a method forecast, got {type(network).__name__}")
        if any(weights.is_meta or weights.is_complex() for weights in network.parameters()):
            raise ValueError("network must have weights that are real numbers, got complex ones, or none (meta device)")

    def _dtype(self, lookback: Tensor) -> torch.dtype:
        return torch.float64 if lookback.dtype == torch.float64 else torch.float32

    def _copy(self, x: Tensor) -> nn.Module:
        """A copy of the network in the dtype and on the device of x; it is cached until the weights change."""
        state = [*self.network.parameters(), *self.network.buffers()]
        counted = not any(tensor.is_inference() for tensor in state)
        version = [(tensor.data_ptr(), tensor._version) for tensor in state] if counted else None
        known, copied = self._copies.get((x.device, x.dtype), (None, None))
        if copied is None or version is None or known != version:
            copied = copy.deepcopy(self.network).to(x.device, x.dtype).eval()
            self._copies[x.device, x.dtype] = version, copied
        return copied

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        forecast = cast(Any, self._copy(window.x)).forecast
        parts = _map_parts(lambda x: check_forecast(forecast(x, horizon), (len(x), horizon)), window.x)
        return torch.cat(parts)


@dataclass(frozen=True)
class DistributionNetworkForecaster(NetworkForecaster, DistributionForecaster):
    """See ``network_forecaster``."""

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        distribution = cast(Any, self._copy(window.x)).distribution
        parts = _map_parts(lambda x: _check_parts(distribution(x, horizon), len(x), horizon), window.x)
        mean, std, noise_std = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return mean, std, noise_std


def _map_parts(function: Callable[[Tensor], Any], x: Tensor) -> list:
    """A network's function of each part of x (B, N), whose states stay in the cache: one part for each processor."""

    def work(part: Tensor):
        with torch.no_grad(), cpu_threads(1):  # each holds for its own thread only
            return function(part)

    parts = x.split(_PART)
    if len(parts) == 1 or x.device.type != "cpu":
        return [work(part) for part in parts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


@contextmanager
def _default_settings(device: torch.device):
    """One thread, and PyTorch as it starts: no inference mode, no autocast, and the CPU as the default device.

    Small matrices are faster in one thread, and tables that are kept must not belong to one mode.
    """
    with ExitStack() as stack:
        stack.enter_context(cpu_threads(1))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def ask(forecaster: ForecastFunction, lookback: Tensor, horizon: int) -> tuple[Tensor, Prediction | None]:
    """The (B, horizon) forecast of any forecaster, and its distribution if it has one, both checked.

    Raises:
        ValueError: the forecaster returned something invalid (see ``check_forecast``).
    """
    shape = (len(lookback), horizon)
    if not isinstance(forecaster, ProbabilisticForecaster):
        return check_forecast(forecaster(lookback, horizon), shape), None
    prediction = ask_distribution(forecaster, lookback, horizon)
    return prediction.mean, prediction


def ask_distribution(forecaster: ProbabilisticForecaster, lookback: Tensor, horizon: int) -> Prediction:
    """The distribution of any forecaster that has one, checked as a forecast is."""
    prediction = forecaster.distribution(lookback, horizon)
    if not isinstance(prediction, Prediction):
        raise ValueError(f"expected a forecaster's distribution to be a Prediction, got {describe(prediction)}")
    check_forecast(prediction.mean, (len(lookback), horizon))
    return prediction


def check_forecaster_function(name: str, value):
    """``value``, if it is a forecaster.

    Raises:
        ValueError: ``value`` cannot be called with windows and a horizon, or is a class of forecasters or a network.
    """
    if isinstance(value, nn.Module) and hasattr(value, "forecast"):
        raise ValueError(f"{name} must be a forecaster, such as network_forecaster(network), got the network itself")
    if isinstance(value, type):
        raise ValueError(f"{name} must be a forecaster, such as {value.__name__}(), got the class {value.__name__}")
    try:
        inspect.signature(check_function(name, value)).bind(None, 1)
    except TypeError as error:
        raise ValueError(f"{name} must be a forecaster of windows and a horizon, got {describe(value)}") from error
    return value


def check_forecast(forecast: Tensor, shape: tuple[int, int], name: str = "forecast") -> Tensor:
    """The forecast that a forecaster returned, without a gradient.

    Raises:
        ValueError: it is not a dense, finite floating-point tensor of this shape.
    """
    if not _is_dense(forecast) or forecast.shape != shape:
        raise ValueError(f"expected a {name} that is a dense tensor of floats of shape {shape}, got {_kind(forecast)}")
    finite = torch.isfinite(forecast)
    if not finite.all():
        rows = int((~finite).any(dim=1).sum())
        raise ValueError(
            f"expected a finite {name}, got NaN or infinity for {rows} of {len(forecast)} windows of finite samples; "
            "are the weights of the network finite?"
        )
    return forecast.detach()


def _check_parts(parts: tuple, count: int, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
    """``parts``, if these are mean and standard deviation, (count, horizon) each, and that of the noise, (count, 1)."""
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise ValueError(f"expected a distribution's mean, std and noise_std as a tuple, got {describe(parts)}")
    mean, std, noise_std = parts
    return (
        check_forecast(mean, (count, horizon), "distribution's mean"),
        check_forecast(std, (count, horizon), "distribution's std"),
        check_forecast(noise_std, (count, 1), "distribution's noise_std"),
    )


def _is_dense(value) -> bool:
    """Whether ``value`` is a dense floating-point tensor with data."""
    dense = isinstance(value, Tensor) and not value.is_nested and value.layout == torch.strided
    return dense and not value.is_meta and value.dtype in _DTYPES


def _kind(value) -> str:
    """A value as text for an error message: a tensor by its dtype, shape and layout."""
    if not isinstance(value, Tensor):
        return describe(value)
    if value.is_nested:
        return "a nested tensor"
    odd = "on the meta device " if value.is_meta else "" if value.layout == torch.strided else f"in {value.layout} "
    return f"{value.dtype} {odd}of shape {tuple(value.shape)}"


def _restore_unit(estimate: Tensor, window: Window, lookback: Tensor) -> Tensor:
    """An estimate (B, …) at peak 1 in the unit, dtype and device of the lookback; 0 for windows of zeros."""
    peak = torch.where((lookback == 0).all(dim=1, keepdim=True), 0.0, window.unit)
    scaled = (estimate * peak).to(lookback)
    if not torch.isfinite(scaled).all():
        raise ValueError(
            f"the forecast goes beyond the range of {lookback.dtype}; give the lookback in a smaller unit or "
            "in double precision"
        )
    return scaled


def _clip(ahead: Tensor) -> Tensor:
    """Clip (B, horizon) forecasts of windows of peak 1 to ``LIMIT``, with a warning if any exceeds it."""
    unstable = (ahead.abs() >= LIMIT).any(dim=1)
    if unstable.any():
        warnings.warn(UnstableForecast(int(unstable.sum()), len(unstable)), stacklevel=_frames_to_caller())
    return ahead.clamp(-LIMIT, LIMIT)


def _frames_to_caller() -> int:
    """The ``stacklevel`` at which a warning of the calling function points to the line that asked for a forecast."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("harmonics_lib.forecasters"):
        frame, level = frame.f_back, level + 1
    return level


_SETTING_THREADS = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child has no other thread that could release the lock
    os.register_at_fork(
        before=_SETTING_THREADS.acquire,
        after_in_parent=_SETTING_THREADS.release,
        after_in_child=_SETTING_THREADS.release,
    )


@contextmanager
def cpu_threads(count: int):
    """Give PyTorch ``count`` threads inside a ``with`` block, in this Python thread only.

    PyTorch stores the number twice: for the Python thread that set it, and as the default of new threads,
    which is the number that any thread set last. The default must not change, so a short-lived thread
    resets it.
    """
    with _SETTING_THREADS:
        before = torch.get_num_threads()
        if before != count:
            torch.set_num_threads(count)
            other = threading.Thread(target=torch.set_num_threads, args=(before,))
            other.start()
            other.join()
    try:
        yield
    finally:
        if before != count:
            with _SETTING_THREADS:
                torch.set_num_threads(before)


def check_lookback(lookback: Windows, horizon: int, minimum: int = 1, maximum: int | None = None) -> tuple[Tensor, int]:
    """The windows as a tensor and the horizon as an int, after checks of both.

    Raises:
        ValueError: as for ``check_windows``, or ``horizon`` is not a whole number from 1 to ``FARTHEST``.
    """
    return check_windows("lookback", lookback, minimum, maximum), check_horizon(horizon)


def check_windows(name: str, windows: Windows, minimum: int = 1, maximum: int | None = None) -> Tensor:
    """``windows`` as a tensor (B, N).

    A list, an array or a pandas object is converted; if it has one dimension, it is one window.

    Raises:
        ValueError: they are not (B, N) finite floats with B >= 1 and minimum <= N <= maximum.
    """
    windows = to_windows(name, windows)
    if windows.dtype not in _DTYPES:
        raise ValueError(f"{name} must be a floating-point tensor of shape (B, N), got {windows.dtype}")
    if not _is_dense(windows):
        raise ValueError(f"{name} must be a dense tensor that has values, got {_kind(windows)}")
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
    return windows


def check_horizon(horizon: int) -> int:
    """The horizon as an int; ``ValueError`` unless it is a whole number from 1 to ``FARTHEST``."""
    return check_whole("horizon", horizon, maximum=FARTHEST)


def check_network_lookback(network: nn.Module, lookback: Tensor, horizon: int, minimum: int = 1) -> int:
    """The horizon as an int, after checks of lookback and horizon, and of the network's dtype.

    Raises:
        ValueError: as for ``check_lookback``; or lookback and network are not both in single or both in double
            precision.
    """
    check_kind("lookback", lookback, Tensor, "a floating-point tensor of shape (B, N)")
    horizon, own = check_lookback(lookback, horizon, minimum)[1], next(network.parameters()).dtype
    if lookback.dtype != own or own not in (torch.float32, torch.float64):
        raise ValueError(
            f"expected network and lookback both in torch.float32 or both in torch.float64, got {own} and "
            f"{lookback.dtype}; network_forecaster(network) serves every dtype"
        )
    return horizon


def check_noise_std(noise_std: float | None) -> float | None:
    """``noise_std`` as a float, if it is a finite number of at least 0; None as it is."""
    if noise_std is not None and not (is_number(noise_std) and noise_std >= 0):
        raise ValueError(f"noise_std must be None or a number of at least 0, got {describe(noise_std)}")
    return None if noise_std is None else float(noise_std)
