"""``forecast``: the next samples of a plain series, with an interval and a continued index."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harmonics_lib.arguments import describe, join_values
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import ProbabilisticForecaster, central_interval, check_coverage, check_horizon
from harmonics_lib.forecasters.wrappers import conformal, least_count

if TYPE_CHECKING:
    import pandas as pd

_SHORTEST, _LONGEST = 24, 200  # samples of a window
_ORIGINS = 40  # earlier forecasts, whose errors calibrate the interval
_UNEVEN = 0.01  # of a step: largest deviation of labels from equal distances, for labels that were rounded


def forecast(series: pd.Series | np.ndarray | Sequence[float], horizon: int, coverage: float = 0.9) -> pd.DataFrame:
    """The next samples of an oscillating series, with an interval.

    ``auto_forecaster`` continues the last 200 samples, or all if there are fewer. Its model is sinusoids
    beside a level and a slope. The interval comes from split conformal prediction: 40 earlier
    forecasts of the same series (rolling origins), each from at least 24 samples, give errors in
    units of the predicted standard deviation. Two limits apply. In a series shorter than about 250
    samples the earlier forecasts use shorter windows than the last one, so the interval is too wide.
    If fewer than coverage / (1 - coverage) earlier forecasts are possible, the interval is that of the
    model's own distribution, which is too narrow.

    Args:
        series: samples at equal distances, at least 24: a pandas Series, an array or a list.
        horizon: number of samples to forecast.
        coverage: nominal share of future samples inside the interval.

    Returns:
        A row for each future sample with ``mean``, ``low`` and ``high``. The index continues that of the
        series: in time, in periods or in equal steps. Arrays, and labels of other kinds, continue as
        positions. A local time that a change of the clock skips is moved to the end of the gap; of a
        local time that occurs twice, the first is taken.

    Warns:
        UserWarning: the dates of the series decrease, so the forecast continues into the past.

    Raises:
        ValueError: the series is not one-dimensional, not numeric, too short or constant, has missing or infinite
            values or an index with gaps; or the horizon or the coverage is out of range.

    Source: Tashman (2000) for rolling origins; ``conformal`` for the interval.

    Example:
        >>> series = np.sin(2 * np.pi * np.arange(60) / 12)
        >>> forecast(series, horizon=2).index.tolist()
        [60, 61]
    """
    import pandas as pd

    horizon, coverage = check_horizon(horizon), check_coverage(coverage)
    values, index = _read(series)
    ahead = _continue_index(index, horizon)
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) and index[-1] < index[0]:
        warnings.warn("the dates of series decrease, so its forecast continues into the past; reverse it", stacklevel=2)
    unit = _unit(values)
    columns = _mean_and_interval(torch.from_numpy(values / unit), horizon, coverage, auto_forecaster())
    table = unit * pd.DataFrame(dict(zip(("mean", "low", "high"), columns, strict=True)), index=ahead)
    if not np.isfinite(table).all(axis=None):
        raise ValueError(f"series must be in a unit in which its forecast is finite, got up to {np.max(values):g}")
    return table


def _unit(values: np.ndarray) -> float:
    """1, or a power of two near the peak of values (N,) if their squares would overflow or underflow."""
    peak = np.abs(values).max()
    return 1.0 if 1e-100 < peak < 1e100 else 2.0 ** min(math.frexp(peak)[1], 1023)


def _mean_and_interval(
    past: Tensor, horizon: int, coverage: float, method: ProbabilisticForecaster
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The (horizon,) forecasts after the samples ``past`` (N,), and the lower and upper ends of their intervals."""
    window = past[None, -_LONGEST:]
    prediction = method.distribution(window, horizon)
    earlier, later = _rolling_origins(past, horizon)
    if len(earlier) >= least_count(coverage):
        ends = conformal(method, earlier, later)(window, horizon, coverage)
    else:
        ends = central_interval(prediction.observed, coverage)
    mean, low, high = (part[0].numpy() for part in (prediction.mean, *ends))
    return mean, low, high


