"""``check_forecaster``: tests that any forecaster should pass, on windows that are easy to get wrong."""

import math
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from harmonics_lib.adapters import host_of, model_forecaster
from harmonics_lib.arguments import check_flag, check_function, check_whole
from harmonics_lib.forecasters.base import Forecaster, ProbabilisticForecaster, UnstableForecast, check_horizon
from harmonics_lib.signals.process import HarmonicProcess, random_stream

_UNITS = (1e-12, 1e-3, 1e3, 1e12)
_TOLERANCE = 1e-6  # of the window's peak: amplified rounding, when the unit or the batch changes
_ROUNDING = 1e-9  # between two calls: results of LAPACK depend on the memory alignment of a matrix


class ForecasterError(AssertionError):
    """A forecaster violates its contract; the message has a line for each violation."""


def check_forecaster(forecaster: Forecaster, length: int = 100, horizon: int = 10, any_unit: bool = True) -> None:
    """Test the contract of a forecaster, as scikit-learn's ``check_estimator`` does for an estimator.

    The forecast has the shape, dtype and device that the lookback implies, and the lookback is not
    changed. The forecast of a window does not depend on the other windows, on their order or on
    chance. It scales with the unit of the window. It is finite for windows of noise, of a constant
    and of zeros. Invalid input raises a ``ValueError`` or a ``TypeError``. If there is a
    ``distribution``, its mean is the forecast.

    Args:
        forecaster: a function of lookback (B, N) and horizon that returns (B, horizon); or a model of sktime,
            statsforecast, darts or scikit-learn.
        length: N, samples of the test windows.
        horizon: samples to forecast.
        any_unit: also test that the forecast of c times a window is c times its forecast, from 1e-12 to 1e12.

    Raises:
        ForecasterError: the forecaster violates its contract.
        ValueError: the forecaster is not a function, or the length or the horizon is not a whole number.

    Example:
        >>> from harmonics_lib import persistence
        >>> check_forecaster(persistence())
    """
    forecaster = model_forecaster(forecaster) if host_of(forecaster) else check_function("forecaster", forecaster)
    length, horizon = check_whole("length", length, maximum=10_000), check_horizon(horizon)
    any_unit = check_flag("any_unit", any_unit)
    windows = HarmonicProcess((1, 10), noise_std=0.1).sample(
        5, length, length, generator=random_stream(0, "check_forecaster"), dtype=torch.float64
    )
    checks = [
        _shape_dtype_and_device,
        _unchanged_input,
        _independent_windows,
        _same_answer_twice,
        _finite_forecasts,
        _refusals,
        _distribution,
    ]
    wrong: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)
        for check in [*checks, _scaling] if any_unit else checks:
            try:
                wrong += check(forecaster, windows.past.clone(), horizon)
            except Exception as error:
                wrong.append(f"{check.__name__.strip('_').replace('_', ' ')}: {type(error).__name__}: {error}")
    if wrong:
        raise ForecasterError("the forecaster violates its contract:\n" + "\n".join(f"* {line}" for line in wrong))


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


def _unchanged_input(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    given = windows.clone()
    forecaster(given, horizon)
    if not torch.equal(given, windows):
        yield "expected the lookback to stay unchanged, but the forecaster changed it"


def _independent_windows(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    together = forecaster(windows, horizon)
    alone = torch.cat([forecaster(window[None], horizon) for window in windows])
    if _differ(alone, together, windows):
        yield (
            "expected forecasts that do not depend on the other windows, "
            f"got a difference of {_distance(alone, together, windows):.1g} peaks"
        )
    reverse = forecaster(windows.flip(0), horizon).flip(0)
    if _differ(reverse, together, windows):
        yield (
            "expected forecasts that do not depend on the order of the windows, "
            f"got a difference of {_distance(reverse, together, windows):.1g} peaks"
        )


def _same_answer_twice(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    first = forecaster(windows, horizon)
    torch.rand(1)  # advances the global random stream
    if not _distance(first, forecaster(windows, horizon), windows) <= _ROUNDING:
        yield "expected the same forecast of the same windows, but it changes from call to call"


def _scaling(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    plain = forecaster(windows, horizon)
    for unit in _UNITS:
        scaled = forecaster(unit * windows, horizon) / unit
        if _differ(scaled, plain, windows):
            yield (
                f"expected forecasts {unit:g} times as large for windows {unit:g} times as large, "
                f"got a difference of {_distance(scaled, plain, windows):.1g} peaks"
            )


def _finite_forecasts(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    length = windows.shape[1]
    time = torch.arange(length).to(windows)
    lookbacks = {
        "zeros": torch.zeros_like(windows),
        "a constant": torch.ones_like(windows),
        "a line": time.expand_as(windows) / length,
        "an impulse": torch.eye(length).to(windows)[[0, length // 2, length - 1]],
        "a tone at the highest frequency": torch.cos(math.pi * time)[None],
        "a tone of a single cycle": torch.sin(2 * math.pi * time / length)[None],
        "white noise": torch.randn(3, length, generator=torch.Generator().manual_seed(0)).to(windows),
    }
    for name, lookback in lookbacks.items():
        if not torch.isfinite(forecaster(lookback, horizon)).all():
            yield f"expected finite forecasts, got NaN or infinity for windows of {name}"


def _refusals(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    missing = windows.clone()
    missing[0, 0] = math.nan
    bad = {
        "a window without a batch (N,)": (windows[0], horizon),
        "no windows (0, N)": (windows[:0], horizon),
        "windows of no samples (B, 0)": (windows[:, :0], horizon),
        "whole numbers": (windows.round().long(), horizon),
        "a missing value": (missing, horizon),
        "an infinite value": (missing.nan_to_num(math.inf), horizon),
        "a horizon of 0": (windows, 0),
        "a horizon of -1": (windows, -1),
        "a horizon of 2.5": (windows, 2.5),
        "a horizon that is text": (windows, "5"),
    }
    for name, arguments in bad.items():
        if fault := _accept(forecaster, arguments):
            yield f"expected a ValueError or a TypeError for {name}, got {fault}"


def _accept(forecaster: Forecaster, arguments: tuple) -> str | None:
    """None if a forecaster refuses invalid arguments, else a description of what it did instead."""
    try:
        forecaster(*arguments)
    except (ValueError, TypeError) as error:
        return None if str(error) else f"a {type(error).__name__} without a message"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "a forecast"


def _distribution(forecaster: Forecaster, windows: Tensor, horizon: int) -> Iterator[str]:
    if not isinstance(forecaster, ProbabilisticForecaster):
        return
    prediction = forecaster.distribution(windows, horizon)
    if _differ(prediction.mean, forecaster(windows, horizon), windows):
        yield "expected the forecast to be the mean of the distribution"
    if not (prediction.std > 0).all() or not (prediction.noise_std >= 0).all():
        yield "expected standard deviations above 0, and of the noise of at least 0"


def _distance(one: Tensor, other: Tensor, windows: Tensor) -> float:
    """The largest difference of forecasts, in peaks of their windows."""
    return float(((one - other).abs() / windows.abs().amax(dim=1, keepdim=True)).max())


def _differ(one: Tensor, other: Tensor, windows: Tensor) -> bool:
    """Whether forecasts differ by more than rounding, or are NaN."""
    return not _distance(one, other, windows) <= _TOLERANCE
