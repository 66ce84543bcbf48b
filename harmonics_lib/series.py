"""A forecast of a plain series: a window chosen, an interval learned, an index that goes on."""

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
_ORIGINS = 40  # of earlier forecasts, from whose errors an interval is learned
_UNEVEN = 0.01  # of a step, by which labels may be off equal distances, as rounded ones are


def forecast(series: pd.Series | np.ndarray | Sequence[float], horizon: int, coverage: float = 0.9) -> pd.DataFrame:
    """The next samples of a series that oscillates, with an interval.

    The last 200 samples, or all if there are fewer, are the window, and ``auto_forecaster``, which
    knows a level and a slope beside sinusoids, continues it. The interval is learned from the
    errors of 40 earlier forecasts of the series itself (rolling origins, Tashman 2000), made from at
    least 24 samples each, by split conformal prediction, scaled by the standard deviation that was
    predicted. In a series shorter than 250 samples or so they see less than the last one does, so
    that the interval is rather too wide. Where fewer than coverage / (1 - coverage) of them can be
    made, it is the model's own, which is too narrow.

    Args:
        series: samples at equal distances, at least 24: a pandas Series, an array or a list.
        horizon: number of samples to forecast.
        coverage: share of the samples to be observed that the interval is meant to hold.

    Returns:
        A row for each sample to come with ``mean``, ``low`` and ``high``. The index goes on where that of the series
        ends: in time, in periods or in equal steps; labels of other kinds, and arrays, go on as positions. A local
        time that a change of the clock skips is moved to the end of the gap, one that comes twice is the first.

    Warns:
        UserWarning: the dates of the series fall, so that the forecast goes on into the past.

    Raises:
        ValueError: a series that is not of one dimension, not of numbers, too short, constant, that has missing or
            infinite values, or whose index leaves gaps; a horizon or a coverage out of range.
    """
    import pandas as pd

    horizon, coverage = check_horizon(horizon), check_coverage(coverage)
    values, index = _read(series)
    ahead = _continue_index(index, horizon)
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) and index[-1] < index[0]:
        warnings.warn("the dates of series fall, so its forecast goes on into the past; reverse it", stacklevel=2)
    unit = _unit(values)
    columns = _mean_and_interval(torch.from_numpy(values / unit), horizon, coverage, auto_forecaster())
    table = unit * pd.DataFrame(dict(zip(("mean", "low", "high"), columns, strict=True)), index=ahead)
    if not np.isfinite(table).all(axis=None):
        raise ValueError(f"series must be in a unit in which its forecast is a number, got up to {np.max(values):g}")
    return table


def _unit(values: np.ndarray) -> float:
    """1, or a power of two near the peak of (N,) numbers whose squares would leave the range of numbers."""
    peak = np.abs(values).max()
    return 1.0 if 1e-100 < peak < 1e100 else 2.0 ** min(math.frexp(peak)[1], 1023)


def _mean_and_interval(
    past: Tensor, horizon: int, coverage: float, method: ProbabilisticForecaster
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(horizon,) forecasts and the lower and upper ends around them, after all samples (N,) of a series."""
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
    """(n, W) earlier windows of a series (N,), and (n, horizon) how each went on; n is 40, fewer if it is too short.

    The windows are as long as the last one, if that leaves enough of them. Their futures are
    apart, if the series is long enough, else spread over all of it.
    """
    length = min(_LONGEST, max(_SHORTEST, len(past) - horizon - _ORIGINS + 1))
    if len(past) < length + horizon:
        return past.new_zeros(0, length), past.new_zeros(0, horizon)
    windows = past.unfold(0, length + horizon, 1)
    first = max(0, len(windows) - 1 - (_ORIGINS - 1) * horizon)
    chosen = torch.linspace(first, len(windows) - 1, min(_ORIGINS, len(windows) - first)).round().long()
    return windows[chosen, :length], windows[chosen, length:]


def _one_dimension(series) -> np.ndarray | Sequence:
    """A series that is no pandas one, if it has one dimension and no fields."""
    try:
        if isinstance(series, Tensor):
            series = (series.double() if series.is_floating_point() else series).numpy(force=True)
        array = np.asarray(series)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of several lengths, a tensor without values
        raise ValueError(f"series must have one dimension and values, got {describe(series)}") from error
    if array.ndim != 1:
        raise ValueError(f"series must have one dimension, got {type(series).__name__} of shape {array.shape}")
    if array.dtype.names:
        raise ValueError(f"series must hold real numbers, got records with the fields {join_values(array.dtype.names)}")
    return series


def _read(series) -> tuple[np.ndarray, pd.Index]:
    """(N,) samples in double precision and their index; anything but a Series is numbered from 0."""
    import pandas as pd

    series = series if isinstance(series, pd.Series) else pd.Series(_one_dimension(series))
    if len(series) < _SHORTEST:
        raise ValueError(f"series must have at least {_SHORTEST} samples, got {len(series)}")
    series = series.infer_objects()  # numbers that a column of objects holds
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
            "series must have an index of equal steps, without gaps, that can go on (resample it, or drop the index), "
            f"got one of {index.dtype} from {index[0]} to {index[-1]}"
        )
    return following.rename(index.name)


def _continue_numbers(labels: np.ndarray, horizon: int) -> pd.Index | None:
    """The next numbers, or None where their steps are not equal or they would leave the range of their type.

    Equal means: all labels lie within 1 % of a step, or within their own rounding, of a straight line.
    """
    import pandas as pd

    if labels.dtype.kind in "iu":  # in a type that has room for a step, and for a falling one
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
    goes_on = run[1:] > run[:-1] if step > 0 else run[1:] < run[:-1]  # whole numbers turn round at their end
    return pd.Index(run[1:]) if goes_on.all() and np.isfinite(run).all() else None


def _continue_periods(index: pd.PeriodIndex, horizon: int) -> pd.PeriodIndex | None:
    """The next periods, or None where their steps are not equal or they would go beyond those that there are."""
    import pandas as pd

    ordinals = _continue_numbers(index.asi8, horizon) if len(np.unique(np.diff(index.asi8))) == 1 else None
    return None if ordinals is None else pd.PeriodIndex.from_ordinals(ordinals, freq=index.freq)


def _continue_time(index: pd.DatetimeIndex | pd.TimedeltaIndex, horizon: int) -> pd.Index | None:
    """The next times, or None where no frequency is to be found."""
    import pandas as pd

    try:
        frequency = type(index)(index, freq=index.freq or "infer").freq
    except ValueError:  # times that are not in order
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
    except (OverflowError, ValueError):  # beyond the times that there are
        return None
