"""Candidates of ``forecast``: what each method says from several origins of a series.

A candidate is a function of a ``Past`` and a horizon. It returns (n, horizon) forecasts, a row for each
origin, and NaN where the samples before an origin are too few for it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from harmonics_lib.forecasters.base import ForecastFunction, UnstableForecast
from harmonics_lib.forecasters.broad import broad_lines
from harmonics_lib.forecasters.estimates import noise_level
from harmonics_lib.series.lines import given_lines
from harmonics_lib.series.origins import GROUP, Candidate, Past, grouped
from harmonics_lib.series.recurrence import burg_weights, linear_prediction_weights, predict

LONGEST = 2000  # samples that a recurrence is estimated from
_CYCLES = 8  # of a season that its profile is estimated from, if they are longer than that
_HIGHEST = 400  # order of a recurrence: it spans a year of days and a week of half hours
_HIGHEST_BURG = 66
_FEWEST = 12  # samples that a recurrence needs
_LOW = 10  # samples for each weight of a recurrence of low order
_BROAD = 200  # samples up to which lines with width are tried: of longer series linear prediction learns as much
_LOGARITHMS = 2.0  # ratio of the largest to the smallest sample, below which logarithms change nothing


def persistence(past: Past, horizon: int) -> np.ndarray:
    """The last sample."""
    return np.repeat(past.x[past.ends - 1, None], horizon, axis=1)


def drift(past: Past, horizon: int) -> np.ndarray:
    """The last sample, and the mean change for each step."""
    slopes = (past.x[past.ends - 1] - past.x[0]) / np.maximum(past.ends - 1, 1)
    return past.x[past.ends - 1, None] + slopes[:, None] * np.arange(1, horizon + 1)


def mean(past: Past, horizon: int) -> np.ndarray:
    """The mean of all samples."""
    return np.repeat((np.cumsum(past.x)[past.ends - 1] / past.ends)[:, None], horizon, axis=1)


def linear_prediction(past: Past, horizon: int, noise: float = 0.0, share: int = 4, about_mean: bool = False):
    """Linear prediction about the last sample or the mean, whose order is a share of the number of samples.

    Args:
        past: the series and its origins.
        horizon: number of steps.
        noise: standard deviation of white noise, which the weights allow for.
        share: samples for each weight.
        about_mean: subtract the mean, not the last sample.
    """
    window = past.x[max(0, past.first - LONGEST) : past.first]
    level = window.mean() if about_mean else window[-1]
    weights = linear_prediction_weights(window - level, min(_HIGHEST, len(window) // share), noise**2)
    return level + predict(past.x - level, weights, past.ends, horizon)


def burg(past: Past, horizon: int) -> np.ndarray:
    """Burg's autoregression, whose order the corrected information criterion chooses."""
    window = past.x[max(0, past.first - LONGEST) : past.first]
    level = window.mean()
    weights = burg_weights(window - level, min(_HIGHEST_BURG, len(window) // 2))
    return level + predict(past.x - level, weights, past.ends, horizon)


def of_changes(candidate: Candidate) -> Candidate:
    """The last sample and a candidate's forecast of the changes."""

    def summed(past: Past, horizon: int) -> np.ndarray:
        return past.x[past.ends - 1, None] + candidate(past.changes(), horizon).cumsum(axis=1)

    return summed


def of_logarithms(candidate: Candidate) -> Candidate:
    """The exponential of a candidate's forecast of the logarithms."""

    def exponential(past: Past, horizon: int) -> np.ndarray:
        logs = candidate(replace(past, x=np.log(past.x)), horizon)
        return np.exp(np.clip(logs, -600, 600))

    return exponential


def seasonal_naive(past: Past, horizon: int, season: int) -> np.ndarray:
    """The last season."""
    place = past.ends[:, None] - season + np.arange(horizon) % season
    return np.where(place[:, :1] >= 0, past.x[np.maximum(place, 0)], math.nan)


def seasonal_drift(past: Past, horizon: int, season: int) -> np.ndarray:
    """The last season, and for each further one the mean change from the season before it."""
    sums = np.cumsum(np.r_[0.0, past.x])
    last, before = (sums[np.maximum(past.ends - k * season, 0)] for k in (1, 2))
    change = np.where(past.ends >= 2 * season, (sums[past.ends] - 2 * last + before) / season, math.nan)
    return seasonal_naive(past, horizon, season) + change[:, None] * (1 + np.arange(horizon) // season)


def seasonal_changes(past: Past, horizon: int, season: int, of: Candidate) -> np.ndarray:
    """The last season, and a candidate's forecast of the changes since then."""
    if len(past.x) <= season:
        return np.full((len(past.ends), horizon), math.nan)
    ahead = of(past.changes(season), horizon)  # NaN where there is no season before the origin
    for step in range(horizon):
        before = past.x[past.ends - season + step] if step < season else ahead[:, step - season]
        ahead[:, step] += before
    return ahead


def beside_profile(past: Past, horizon: int, season: int, of: Candidate) -> np.ndarray:
    """The mean course of a season, and a candidate's forecast of the rest."""
    count = past.first
    cycles = min(count // season, max(_CYCLES, LONGEST // season))
    profile = np.roll(_profile(past.x[count - cycles * season : count], season), count % season)
    time = np.arange(len(past.x) + horizon) % season
    rest = of(Past(past.x - profile[time[: len(past.x)]], past.ends), horizon)
    return rest + profile[time[past.ends[:, None] + np.arange(horizon)]]


def _profile(x: np.ndarray, season: int) -> np.ndarray:
    """(season,) mean deviations of whole seasons x (N,) from their moving average, by phase."""
    kernel = np.ones(season + 1 - season % 2)
    if season % 2 == 0:
        kernel[[0, -1]] = 0.5
    half = len(kernel) // 2
    deviations = x[half : len(x) - half] - np.convolve(x, kernel / season, mode="valid")
    phases = (half + np.arange(len(deviations))) % season
    profile = np.bincount(phases, deviations, season) / np.maximum(np.bincount(phases, minlength=season), 1)
    return profile - profile.mean()


def windowed(forecaster: ForecastFunction, longest: int) -> Candidate:
    """A forecaster of the library, given the last samples before each origin: as many as before the first one.

    If it refuses a window or has no finite forecast, the candidate has none.
    """

    def ahead_of(past: Past, horizon: int) -> np.ndarray:
        size = min(longest, past.first)
        windows = torch.from_numpy(past.x[past.ends[:, None] - size + np.arange(size)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnstableForecast)
            try:
                return forecaster(windows, horizon).numpy()
            except ValueError:
                return np.full((len(windows), horizon), math.nan)

    return ahead_of


def at_every(count: int, candidate: Candidate) -> Candidate:
    """A slow candidate at every so many origins, counted from the last one, and NaN at the others."""

    def ahead_of(past: Past, horizon: int) -> np.ndarray:
        ahead, last = np.full((len(past.ends), horizon), math.nan), len(past.ends) - 1
        earlier = np.arange(last - count, -1, -count)[::-1]
        for rows in (earlier, [last]):  # the last one may read more
            if len(rows):
                ahead[rows] = candidate(replace(past, ends=past.ends[rows]), horizon)
        return ahead

    return ahead_of


def candidates(x: np.ndarray, seasons: Iterable[int], periods: Sequence[float] = ()) -> dict[str, Candidate]:
    """The candidates of a series by name."""
    named: dict[str, Candidate] = {"last sample": persistence, "drift": drift, "mean": mean}
    if len(x) < 2 * _FEWEST:
        return named
    inner = grouped(burg, _FEWEST)
    named["linear prediction of changes"] = of_changes(_linear_prediction(np.diff(x)))
    named["autoregression of changes"] = of_changes(inner)
    if len(x) <= _BROAD:
        named["lines with width"] = at_every(GROUP, windowed(broad_lines(), _BROAD))
    named |= _level_candidates(x, seasons)
    if periods:
        named["given periods"] = partial(given_lines, periods=list(periods))
    if x.min() > 0 and x.max() > _LOGARITHMS * x.min():
        logarithms = _level_candidates(np.log(x), seasons)
        named |= {f"logarithms, {name}": of_logarithms(candidate) for name, candidate in logarithms.items()}
    return named


def _level_candidates(x: np.ndarray, seasons: Iterable[int]) -> dict[str, Candidate]:
    """The candidates that are good for logarithms, too."""
    inner, named = grouped(burg, _FEWEST), {"autoregression": grouped(burg, _FEWEST)}
    named["linear prediction"] = _linear_prediction(x)
    named["linear prediction about the mean"] = _linear_prediction(x, about_mean=True)
    named["linear prediction of low order"] = _linear_prediction(x, about_mean=True, share=_LOW)
    for season in seasons:
        enough = 2 * season + _FEWEST
        named |= {
            f"season {season}, repeated": partial(seasonal_naive, season=season),
            f"season {season}, drift": partial(seasonal_drift, season=season),
            f"season {season}, changes": partial(seasonal_changes, season=season, of=inner),
            f"season {season}, profile": grouped(partial(beside_profile, season=season, of=burg), enough),
            f"season {season}, profile and changes": grouped(
                partial(beside_profile, season=season, of=of_changes(burg)), enough
            ),
        }
    return named


def _linear_prediction(x: np.ndarray, **settings) -> Candidate:
    """Linear prediction of x (N,), whose noise is estimated once."""
    return grouped(partial(linear_prediction, noise=_noise(x[-LONGEST:]), **settings), _FEWEST)


def _noise(x: np.ndarray) -> float:
    """Standard deviation of white noise in samples (N,)."""
    rest = x - x.mean()
    peak = np.abs(rest).max() or 1.0
    return peak * float(noise_level(torch.from_numpy(rest[None] / peak))[0])