def _rolling_origins(past: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Earlier windows (n, W) of a series (N,) and their continuations (n, horizon); n is at most 40.

    The windows are as long as the last one, if that leaves enough of them. Their continuations do not
    overlap if the series is long enough; otherwise the origins are spread over all of it.
    """
    length = min(_LONGEST, max(_SHORTEST, len(past) - horizon - _ORIGINS + 1))
    if len(past) < length + horizon:
        return past.new_zeros(0, length), past.new_zeros(0, horizon)
    windows = past.unfold(0, length + horizon, 1)
    first = max(0, len(windows) - 1 - (_ORIGINS - 1) * horizon)
    chosen = torch.linspace(first, len(windows) - 1, min(_ORIGINS, len(windows) - first)).round().long()
    return windows[chosen, :length], windows[chosen, length:]


def _check_dimension(series) -> np.ndarray | Sequence:
    """An array or sequence, if it has one dimension and no fields."""
    try:
        if isinstance(series, Tensor):
            series = (series.double() if series.is_floating_point() else series).numpy(force=True)
        array = np.asarray(series)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, a tensor without values
        raise ValueError(f"series must have one dimension and values, got {describe(series)}") from error
    if array.ndim != 1:
        raise ValueError(f"series must have one dimension, got {type(series).__name__} of shape {array.shape}")
    if array.dtype.names:
        raise ValueError(f"series must hold real numbers, got records with the fields {join_values(array.dtype.names)}")
    return series


def _read(series) -> tuple[np.ndarray, pd.Index]:
    """(N,) samples in double precision, and their index: positions from 0 for anything but a Series."""
    import pandas as pd

    series = series if isinstance(series, pd.Series) else pd.Series(_check_dimension(series))
    if len(series) < _SHORTEST:
        raise ValueError(f"series must have at least {_SHORTEST} samples, got {len(series)}")
    series = series.infer_objects()  # numbers in a column of objects
    if not pd.api.types.is_any_real_numeric_dtype(series):
        raise ValueError(f"series must hold real numbers, got values of dtype {series.dtype}")
    values = series.to_numpy(dtype=float, na_value=math.nan, copy=True)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"series must have no missing or infinite values, got {len(wrong)}, the first at position {wrong[0]}"
        )
    if values.min() == values.max():
        raise ValueError(f"series must vary, got {len(values)} samples that are all {values[0]:g}")
    return values, series.index


def _continue_index(index: pd.Index, horizon: int) -> pd.Index:
    """The next ``horizon`` entries of an index."""
    import pandas as pd

    if isinstance(index, pd.PeriodIndex):
        following = _continue_periods(index, horizon)
    elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        following = _continue_time(index, horizon)
    elif pd.api.types.is_any_real_numeric_dtype(index):
        following = _continue_numbers(index.to_numpy(), horizon)
    else:
        following = pd.RangeIndex(len(index), len(index) + horizon)
    if following is None:
        raise ValueError(
            "series must have an index of equal steps without gaps that can be continued (resample the series or drop "
            f"its index), got an index of {index.dtype} from {index[0]} to {index[-1]}"
        )
    return following.rename(index.name)


def _continue_numbers(labels: np.ndarray, horizon: int) -> pd.Index | None:
    """The next numbers, or None if the steps are unequal or the next numbers overflow their type.

    Steps are equal if all labels are within 1 % of a step, or within their own rounding, of a straight line.
    """
    import pandas as pd

    if labels.dtype.kind in "iu":  # a signed type, for decreasing labels
        labels = labels.astype(float if labels.max() > np.iinfo(np.int64).max else np.int64)
    elif labels.dtype.kind != "f" or not np.isfinite(labels).all():
        return None
    steps, offsets = np.diff(labels), (labels - labels[0]).astype(float)
    step, even = steps[0], (steps == steps[0]).all()
    if not even:
        step = offsets[-1] / (len(labels) - 1)
        off = np.abs(offsets - step * np.arange(len(labels))).max()
        rounding = np.finfo(labels.dtype).eps * np.abs(labels).max() if labels.dtype.kind == "f" else 0.0
        if not off <= max(_UNEVEN * abs(step), rounding) <= abs(step) / 4:
            return None
    ahead = step * np.arange(horizon + 1)
    run = labels[-1] + (ahead if even or labels.dtype.kind == "f" else np.rint(ahead).astype(labels.dtype))
    run = run.astype(labels.dtype)
    monotonic = run[1:] > run[:-1] if step > 0 else run[1:] < run[:-1]  # not so if integers overflow
    return pd.Index(run[1:]) if monotonic.all() and np.isfinite(run).all() else None


def _continue_periods(index: pd.PeriodIndex, horizon: int) -> pd.PeriodIndex | None:
    """The next periods, or None if the steps are unequal or the next periods are out of range."""
    import pandas as pd

    ordinals = _continue_numbers(index.asi8, horizon) if len(np.unique(np.diff(index.asi8))) == 1 else None
    return None if ordinals is None else pd.PeriodIndex.from_ordinals(ordinals, freq=index.freq)


def _continue_time(index: pd.DatetimeIndex | pd.TimedeltaIndex, horizon: int) -> pd.Index | None:
    """The next times, or None if the index has no frequency or the next times are out of range."""
    import pandas as pd

    try:
        frequency = type(index)(index, freq=index.freq or "infer").freq
    except ValueError:  # times out of order
        return None
    if frequency is None:
        return None
    run = pd.date_range if isinstance(index, pd.DatetimeIndex) else pd.timedelta_range
    last, zone, count = index[-1], getattr(index, "tz", None), horizon + 1
    calendar = isinstance(frequency, pd.offsets.Day) or not isinstance(frequency, pd.offsets.Tick)
    try:
        if zone is not None and calendar:
            clock = run(last.tz_localize(None), periods=count, freq=frequency)[1:]
            if clock.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").hasnans:
                first = np.ones(horizon, dtype=bool)
                return clock.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").as_unit(index.unit)
        return run(last, periods=count, freq=frequency)[1:].as_unit(index.unit)
    except (OverflowError, ValueError):  # out of range
        return None
