"""Errors of forecasts of the level of the sea, given the periods of the tides and not. It takes a quarter of an hour.

The last 59 days are forecast for a day, the last 30 for a week, each from five lengths of the series before. Rivals of
other libraries are computed where they are installed, which is so in the environment of ``make benchmark``.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch

from experiments.keys import key
from experiments.table import Table
from harmonics_lib.forecasters.broad import broad_lines
from harmonics_lib.forecasters.recurrence import linear_prediction
from harmonics_lib.paths import data_dir
from harmonics_lib.series.forecasts import forecast

DAYS = (4, 8, 17, 30, 90)  # of the windows
HORIZONS = {24: 59, 168: 30}  # hours, and the number of origins
FIRST = 90 * 24  # hour of the first origin
STORM = pd.Timestamp("2017-09-09"), pd.Timestamp("2017-09-15")  # hurricane Irma
LATITUDE = 30.3967  # of the gauge, degrees
#: Degrees an hour of the 37 constituents that NOAA publishes for the gauge. Source: Schureman (1958), table 2.
SPEEDS = (
    28.9841042, 30.0, 28.4397295, 15.0410686, 57.9682084, 13.9430356, 86.9523127, 44.0251729, 60.0, 57.4238337,
    28.5125831, 90.0, 27.9682084, 27.8953548, 16.1391017, 29.4556253, 15.0, 14.4966939, 15.5854433, 0.5443747,
    0.0821373, 0.0410686, 1.0158958, 1.0980331, 13.4715145, 13.3986609, 29.9589333, 30.0410667, 12.8542862, 14.9589314,
    31.0158958, 43.4761563, 29.5284789, 42.9271398, 30.0821373, 115.9364166, 58.9841042,
)  # fmt: skip
PERIODS = [360 / speed for speed in SPEEDS]  # hours


@cache
def level() -> pd.Series:
    """The hourly level in 2017, metres."""
    return pd.read_csv(data_dir() / "tide.csv", index_col="time", parse_dates=True)["value"]


def origins(horizon: int) -> np.ndarray:
    """Hours before each forecast of this horizon."""
    return np.linspace(FIRST, len(level()) - horizon, HORIZONS[horizon]).round().astype(int)


def by_forecast(past: pd.Series, horizon: int, periods: list[float] | None = None) -> np.ndarray:
    """``forecast``, given the periods of the constituents or nothing."""
    return forecast(past, horizon, level=None, periods=periods)["mean"].to_numpy()


def by_window(method: Callable, past: pd.Series, horizon: int) -> np.ndarray:
    """A forecaster of windows, about the mean level."""
    mean = past.mean()
    return mean + method(torch.tensor((past - mean).to_numpy()[None]), horizon)[0].numpy()


def repeat(past: pd.Series, horizon: int) -> np.ndarray:
    """The last 25 hours again and again, two semidiurnal tides of the moon."""
    return np.resize(past.to_numpy()[-25:], horizon)


def utide(past: pd.Series, horizon: int, trend: bool) -> np.ndarray:
    """Harmonic analysis with the constituents that the record resolves, with or without a trend."""
    from utide import reconstruct, solve

    ahead = pd.date_range(past.index[-1], periods=horizon + 1, freq="h")[1:]
    found = solve(past.index, past.to_numpy(), lat=LATITUDE, trend=trend, conf_int="none", verbose=False)
    return reconstruct(ahead, found, verbose=False).h


def autoreg(past: pd.Series, horizon: int) -> np.ndarray:
    """Autoregression with as many lags as the AIC says, up to a third of the samples and 200."""
    from statsmodels.tsa.ar_model import ar_select_order

    chosen = ar_select_order(past.to_numpy(), min(len(past) // 3, 200), ic="aic")
    return chosen.model.fit().forecast(horizon)


#: By name: the library it comes from, if it is not ours, and the function (past, horizon) -> (horizon,).
METHODS: dict[str, tuple[str | None, Callable]] = {
    "forecast": (None, by_forecast),
    "forecast, periods": (None, partial(by_forecast, periods=PERIODS)),
    "lines with width": (None, partial(by_window, broad_lines())),
    "linear prediction": (None, partial(by_window, linear_prediction())),
    "last 25 hours": (None, repeat),
    "UTide, trend": ("utide", partial(utide, trend=True)),
    "UTide, no trend": ("utide", partial(utide, trend=False)),
    "AutoReg": ("statsmodels", autoreg),
}


def tables() -> Iterator[tuple]:
    """The table ``tides``, the keys of its parts, and how a part is computed.

    ``mse`` in square metres of each forecast, ``origin`` its hour, ``storm`` whether the hurricane touches it.
    """
    parts = {}
    for name, (package, method) in METHODS.items():
        missing = package and not find_spec(package)
        own = (method,) if package is None else (package, "" if missing else version(package), name)
        made = None if missing else key(own, level().to_csv(), SPEEDS, DAYS, HORIZONS)
        parts |= {(name, days, horizon): made for days in DAYS for horizon in HORIZONS}
    yield Table("tides", ["method", "days", "horizon"]), parts, errors


def errors(name: str, days: int, horizon: int) -> pd.DataFrame:
    """A row for each origin."""
    return pd.DataFrame([_error(name, days, horizon, origin) for origin in origins(horizon)])


def _error(name: str, days: int, horizon: int, origin: int) -> dict:
    past, future = level()[origin - 24 * days : origin], level()[origin : origin + horizon]
    ahead = METHODS[name][1](past, horizon)
    touched = (past.index[-1] < STORM[1]) & (future.index[-1] >= STORM[0])
    return {"origin": int(origin), "mse": float(np.square(ahead - future.to_numpy()).mean()), "storm": bool(touched)}
