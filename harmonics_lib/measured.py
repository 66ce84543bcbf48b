"""Measured series, cut into windows and what followed them, and errors that can be compared between series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harmonics_lib.forecasting import Forecaster, check_whole
from harmonics_lib.published import data_dir

if TYPE_CHECKING:
    import pandas as pd

_WINDOWS = 50  # of each series, at most


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
        ValueError: an unknown name.
    """
    import pandas as pd

    _check(name)
    table = pd.read_csv(data_dir() / f"{name}.csv")
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
    lookback, horizon = check_whole("lookback", lookback), check_whole("horizon", horizon)
    values = torch.from_numpy(load_measured(name).to_numpy(dtype=float, copy=True))
    first, last = max(lookback, MEASURED[name].long), len(values) - horizon
    if first > last:
        raise ValueError(
            f"lookback and horizon must fit the {len(values)} samples of {name}, got {lookback} + {horizon}"
        )
    origins = torch.linspace(first, last, min(_WINDOWS, last - first + 1), dtype=torch.float64).round().long()
    around = values.unfold(0, lookback + horizon, 1)[origins - lookback]
    return around[:, :lookback], around[:, lookback:]


def relative_errors(forecaster: Forecaster, past: Tensor, future: Tensor) -> Tensor:
    """(B, H) squared errors, relative to the variance of each window: 1 for one who forecasts the window's mean,
    where the series goes on as it was. The mean of each window is taken out before it is forecast."""
    level = past.mean(dim=1, keepdim=True)
    ahead = forecaster(past - level, future.shape[1]) + level
    return (ahead - future).square() / past.var(dim=1, keepdim=True, correction=0)


def _check(name: str) -> None:
    if name not in MEASURED:
        raise ValueError(f"name must be one of {', '.join(MEASURED)}, got {name!r}")
