"""Whether a forecaster is one: what all who call it rely on, tried out on windows that are easy to get wrong."""

import math
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from harmonics_lib.arguments import check_flag, check_function, check_whole
from harmonics_lib.forecasters.base import Forecaster, ProbabilisticForecaster, UnstableForecast, check_horizon
from harmonics_lib.signals.process import HarmonicProcess, random_stream

_UNITS = (1e-12, 1e-3, 1e3, 1e12)
_NEAR = 1e-6  # of the window's peak: what unit and size of a batch may change, by rounding that grows
_ROUNDING = 1e-9  # what a second call may change: LAPACK's answers depend on where in memory a matrix lies


class ForecasterError(AssertionError):
    """A forecaster does not keep what callers rely on; the message says what, a line each."""


def check_forecaster(forecaster: Forecaster, length: int = 100, horizon: int = 10, any_unit: bool = True) -> None:
    """Try out what is asked of every forecaster, in the spirit of scikit-learn's ``check_estimator``.

    Shape, dtype and device are those of the lookback, which is left as it was. A window's forecast
    depends neither on the others nor on their order nor on chance, follows the unit of the window,
    and is finite for windows of noise, of one value, of nothing. Bad input is refused with a
    ``ValueError`` or a ``TypeError``. If there is a ``distribution``, its mean is the forecast.

    Args:
        forecaster: a function of lookback (B, N) and horizon that gives (B, horizon).
        length: N, samples of the windows that it is tried on.
        horizon: samples to forecast.
        any_unit: whether the forecast of c times a window has to be c times that of the window, from 1e-12 to 1e12.

    Raises:
        ForecasterError: what it does not keep.
        ValueError: what is no function, a length or a horizon that is no whole number.
    """
    check_function("forecaster", forecaster)
    length, horizon = check_whole("length", length, maximum=10_000), check_horizon(horizon)
    any_unit = check_flag("any_unit", any_unit)
    windows = HarmonicProcess((1, 10), noise_std=0.1).sample(
        5, length, length, generator=random_stream(0, "check_forecaster"), dtype=torch.float64
    )
    checks = [_shape_dtype_and_device, _input_untouched, _windows_alone, _no_chance, _finite, _errors, _distribution]
    wrong: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)
        for check in [*checks, _unit] if any_unit else checks:
            try:
                wrong += check(forecaster, windows.past.clone(), horizon)
            except Exception as error:
                wrong.append(f"{check.__name__.strip('_').replace('_', ' ')}: {type(error).__name__}: {error}")
    if wrong:
        raise ForecasterError("this is no forecaster yet:\n" + "\n".join(f"* {line}" for line in wrong))


def _shape_dtype_and_device(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        for dtype in (torch.float64, torch.float32):
            for steps in (1, horizon):
                ahead = forecaster(windows.to(device, dtype), steps)
                if not isinstance(ahead, Tensor) or ahead.shape != (len(windows), steps):
                    got = tuple(ahead.shape) if isinstance(ahead, Tensor) else type(ahead).__name__
                    yield f"expected a tensor of shape {(len(windows), steps)}, got {got}"
                elif (ahead.dtype, ahead.device.type) != (dtype, device):
                    yield f"expected {dtype} on {device} as the lookback is, got {ahead.dtype} on {ahead.device.type}"
                elif ahead.requires_grad:
                    yield "expected a forecast without a gradient"


def _input_untouched(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    given = windows.clone()
    forecaster(given, horizon)
    if not torch.equal(given, windows):
        yield "expected the lookback to be left as it was, it was changed"


def _windows_alone(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    together = forecaster(windows, horizon)
    alone = torch.cat([forecaster(window[None], horizon) for window in windows])
    if _far(alone, together, windows):
        yield f"a window alone has another forecast than among others (by {_gap(alone, together, windows):.1g} peaks)"
    turned = forecaster(windows.flip(0), horizon).flip(0)
    if _far(turned, together, windows):
        yield f"the order of the windows changes forecasts (by {_gap(turned, together, windows):.1g} peaks)"


def _no_chance(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    first = forecaster(windows, horizon)
    torch.rand(1)  # whoever draws from the global stream now draws something else
    if not _gap(first, forecaster(windows, horizon), windows) <= _ROUNDING:
        yield "expected the same forecast of the same windows, it changes from call to call"


def _unit(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    plain = forecaster(windows, horizon)
    for unit in _UNITS:
        scaled = forecaster(unit * windows, horizon) / unit
        if _far(scaled, plain, windows):
            yield f"windows {unit:g} times as large have other forecasts (by {_gap(scaled, plain, windows):.1g} peaks)"


def _finite(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    length = windows.shape[1]
    time = torch.arange(length).to(windows)
    odd = {
        "nothing but zeros": torch.zeros_like(windows),
        "one value": torch.ones_like(windows),
        "a line": time.expand_as(windows) / length,
        "an impulse": torch.eye(length).to(windows)[[0, length // 2, length - 1]],
        "a tone at the highest frequency": torch.cos(math.pi * time)[None],
        "a tone of a single cycle": torch.sin(2 * math.pi * time / length)[None],
        "white noise": torch.randn(3, length, generator=torch.Generator().manual_seed(0)).to(windows),
    }
    for name, lookback in odd.items():
        if not torch.isfinite(forecaster(lookback, horizon)).all():
            yield f"expected finite forecasts, got NaN or infinity for windows of {name}"


def _errors(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    missing = windows.clone()
    missing[0, 0] = math.nan
    bad = {
        "a window without a batch (N,)": (windows[0], horizon),
        "no windows (0, N)": (windows[:0], horizon),
        "windows of no samples (B, 0)": (windows[:, :0], horizon),
        "whole numbers": (windows.round().long(), horizon),
        "a list": (windows.tolist(), horizon),
        "a missing value": (missing, horizon),
        "an infinite value": (missing.nan_to_num(math.inf), horizon),
        "a horizon of 0": (windows, 0),
        "a horizon of -1": (windows, -1),
        "a horizon of 2.5": (windows, 2.5),
        "a horizon that is text": (windows, "5"),
    }
    for name, arguments in bad.items():
        if fault := _answer_to(forecaster, arguments):
            yield f"expected a ValueError or a TypeError for {name}, got {fault}"


def _answer_to(forecaster: Forecaster, arguments: tuple) -> str | None:
    """What a forecaster does with bad input instead of refusing it, or None."""
    try:
        forecaster(*arguments)
    except (ValueError, TypeError) as error:
        return None if str(error) else f"a {type(error).__name__} that says nothing"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "a forecast"


def _distribution(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    if not isinstance(forecaster, ProbabilisticForecaster):
        return
    prediction = forecaster.distribution(windows, horizon)
    if _far(prediction.mean, forecaster(windows, horizon), windows):
        yield "expected the forecast to be the mean of the distribution"
    if not (prediction.std > 0).all() or not (prediction.noise_std >= 0).all():
        yield "expected standard deviations above 0, and of the noise of at least 0"


def _gap(one: Tensor, other: Tensor, windows: Tensor) -> float:
    """The largest difference of forecasts, in peaks of their windows."""
    return float(((one - other).abs() / windows.abs().amax(dim=1, keepdim=True)).max())


def _far(one: Tensor, other: Tensor, windows: Tensor) -> bool:
    """Whether forecasts differ by more than rounding, or are not numbers."""
    return not _gap(one, other, windows) <= _NEAR
