"""Measured series, cut into windows and what followed them, and errors that can be compared between series."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harmonics_lib.arguments import check_choice, check_whole
from harmonics_lib.checksums import read_intact
from harmonics_lib.forecasters.base import ForecastFunction, ask, check_forecaster_function, check_windows
from harmonics_lib.paths import data_dir

if TYPE_CHECKING:
    import pandas as pd

_WINDOWS = 50  # of each series, at most
_LONGEST = 10_000  # samples: more than any series has


@dataclass(frozen=True)
class MeasuredSeries:
    """What is known of a series before its errors are looked at.

    Attributes:
        title: what was measured; unit: of the values; step: between samples.
        season: samples after which the series is best repeated, by what makes it repeat.
        long: samples of a longer lookback, which holds the longest period several times.
        long_season: samples after which it is best repeated by one who sees so many.
    """

    title: str
    unit: str
    step: str
    season: int
    long: int
    long_season: int


#: The series of ``data/`` by name; ``data/README.md`` has sources and licences.
MEASURED = {
    "guitar": MeasuredSeries("guitar chord", "full scale", "1/5512.5 s", 67, 400, 67),  # 82.4 Hz, its lowest string
    "polar_motion": MeasuredSeries("polar motion", "seconds of arc", "30 days", 14, 300, 14),  # Chandler wobble
    "carbon_dioxide": MeasuredSeries("carbon dioxide", "parts per million", "28 days", 13, 300, 13),  # the year
    "electricity": MeasuredSeries("electricity", "kW", "1 hour", 24, 504, 168),  # the day; the week
    "sunspots": MeasuredSeries("sunspots", "yearly mean", "1 year", 11, 200, 11),  # the mean cycle
    "oil": MeasuredSeries("oil price", "dollars a barrel", "1 trading day", 1, 400, 1),  # nothing repeats
}


def load_measured(name: str) -> pd.Series:
    """A measured series, its ``time`` as the index.

    Raises:
        ValueError: an unknown name, or the file is damaged.
    """
    import pandas as pd

    check_choice("name", name, MEASURED)
    content = read_intact(data_dir(), data_dir() / f"{name}.csv")
    table = pd.read_csv(io.BytesIO(content))
    dated = table["time"].dtype == object or pd.api.types.is_string_dtype(table["time"])
    return table.assign(time=pd.to_datetime(table["time"]) if dated else table["time"]).set_index("time")["value"]


def measured_windows(name: str, lookback: int = 100, horizon: int = 24) -> tuple[Tensor, Tensor]:
    """(B, lookback) windows of a series and (B, horizon) how each went on: rolling origins, evenly spread over it.

    There are 50, fewer where the series is too short to have so many. The first is the earliest that
    the longer lookback of the series allows, so that windows of both lengths are followed by the same samples.

    Raises:
        ValueError: an unknown name, or a lookback or a horizon that is no whole number of at least 1, or too long.

    Source: Tashman (2000) for rolling origins.
    """
    lookback = check_whole("lookback", lookback, maximum=_LONGEST)
    horizon = check_whole("horizon", horizon, maximum=_LONGEST)
    values = torch.from_numpy(load_measured(name).to_numpy(dtype=float, copy=True))
    first, last = max(lookback, MEASURED[name].long), len(values) - horizon
    if first > last:
        raise ValueError(
            f"lookback and horizon must fit the {len(values)} samples of {name}, got {lookback} + {horizon}"
        )
    origins = torch.linspace(first, last, min(_WINDOWS, last - first + 1), dtype=torch.float64).round().long()
    around = values.unfold(0, lookback + horizon, 1)[origins - lookback]
    return around[:, :lookback], around[:, lookback:]


def relative_errors(forecaster: ForecastFunction, past: Tensor, future: Tensor) -> Tensor:
    """Squared errors, relative to the variance of each window, whose mean is taken out before it is forecast.

    1 is what one makes who forecasts the window's mean, where a series goes on as it was.

    Args:
        past: (B, N) windows; future: (B, H) how they went on.

    Returns:
        (B, H).

    Raises:
        ValueError: what is no forecaster; windows that are not (B, N) and (B, H), or not finite, or that do
            not vary; a forecast of another shape or one that is not finite.
    """
    check_forecaster_function("forecaster", forecaster)
    check_windows("past", past)
    check_windows("future", future)
    if len(past) != len(future):
        raise ValueError(f"past and future must be of the same windows, got {len(past)} and {len(future)}")
    level, variance = past.mean(dim=1, keepdim=True), past.var(dim=1, keepdim=True, correction=0)
    if not (variance > 0).all():
        raise ValueError(f"past must vary in every window, got {int((variance == 0).sum())} that do not")
    ahead, _ = ask(forecaster, past - level, future.shape[1])
    return (ahead + level - future).square() / variance
