"""The methods of the benchmark: rivals of other libraries, given the season and not, the naive ones, and ours."""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from experiments.benchmark.scoring import LEVELS
from experiments.keys import key
from harmonics_lib.forecasters.recurrence import linear_prediction
from harmonics_lib.series.forecasts import forecast

OURS = "harmonics-lib"
MODULES = {"scikit-learn": "sklearn"}  # of packages whose name is another
FOUR = ("AutoARIMA", "AutoETS", "AutoCES", "AutoTheta")
LIMITED = ("AutoARIMA", "AutoTBATS")
SECONDS = 45  # of processor time, for one fit of AutoARIMA or AutoTBATS
FEWER_SAMPLES = 600  # the most that AutoARIMA, AutoTBATS and the Gaussian process read
AUTOREG_LAGS = 200  # the most that AutoReg tries
PREDICTION_SAMPLES, PREDICTION_ORDER = 1600, 300  # the most that linear prediction reads, and its highest order


@dataclass(frozen=True)
class Method:
    """A method of the benchmark.

    Attributes:
        package: that it comes from.
        given: "season", "nothing" or "detected".
        settings: in words; a change of them computes its scores anew.
        run: (past, horizon, seasons) -> a table with ``mean`` and, with intervals, ``lo-90``, ``hi-90`` and so on.
    """

    package: str
    given: str
    settings: str
    run: Callable[[pd.Series, int, tuple[int, ...]], pd.DataFrame]

    def key(self, data: str) -> str | None:
        """Of ours, that of its code; of another library, that of its version and settings, or None where it is not."""
        if self.package == OURS:
            return key(self.run, data)
        if not find_spec(MODULES.get(self.package, self.package)):
            return None
        return key(self.package, version(self.package), self.given, self.settings, data)


def normal_intervals(mean: np.ndarray, deviation: np.ndarray) -> pd.DataFrame:
    """A forecast with central intervals of normal distributions."""
    ends = {f"{end}-{level}": mean + sign * norm.ppf(0.5 + level / 200) * deviation
            for level in LEVELS for end, sign in (("lo", -1), ("hi", 1))}  # fmt: skip
    return pd.DataFrame({"mean": mean} | ends)


def seasonal_naive(past: pd.Series, horizon: int, seasons: tuple[int, ...], drift: bool = False) -> pd.DataFrame:
    """The last season again and again, with or without the mean change; one season's errors add up over seasons.

    Source: Hyndman and Athanasopoulos (2021), Forecasting: principles and practice, section 5.5.
    """
    values, season = past.to_numpy(), seasons[0]
    ahead = np.arange(horizon) // season + 1
    changes = values[season:] - values[:-season]
    slope = changes.mean() if drift else 0.0
    deviation = np.sqrt(np.square(changes - slope).mean() * ahead * (1 + drift * ahead * season / len(values)))
    return normal_intervals(np.resize(values[-season:], horizon) + slope * ahead, deviation)


