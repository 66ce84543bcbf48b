"""``forecast``: the next samples of one series or many, with intervals and a continued index."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harmonics_lib.arguments import check_coverage, describe, is_number
from harmonics_lib.forecasters.base import LONGEST_WINDOW, check_horizon, cpu_threads
from harmonics_lib.series.ensemble import Ensemble, combine
from harmonics_lib.series.index import Axis
from harmonics_lib.series.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

_LONG = {"unique_id", "ds", "y"}  # columns of several series, one below the other
_SLOW = 3  # seconds, after which progress is shown


def forecast(
    series: pd.Series | pd.DataFrame | np.ndarray | Sequence[float],
    horizon: int,
    level: float | Sequence[float] | None = (80, 95),
    *,
    seasons: int | Sequence[int] | None = None,
    periods: Sequence[float] | None = None,
    coverage: float | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """The next samples of a series, or of several, with intervals.

    The forecast is an average of candidates: linear prediction and autoregression of the samples, of their
    changes and of their logarithms; lines with width; the last sample, the mean and the drift; the last season,
    its drift, its changes, and recurrences beside its profile. Each candidate forecasts the series itself
    from up to 40 earlier origins. The smaller its mean absolute error up to a step, the larger is its weight there.

    The intervals come from the errors of the average at those origins (conformal prediction), scaled by the recent
    mean absolute change. No forecast takes part in its own weights. Beyond the largest error, Student's t
    extends the tails. A longer horizon does not change the rows of a shorter one.

    Args:
        series: samples at equal distances, at least 3: a pandas Series, an array or a list. Up to half of the samples
            may be missing, as NaN or as gaps of the index; they are estimated, with a warning that counts.
            Business days may have holidays. Several series are a DataFrame with the columns ``unique_id``, ``ds``
            and ``y``, or one with a column for each series. Tables of other libraries that have ``to_pandas``, such
            as polars, are converted.
        horizon: number of samples to forecast, at most 10,000.
        level: nominal share of future samples inside an interval, in percent; one, several or None for no interval.
        seasons: lengths in samples of seasons to try, such as ``[24, 168]``, beside those of the index: a minute,
            an hour, a day, a week and a year. Without either, the autocorrelation suggests some.
        periods: periods in samples of sinusoids that the series may contain, such as those of the tides.
        coverage: deprecated: a share, such as 0.9, of one interval with the ends ``low`` and ``high``.
        n_jobs: processes for several series, as in joblib; None for joblib's setting.

    Returns:
        A row for each future sample with ``mean`` and, for each level, ``lo-80`` and ``hi-80``. The index
        continues that of the series: in time, in periods or in equal steps. Arrays, and labels of other kinds,
        continue as positions. A local time that a change of the clock skips is moved to the end of the gap; of a
        local time that occurs twice, the first is taken. Counts, and series of at least 0 that are 0 at times, have
        no forecast below 0. ``plot()`` draws the table after the series, and the spectrum below. ``attrs`` says how
        it was made: the weights of the candidates, the numbers of samples and origins, and the kind of the intervals.
        For several series: rows below each other with ``unique_id`` and ``ds``, or columns of two levels.

    Warns:
        UserWarning: samples are missing, there are less than 24, or all are equal; the dates decrease; or one of
            several series cannot be forecast: its rows are NaN.

    Raises:
        ValueError: the series is not one-dimensional, not of finite real numbers, too short, has
            more than half of its samples missing or an index of unequal steps; or another argument is out of range.

    Sources: Tashman (2000) for rolling origins; Bates and Granger (1969) for averages by earlier errors; Lei et
    al. (2018) for conformal prediction.

    Example:
        >>> series = np.sin(2 * np.pi * np.arange(60) / 12)
        >>> ahead = forecast(series, horizon=2, level=90)
        >>> ahead.index.tolist(), ahead.columns.tolist()
        ([60, 61], ['mean', 'lo-90', 'hi-90'])
    """
    import pandas as pd

    horizon = check_horizon(horizon)
    ends = _ends_of_levels(level) if coverage is None else _ends_of_coverage(coverage)
    given = _check_lengths("seasons", seasons), _check_lengths("periods", periods)
    if hasattr(series, "to_pandas"):  # of polars, pyarrow or xarray
        series = series.to_pandas()
    if isinstance(series, pd.DataFrame):
        return _forecast_several(series, n_jobs, (horizon, ends, *given))
    table, doubts = _forecast_one(series, horizon, ends, *given)
    for doubt in doubts:
        _warn(doubt)
    return table


def _warn(message: str, kind: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside of this package, which asked for a forecast."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("harmonics_lib.series"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level + 1)


def _ends_of_levels(level) -> dict[tuple[str, str], float]:
    """The shares of intervals, by the names of their ends, from levels in percent."""
    levels = [] if level is None else [level] if is_number(level) else level
    if isinstance(levels, str) or not isinstance(levels, Iterable) or not all(map(is_number, levels)):
        raise ValueError(f"level must be None, a percentage or several, such as (80, 95), got {describe(level)}")
    for value in levels:
        if not 1 <= value < 100:
            raise ValueError(f"level must be in percent, from 1 to less than 100, such as 90, got {describe(value)}")
    return {(f"lo-{value:.10g}", f"hi-{value:.10g}"): value / 100 for value in sorted({float(one) for one in levels})}


def _ends_of_coverage(coverage) -> dict[tuple[str, str], float]:
    """The share of one interval with the names of former versions."""
    share = check_coverage(coverage)
    _warn(f"coverage is deprecated; use level={100 * share:g} and its columns lo-{100 * share:g}", DeprecationWarning)
    return {("low", "high"): share}


def _check_lengths(name: str, lengths) -> list[float]:
    """Lengths of seasons or periods, each at least 2 samples."""
    lengths = [] if lengths is None else [lengths] if is_number(lengths) else lengths
    if isinstance(lengths, str) or not isinstance(lengths, Iterable):
        raise ValueError(f"{name} must be None or numbers of samples, such as [24, 168], got {describe(lengths)}")
    for length in (lengths := list(lengths)):
        whole = name == "periods" or (is_number(length) and float(length).is_integer())
        if not (whole and is_number(length) and 2 <= length <= LONGEST_WINDOW):
            kind = "numbers" if name == "periods" else "whole numbers"
            raise ValueError(f"{name} must be {kind} of samples from 2 to {LONGEST_WINDOW:,}, got {describe(length)}")
    return [float(length) if name == "periods" else int(length) for length in lengths]


def _forecast_one(series, horizon: int, ends, seasons: list, periods: list) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A ``Forecast`` of one series, and what makes it less certain."""
    from harmonics_lib.series.table import Forecast

    samples = Samples.of(series)
    ahead = samples.axis.ahead(horizon)
    with cpu_threads(1):
        ensemble = combine(samples, samples.skipped + horizon, seasons, periods)
    table = Forecast(_columns(samples, ensemble, ends), index=ahead)
    if not np.isfinite(table).all(axis=None):
        peak = samples.unit * np.abs(samples.values).max()
        raise ValueError(f"series must be in a unit in which its forecast is finite, got up to {peak:g}")
    errors = samples.unit * ensemble.expected_errors()[samples.skipped :]
    table.attrs = ensemble.description() | {"expected errors": [float(f"{error:.6g}") for error in errors]}
    table.attrs["places"] = int(samples.axis.positions[-1]) + 1
    table.history = samples.history
    return table, samples.doubts


