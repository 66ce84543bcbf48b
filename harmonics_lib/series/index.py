"""The index of a series: its positions on a grid of equal steps, its seasons, and how it continues.

Labels may have gaps: entries that are absent become missing samples. Trading days have holidays, which
are no samples at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_UNEVEN = 0.01  # of a step: largest deviation of labels from equal distances, for labels that were rounded
_HOLIDAYS = 0.1  # share of business days that may be holidays; if more are absent, they are missing
_STRETCHES = 200  # parts of an index whose frequency is inferred, if the whole has gaps
_DAY = 86_400  # seconds
_SPANS = (60, 3600, _DAY, 7 * _DAY, 365.25 * _DAY)  # of time that repeats, in seconds
_YEAR = {"W": 52, "M": 12, "Q": 4}  # samples a year of calendar frequencies, by the first letter of their names


class UnequalSteps(ValueError):
    """The labels of a series are not on a grid of equal steps that can be continued."""


@dataclass(frozen=True)
class Axis:
    """The index of a series on a grid of equal steps.

    Attributes:
        index: (n,) the labels of the samples.
        positions: (n,) their places on the grid, from 0; the places between them are missing samples.
        step: a frequency of dates or times, a number for other labels that continue, or None for those that
            continue as positions.
    """

    index: pd.Index
    positions: np.ndarray
    step: Any

    @classmethod
    def of(cls, index: pd.Index) -> Axis:
        """The axis of an index.

        Raises:
            UnequalSteps: dates, periods or numbers are in no order, repeat or are not on a grid.
        """
        import pandas as pd

        found: tuple[np.ndarray, Any] | None
        if isinstance(index, pd.PeriodIndex):
            found = _number_grid(index.asi8)
        elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
            found = _time_grid(index)
        elif pd.api.types.is_any_real_numeric_dtype(index):
            found = _number_grid(index.to_numpy())
        else:
            return cls(index, np.arange(len(index)), None)
        if found is None:
            raise _unequal(index)
        return cls(index, *found)

    @property
    def falling(self) -> bool:
        """Whether the labels are dates in falling order."""
        import pandas as pd

        return isinstance(self.index, (pd.DatetimeIndex, pd.PeriodIndex)) and self.index[-1] < self.index[0]

    def ahead(self, horizon: int) -> pd.Index:
        """The next ``horizon`` labels.

        Raises:
            UnequalSteps: they are beyond the range of their type.
        """
        import pandas as pd

        index, following = self.index, None
        if self.step is None:
            following = pd.RangeIndex(len(index), len(index) + horizon)
        elif isinstance(index, pd.PeriodIndex):
            ordinals = _next_numbers(index.asi8, self.positions, self.step, horizon)
            if ordinals is not None:
                following = pd.PeriodIndex.from_ordinals(ordinals, freq=index.freq)
        elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
            following = _next_times(index, self.step, horizon)
        else:
            following = _next_numbers(index.to_numpy(), self.positions, self.step, horizon)
        if following is None:
            raise _unequal(index)
        return pd.Index(following).rename(index.name)

    def seasons(self) -> list[int]:
        """Samples in a minute, an hour, a day, a week and a year, as far as the frequency says; at least 2."""
        import pandas as pd

        if isinstance(self.index, pd.PeriodIndex):
            return _seasons(self.index.freq, self.step)
        if isinstance(self.index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
            return _seasons(self.step, 1)
        return []


def _unequal(index: pd.Index) -> UnequalSteps:
    labels = f"{index[0]} to {index[-1]}" if len(index) else "nothing"
    return UnequalSteps(
        "series must have an index of equal steps that can be continued, from which samples may be missing (resample "
        f"the series or drop its index), got an index of {index.dtype} from {labels}"
    )


def _seasons(frequency, multiple: float) -> list[int]:
    """Samples in each span of time that repeats, for samples that are ``multiple`` frequencies apart."""
    import pandas as pd

    name = frequency.rule_code.split("-")[0]
    if isinstance(frequency, pd.offsets.BusinessDay):
        return [5]
    if isinstance(frequency, (pd.offsets.Day, pd.offsets.Tick)):
        days = isinstance(frequency, pd.offsets.Day)
        seconds = abs(multiple * (frequency.n * _DAY if days else pd.Timedelta(frequency).total_seconds()))
        lengths = [span / seconds for span in _SPANS] if seconds else []
    else:
        kind = name.lstrip("B")[:1]
        lengths = [_YEAR.get(kind, 0) / abs(multiple * frequency.n)]
    whole = [round(length) for length in lengths if length >= 1.5 and abs(length - round(length)) < 0.01 * length]
    return sorted({length for length in whole if length >= 2})


def _number_grid(labels: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Positions (n,) and the step of numbers on a grid, or None.

    Labels are on a grid if all are within 1 % of a step, or within their own rounding, of a straight line.
    """
    if labels.dtype.kind not in "iuf" or not np.isfinite(labels).all():
        return None
    if len(labels) == 1:
        return np.zeros(1, dtype=int), 1.0
    offsets = _offsets(labels)
    steps = np.diff(offsets)
    if (steps == steps[0]).all() and steps[0] != 0:
        return np.arange(len(labels)), steps[0]
    sign = np.sign(offsets[-1])
    step = sign * np.sort(sign * steps)[len(steps) // 20]  # the shortest ones, but for a few that are wrong
    if not np.isfinite(step) or sign * step <= 0:
        return None
    for _ in range(5):  # each estimate of the step reaches further along the labels
        positions = np.cumsum(np.r_[0, np.rint(steps / step)])
        if positions[-1] <= 0:
            return None
        step = offsets[-1] / positions[-1]
    off = np.abs(offsets - step * positions).max()
    rounding = np.finfo(labels.dtype).eps * np.abs(labels).max() if labels.dtype.kind == "f" else 0.0
    even = off <= max(_UNEVEN * abs(step), rounding) <= abs(step) / 4 and (np.diff(positions) >= 1).all()
    return (positions.astype(int), step) if even else None


def _offsets(labels: np.ndarray) -> np.ndarray:
    """Distances (n,) of the labels from the first, in double precision without overflow of whole numbers."""
    if labels.dtype.kind == "f":
        return labels.astype(float) - float(labels[0])
    first = int(labels[0])
    if labels.dtype.kind == "u" or abs(first) > 2**52:
        return np.array([int(label) - first for label in labels], dtype=float)
    return labels.astype(float) - first


def _next_numbers(labels: np.ndarray, positions: np.ndarray, step: float, horizon: int) -> pd.Index | None:
    """The next numbers, of the type of the labels, or None if they overflow it or do not differ."""
    import pandas as pd

    if labels.dtype.kind == "f":
        run = (labels[-1] + step * np.arange(horizon + 1)).astype(labels.dtype)
    else:
        widest = 2**64 if labels.dtype.kind == "u" and labels.max() > np.iinfo(np.int64).max else 2**63
        last = int(labels[-1])
        whole = [last + (round(step * ahead) if step % 1 else int(step) * ahead) for ahead in range(horizon + 1)]
        if max(whole) >= widest or min(whole) < -(2**63):
            return None
        run = np.array(whole, dtype=float if widest == 2**64 else np.int64)
    monotonic = run[1:] > run[:-1] if step > 0 else run[1:] < run[:-1]
    return pd.Index(run[1:]) if monotonic.all() and np.isfinite(run).all() else None


def _time_grid(index: pd.DatetimeIndex | pd.TimedeltaIndex) -> tuple[np.ndarray, Any] | None:
    """Positions (n,) and the frequency of dates or times on a grid, or None."""
    if index.hasnans or not (index.is_unique and (index.is_monotonic_increasing or index.is_monotonic_decreasing)):
        return None
    frequency = _frequency(index)
    if frequency is not None:
        return np.arange(len(index)), frequency
    zone = getattr(index, "tz", None)
    for clock in (index,) if zone is None else (index.tz_convert(None), index.tz_localize(None)):
        for frequency in _likely_frequencies(clock):
            positions = _positions(clock, frequency)
            if positions is not None:
                return positions, frequency
    return None


def _frequency(index: pd.DatetimeIndex | pd.TimedeltaIndex) -> Any:
    """The frequency of an index without gaps, or None."""
    import pandas as pd

    if index.freq is not None:
        return index.freq
    if len(index) < 3:
        return pd.tseries.frequencies.to_offset(index[1] - index[0]) if len(index) == 2 else pd.offsets.Day()
    try:
        return type(index)(index, freq="infer").freq
    except ValueError:  # a change of the clock in the index
        return None


def _likely_frequencies(index: pd.DatetimeIndex | pd.TimedeltaIndex) -> list:
    """Frequencies of stretches of an index with gaps, the most frequent first."""
    import pandas as pd

    named: Counter = Counter()
    for length in (10, 5, 3):
        starts = np.unique(np.linspace(0, len(index) - length, _STRETCHES).astype(int))
        named.update(_frequency(index[start : start + length]) for start in starts if start >= 0)
    named.pop(None, None)
    likely = [frequency for frequency, _ in named.most_common()]
    if isinstance(index, pd.DatetimeIndex) and (index.day_of_week < 5).all() and (index.normalize() == index).all():
        likely.insert(0, pd.offsets.BusinessDay())
    return likely


def _positions(index: pd.DatetimeIndex | pd.TimedeltaIndex, frequency) -> np.ndarray | None:
    """The places of times in the grid of a frequency, or None if they are not all in it.

    Business days of which a tenth at most is absent have holidays: their places follow one another.
    """
    import pandas as pd

    run = pd.date_range if isinstance(index, pd.DatetimeIndex) else pd.timedelta_range
    shortest = np.abs(np.diff(index.asi8)).min()
    if (index.asi8[-1] - index.asi8[0]) / shortest > 1000 * len(index):  # a grid that would fill the memory
        return None
    try:
        grid = run(index[0], index[-1], freq=frequency)
    except (OverflowError, ValueError):
        return None
    positions = grid.get_indexer(index)
    if (positions < 0).any():
        return None
    holidays = isinstance(frequency, pd.offsets.BusinessDay) and len(grid) - len(index) <= _HOLIDAYS * len(grid)
    return np.arange(len(index)) if holidays else positions


def _next_times(index: pd.DatetimeIndex | pd.TimedeltaIndex, frequency, horizon: int) -> pd.Index | None:
    """The next times, or None if they are out of range."""
    import pandas as pd

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
