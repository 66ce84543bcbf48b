"""Measured series, their rolling-origin windows, and errors relative to the variance of each window."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harmonics_lib.arguments import check_choice, check_whole
from harmonics_lib.checksums import read_verified
from harmonics_lib.forecasters.base import ForecastFunction, ask, check_forecaster_function, check_windows
from harmonics_lib.paths import data_dir

if TYPE_CHECKING:
    import pandas as pd

_MOST_WINDOWS = 50  # of each series
_LONGEST = 10_000  # samples: more than any series has


@dataclass(frozen=True)
class MeasuredSeries:
    """A measured series: its description and its seasons, fixed before any error was computed.

    Attributes:
        title: the measured quantity.
        unit: of the values.
        step: time between samples.
        season: period in samples of the seasonal naive forecast, from the cause of the oscillation.
        long: samples of a longer lookback, which contains the longest period several times.
        long_season: period in samples of the seasonal naive forecast from the longer lookback.
    """

    title: str
    unit: str
    step: str
    season: int
    long: int
    long_season: int


#: The series of ``data/`` by name; ``data/README.md`` has sources and licences.
MEASURED = {
    "guitar": MeasuredSeries("guitar chord", "full scale", "1/5512.5 s", 67, 400, 67),  # lowest string, 82.4 Hz
    "polar_motion": MeasuredSeries("polar motion", "seconds of arc", "30 days", 14, 300, 14),  # Chandler wobble
    "carbon_dioxide": MeasuredSeries("carbon dioxide", "parts per million", "28 days", 13, 300, 13),  # the year
    "electricity": MeasuredSeries("electricity", "kW", "1 hour", 24, 504, 168),  # the day; the week
    "sunspots": MeasuredSeries("sunspots", "yearly mean", "1 year", 11, 200, 11),  # the mean cycle
    "oil": MeasuredSeries("oil price", "dollars a barrel", "1 trading day", 1, 400, 1),  # nothing repeats
}


def load_measured(name: str) -> pd.Series:
    """A measured series with its ``time`` as the index.

    Args:
        name: one of ``MEASURED``.

    Raises:
        ValueError: the name is unknown, or the file is damaged.

    Example:
        >>> load_measured("sunspots").index.name
        'time'
    """
    import pandas as pd

    check_choice("name", name, MEASURED)
    content = read_verified(data_dir(), data_dir() / f"{name}.csv")
    table = pd.read_csv(io.BytesIO(content))
    dated = table["time"].dtype == object or pd.api.types.is_string_dtype(table["time"])
    return table.assign(time=pd.to_datetime(table["time"]) if dated else table["time"]).set_index("time")["value"]


def measured_windows(name: str, lookback: int = 100, horizon: int = 24) -> tuple[Tensor, Tensor]:
    """Windows (B, lookback) of a series and their continuations (B, horizon), at evenly spaced rolling origins.

    B is 50, or less if the series is too short. The first origin is the earliest that the longer
    lookback of the series allows, so that windows of both lengths have the same continuations.

    Raises:
        ValueError: the name is unknown, or lookback and horizon do not fit the series.

    Source: Tashman (2000) for rolling origins.

    Example:
        >>> lookback, future = measured_windows("sunspots", lookback=100, horizon=24)
        >>> lookback.shape, future.shape
        (torch.Size([50, 100]), torch.Size([50, 24]))
    """
    lookback = check_whole("lookback", lookback, maximum=_LONGEST)
    horizon = check_whole("horizon", horizon, maximum=_LONGEST)
    values = torch.from_numpy(load_measured(name).to_numpy(dtype=float, copy=True))
    first, last = max(lookback, MEASURED[name].long), len(values) - horizon
    if first > last:
        raise ValueError(
            f"lookback and horizon must fit the {len(values)} samples of {name}, got {lookback} + {horizon}"
        )
    origins = torch.linspace(first, last, min(_MOST_WINDOWS, last - first + 1), dtype=torch.float64).round().long()
    segments = values.unfold(0, lookback + horizon, 1)[origins - lookback]
    return segments[:, :lookback], segments[:, lookback:]


def relative_errors(forecaster: ForecastFunction, lookback: Tensor, future: Tensor) -> Tensor:
    """Squared errors, relative to the variance of each window.

    The mean of each window is subtracted before the forecast and added again afterwards. On a
    stationary series, the expected relative error of the window's mean is 1.

    Args:
        lookback: (B, N) windows.
        future: (B, H) their continuations.

    Returns:
        (B, H).

    Raises:
        ValueError: the forecaster is not one; the windows are not (B, N) and (B, H), not finite, or constant; the
            forecast has another shape or is not finite.

    Example:
        >>> windows = measured_windows("sunspots", horizon=2)
        >>> relative_errors(lambda lookback, horizon: lookback[:, -horizon:], *windows).shape
        torch.Size([50, 2])
    """
    check_forecaster_function("forecaster", forecaster)
    lookback, future = check_windows("lookback", lookback), check_windows("future", future)
    if len(lookback) != len(future):
        raise ValueError(f"lookback and future must have as many windows, got {len(lookback)} and {len(future)}")
    level, variance = lookback.mean(dim=1, keepdim=True), lookback.var(dim=1, keepdim=True, correction=0)
    if not (variance > 0).all():
        raise ValueError(f"lookback must vary in every window, got {int((variance == 0).sum())} constant windows")
    forecast, _ = ask(forecaster, lookback - level, future.shape[1])
    return (forecast + level - future).square() / variance