@contextmanager
def time_limit(seconds: int):
    """Raise TimeoutError after so many seconds of processor time, in the main thread of a process."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def model(name: str, past: pd.Series, horizon: int, seasons: tuple[int, ...], given: bool = True) -> pd.DataFrame:
    """A model of statsforecast as it comes, with the shortest season, or with all if it takes several."""
    from statsforecast import models

    values, seasons = past.to_numpy(dtype=float), seasons if given else (1,)
    values = values[-FEWER_SAMPLES:] if name in LIMITED else values
    several = [season for season in seasons if 1 < season < len(values) / 2] or None
    name = "AutoETS" if (name, several) == ("MSTL", None) else name  # of which it is made
    season = {"MSTL": several, "MFLES": several, "AutoTBATS": several or 1}.get(name, seasons[0])
    made = getattr(models, name)(season_length=season)
    level = None if name == "MFLES" else list(LEVELS)  # which has no intervals of its own
    with time_limit(SECONDS) if name in LIMITED else nullcontext():
        return pd.DataFrame(made.forecast(y=values, h=horizon, level=level))


_OUTCOMES: dict[tuple, tuple[pd.DataFrame | None, float]] = {}


def outcome(name: str, past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> tuple[pd.DataFrame | None, float]:
    """What ``model`` gives, or None where it fails, and its seconds of processor time: kept for the median."""
    asked = (name, past.to_numpy().tobytes(), horizon, seasons)
    if asked not in _OUTCOMES:
        begun, ahead = time.process_time(), None
        with suppress(Exception):  # the library raises whatever its solvers do
            ahead = model(name, past, horizon, seasons)
        _OUTCOMES[asked] = ahead, time.process_time() - begun
    return _OUTCOMES[asked]


def given_season(name: str, past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """``model``, given the season, with the seconds that it took at first in ``attrs``."""
    ahead, seconds = outcome(name, past, horizon, seasons)
    if ahead is None:
        raise ArithmeticError
    ahead.attrs["seconds"] = seconds
    return ahead


def median(past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """The median of four models, also of the ends of their intervals; one that fails is left out.

    Its seconds, in ``attrs``, are those of the four.

    Source: Petropoulos and Svetunkov (2020).
    """
    tables, seconds = zip(*(outcome(name, past, horizon, seasons) for name in FOUR), strict=True)
    ahead = pd.concat([table for table in tables if table is not None]).groupby(level=0).median()
    ahead.attrs["seconds"] = sum(seconds)
    return ahead


def detected(name: str, past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """A model given the season that coreforecast finds."""
    from coreforecast.seasonal import find_season_length

    found = int(find_season_length(past.to_numpy(dtype=float), len(past) // 3)) or 1
    if name == "seasonal naive":
        return seasonal_naive(past, horizon, (found,))
    return model(name, past, horizon, (found,))


def autoreg(past: pd.Series, horizon: int, seasons: tuple[int, ...], given: bool = True) -> pd.DataFrame:
    """Autoregression with as many lags as the AIC says, and a mean for each phase of the season if it is given."""
    from statsmodels.tsa.ar_model import ar_select_order

    values = past.to_numpy()
    given = given and 1 < seasons[0] <= len(values) // 6
    lags = min(len(values) // (6 if given else 3), AUTOREG_LAGS)
    chosen = ar_select_order(values, lags, ic="aic", trend="c", seasonal=given, period=seasons[0] if given else None)
    ahead = chosen.model.fit().get_prediction(len(values), len(values) + horizon - 1)
    return normal_intervals(ahead.predicted_mean, ahead.se_mean)


def prophet(past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """Prophet as it comes, which knows the calendar; a series without dates is told its seasons.

    Source: Taylor and Letham (2018).
    """
    from prophet import Prophet

    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    dated = isinstance(past.index, pd.DatetimeIndex)
    model = Prophet() if dated else Prophet(yearly_seasonality=False, weekly_seasonality=False)
    for season in () if dated else (season for season in seasons if season > 1):
        model.add_seasonality(f"every {season}", season, min(10, max(1, season // 2)))
    times = past.index if dated else pd.date_range("2000-01-01", periods=len(past), freq="D")
    np.random.seed(0)
    model.fit(pd.DataFrame({"ds": times, "y": past.to_numpy(dtype=float)}), seed=0)
    ahead = pd.date_range(times[-1], periods=horizon + 1, freq=times.freq or times.inferred_freq)[1:]
    ahead = pd.DataFrame({"ds": ahead})
    paths = model.predictive_samples(ahead)["yhat"]  # (horizon, paths)
    ends = {f"{end}-{level}": np.quantile(paths, 0.5 + sign * level / 200, axis=1)
            for level in LEVELS for end, sign in (("lo", -1), ("hi", 1))}  # fmt: skip
    return pd.DataFrame({"mean": model.predict(ahead)["yhat"].to_numpy()} | ends)


@cache
def pretrained():
    """Fracast-0, a foundation model of 85,001 weights, which ship in its package."""
    from fracast import FracastModel

    return FracastModel.from_pretrained()


def fracast(past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """The median of a pretrained network and its outer deciles, without any training on the series."""
    deciles = pretrained().forecast(past.to_numpy(dtype=float), horizon=horizon)  # (horizon, 9)
    return pd.DataFrame({"mean": deciles[:, 4], "lo-80": deciles[:, 0], "hi-80": deciles[:, 8]}, dtype=float)


def gaussian_process(past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """A smooth trend, waveforms of the seasons that drift, a rough rest and noise, by marginal likelihood.

    Source: Rasmussen and Williams (2006), section 5.4.3.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, ExpSineSquared, RationalQuadratic, WhiteKernel

    values = past.to_numpy(dtype=float)[-FEWER_SAMPLES:]
    times, weight = (
        np.arange(len(values) + horizon)[:, None],
        partial(ConstantKernel, constant_value_bounds=(1e-6, 1e3)),
    )
    kernel = weight(1) * RBF(len(values), (1, 1e5)) + WhiteKernel(0.1, (1e-8, 10))
    kernel += weight(0.1) * RationalQuadratic(seasons[0], 1, (0.1, 1e5), (1e-2, 1e3))
    for season in (season for season in seasons if 1 < season < len(values) / 2):
        drift = RBF(len(values), (season / 2, 1e5))
        kernel += weight(1) * drift * ExpSineSquared(1, season, (0.05, 50), "fixed")
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(times[: len(values)], values)
    return normal_intervals(*model.predict(times[len(values) :], return_std=True))