def _columns(samples: Samples, ensemble: Ensemble, ends) -> dict[str, np.ndarray]:
    """The columns of a forecast, in the unit of the series and not below its floor."""
    columns = {"mean": ensemble.mean}
    for (low, high), share in ends.items():
        half = ensemble.half_widths(share)
        columns |= {low: ensemble.mean - half, high: ensemble.mean + half}
    floor = -math.inf if samples.floor is None else samples.floor
    return {name: samples.unit * np.maximum(column[samples.skipped :], floor) for name, column in columns.items()}


def _forecast_several(table: pd.DataFrame, n_jobs: int | None, settings: tuple) -> pd.DataFrame:
    """The forecasts of all series of a table; NaN, with a warning, for those that cannot be forecast."""
    import pandas as pd

    long = set(table.columns) >= _LONG
    named = dict(_split(table)) if long else dict(table.items())
    if not named:
        raise ValueError(f"series must be a table of at least one series, got shape {table.shape}")
    parts = {}
    for name, (part, messages) in zip(named, _in_parallel(named.values(), n_jobs, settings), strict=True):
        for message in messages:
            _warn(f"{name}: {message}")
        parts[name] = part
    return pd.concat(parts, names=["unique_id", "ds"]).reset_index() if long else pd.concat(parts, axis=1)


def _split(table: pd.DataFrame) -> Iterator[tuple[Any, pd.Series]]:
    """The series of a long table by name, in the order of their first rows and each in the order of time."""
    for name, rows in table.groupby("unique_id", sort=False):
        yield name, rows.set_index("ds")["y"].sort_index()


def _in_parallel(
    named: Collection, n_jobs: int | None, settings: tuple
) -> Iterable[tuple[pd.DataFrame, Sequence[str]]]:
    """The forecast of each series with its warnings, and a bar on stderr if that takes more than three seconds."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    work = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_attempt)(series, settings) for series in named)
    return tqdm(work, total=len(named), desc="series", delay=_SLOW)


def _attempt(series: pd.Series, settings: tuple) -> tuple[pd.DataFrame, Sequence[str]]:
    """A forecast without its history, or NaN in its place, and what to warn of."""
    import pandas as pd

    try:
        table, doubts = _forecast_one(series, *settings)
    except Exception as error:  # whatever it is, the other series are forecast
        return _missing_forecast(series, *settings[:2]), [f"its forecast is NaN, because {error}"]
    return pd.DataFrame(table.to_numpy(), table.index, table.columns), doubts


def _missing_forecast(series: pd.Series, horizon: int, ends) -> pd.DataFrame:
    """NaN for every step; the index continues if it can."""
    import pandas as pd

    try:
        ahead = Axis.of(series.index).ahead(horizon)
    except (ValueError, IndexError):
        ahead = pd.RangeIndex(len(series), len(series) + horizon)
    return pd.DataFrame(math.nan, index=ahead, columns=["mean", *(name for pair in ends for name in pair)])