def ours(past: pd.Series, horizon: int, seasons: tuple[int, ...], given: bool = False) -> pd.DataFrame:
    """``forecast``, which finds everything by itself, or is given the seasons."""
    return forecast(past, horizon, LEVELS, seasons=[s for s in seasons if s > 1] if given else None)


def long_linear_prediction(past: pd.Series, horizon: int, seasons: tuple[int, ...]) -> pd.DataFrame:
    """Linear prediction from up to 1,600 samples, with a quarter of them as its order, at most 300."""
    values = torch.from_numpy(past.to_numpy(dtype=float, copy=True))[None, -PREDICTION_SAMPLES:]
    level = values.mean()
    method = linear_prediction(min(values.shape[1] // 4, PREDICTION_ORDER))
    return pd.DataFrame({"mean": (level + method(values - level, horizon))[0].numpy()})


def _models(names: tuple[str, ...], given: str, run: Callable, suffix: str, settings: str) -> dict[str, Method]:
    words = {
        "AutoARIMA": f"the last {FEWER_SAMPLES} samples, {SECONDS} s",
        "MSTL": "all seasons, AutoETS where there is none",
        "MFLES": "all seasons, or none",
    }
    return {
        f"{name}{suffix}": Method(
            "statsforecast", given, ", ".join(filter(None, [settings, words.get(name, "")])), partial(run, name)
        )
        for name in names
    }


STATSFORECAST = (*FOUR, "MFLES")
#: By name: every method of the benchmark.
METHODS: dict[str, Method] = {
    "naive": Method(OURS, "nothing", "", lambda past, horizon, seasons: seasonal_naive(past, horizon, (1,))),
    "seasonal naive": Method(OURS, "season", "", seasonal_naive),
    "seasonal naive, drift": Method(OURS, "season", "", partial(seasonal_naive, drift=True)),
    **_models((*STATSFORECAST, "MSTL"), "season", given_season, ", season", "as it comes"),
    "median of four, season": Method("statsforecast", "season", ", ".join(FOUR), median),
    "AutoReg, season": Method("statsmodels", "season", f"AIC, up to N / 6 and {AUTOREG_LAGS} lags", autoreg),
    "Gaussian process, season": Method(
        "scikit-learn", "season", f"length scales learned, the last {FEWER_SAMPLES} samples", gaussian_process
    ),
    **_models(STATSFORECAST, "nothing", partial(model, given=False), "", "as it comes"),
    "AutoReg": Method(
        "statsmodels", "nothing", f"AIC, up to N / 3 and {AUTOREG_LAGS} lags", partial(autoreg, given=False)
    ),
    **_models(("AutoETS", "MSTL"), "detected", detected, ", detected season", "season by coreforecast"),
    "seasonal naive, detected season": Method(
        "statsforecast", "detected", "season by coreforecast", partial(detected, "seasonal naive")
    ),
    "linear prediction": Method(OURS, "nothing", "", long_linear_prediction),
    "forecast": Method(OURS, "nothing", "", ours),
    "forecast, season": Method(OURS, "season", "", partial(ours, given=True)),
}
#: By name: rivals that are slow, or for a few series only.
COSTLY: dict[str, Method] = {
    "AutoTBATS, season": Method(
        "statsforecast", "season", f"all seasons, the last {FEWER_SAMPLES} samples", partial(model, "AutoTBATS")
    ),
    "Prophet, season": Method("prophet", "season", "as it comes", prophet),
    "Fracast-0": Method("fracast", "nothing", "pretrained, the median", fracast),
}
