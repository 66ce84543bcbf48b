"""The average of candidates by their earlier errors, and intervals from the errors of that average.

Candidates forecast from up to 40 earlier origins of the series itself. The weight of a candidate at a step
depends on its errors up to that step, and nothing at a step depends on later ones. A longer horizon therefore adds
rows to a forecast and changes none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch

from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.recurrence import continue_clean
from harmonics_lib.forecasters.window import Window
from harmonics_lib.series.candidates import candidates, windowed
from harmonics_lib.series.origins import Candidate, Past
from harmonics_lib.series.samples import Samples
from harmonics_lib.series.seasons import seasons_of

ORIGINS = 40
_READ = 20_000  # samples
_SPAN = 2000  # samples between the first and the last origin, at most
_SHORTEST = 24  # samples before the first origin, where the series has twice as many
_POWER = 6  # weights are errors to the power of -6
_FADING = 1.0  # the first origin counts 1/e of what the last one does
_RECENT = 50  # samples whose mean absolute change is the scale of the errors
_FLOOR = 0.1  # of the mean absolute change of all samples, added to that scale
_RATIO = 3.0  # of the present scale to an earlier one, at most
_TAIL = 5  # degrees of freedom of Student's t, whose quantiles extend the largest errors
_INDEPENDENT = 1.0  # errors that are closer to one another than their horizon overlap and count as one
_LEAST = 0.5  # of the quantile of normal errors with the same mean absolute error: no interval is narrower
_CLEAN = 200  # samples of a window that is continued to within rounding if it has no noise


def origins(count: int) -> np.ndarray:
    """Up to 40 numbers of samples before an earlier forecast, in the later half of a series, and ``count`` itself."""
    first = max(count // 2, min(_SHORTEST, count // 2), count - 1 - _SPAN)
    spacing = max(1, (count - 1 - first) // (ORIGINS - 1))
    earlier = np.arange(count - 1, first - 1, -spacing)[:ORIGINS]
    return np.r_[earlier[::-1], count].astype(int)


def combine(samples: Samples, horizon: int, seasons: Sequence[int], periods: Sequence[float]) -> Ensemble:
    """The average of all candidates for a series, with its errors from earlier origins.

    Args:
        samples: of the series.
        horizon: number of steps.
        seasons: lengths of seasons that the user gives.
        periods: of sinusoids that the user gives.
    """
    x, observed = samples.values[-_READ:], samples.observed[-_READ:]
    past = Past(x, origins(len(x)))
    known = seasons_of(x, [*seasons, *samples.axis.seasons()])
    named = candidates(x, known, periods)
    if _is_clean(x[-_CLEAN:]):
        named["sinusoids without noise"] = windowed(auto_forecaster(), _CLEAN)
    steps = min(horizon, len(x) - past.first)
    low, high = _limits(past, horizon)
    ahead = {name: np.clip(_ask(candidate, past, steps, horizon), low, high) for name, candidate in named.items()}
    places = past.ends[:-1, None] + np.arange(steps)  # (n, steps)
    inside = places < len(x)
    places = np.minimum(places, len(x) - 1)
    future = np.where(inside & observed[places], x[places], math.nan)
    return Ensemble(past, ahead, future, _scale(past), (high - low)[-1])


def _ask(candidate: Candidate, past: Past, steps: int, horizon: int) -> np.ndarray:
    """(n + 1, horizon) forecasts of a candidate; from the earlier origins NaN beyond the steps that can be compared."""
    ahead = np.full((len(past.ends), horizon), math.nan)
    ahead[:, :steps] = candidate(past, steps)
    if horizon > steps:
        ahead[-1] = candidate(Past(past.x, past.ends[-1:]), horizon)[0]
    return ahead


def _limits(past: Past, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest forecasts, (n, horizon) each: as far from the range of the samples as it is wide.

    A line reaches farther if the horizon is longer than half of the series, so the limits widen then.
    """
    low, high = (part(past.x)[past.ends - 1, None] for part in (np.minimum.accumulate, np.maximum.accumulate))
    reach = (high - low) * np.maximum(1, 2 * np.arange(1, horizon + 1) / past.ends[:, None])
    return low - reach, high + reach


def _scale(past: Past) -> np.ndarray:
    """(n,) recent mean absolute changes before the origins; within three times the present one, the last."""
    changes = np.cumsum(np.r_[0.0, np.abs(np.diff(past.x))])  # up to each sample
    start = np.maximum(past.ends - 1 - _RECENT, 0)
    recent = (changes[past.ends - 1] - changes[start]) / np.maximum(past.ends - 1 - start, 1)
    scale = recent + _FLOOR * changes[-1] / (len(past.x) - 1)
    scale = np.where(scale > 0, scale, 1.0)
    return np.clip(scale, scale[-1] / _RATIO, scale[-1] * _RATIO)


def _is_clean(x: np.ndarray) -> bool:
    """Whether samples (N,) are sinusoids, a level and a slope without noise."""
    if len(x) < _SHORTEST or np.ptp(x) == 0:
        return False
    return bool(continue_clean(Window.of(torch.from_numpy(x[None])).centred(), 1, order=2)[1])


class Ensemble:
    """An average of candidates, with its errors.

    Args:
        past: the series and its origins.
        ahead: by name of a candidate, (n + 1, H) forecasts from n earlier origins and the present; NaN if none.
        future: (n, steps) samples after the earlier origins, NaN where they are unknown; at most H steps.
        scale: (n + 1,) of the errors.
        reach: (H,) half-widths that no interval exceeds.
    """

    def __init__(self, past: Past, ahead: Mapping[str, np.ndarray], future, scale: np.ndarray, reach: np.ndarray):
        self.past, self.names, self.reach, self.steps = past, list(ahead), reach, future.shape[1]
        self.ahead = np.stack(list(ahead.values()))  # (C, n + 1, H)
        ratio = scale[-1] / scale[:-1, None]  # (n, 1)
        errors = np.abs(self.ahead[:, :-1, : self.steps] - future) * ratio  # (C, n, steps)
        fading = np.exp(-_FADING * np.arange(len(future))[::-1] / len(future))[:, None]
        own, usual = (np.cumsum(part * fading, axis=2) for part in _comparable(errors))
        self.weights = self._weights(own.sum(axis=1), usual.sum(axis=1), self.ahead[:, -1])  # (C, H)
        self.mean = _average(self.weights, self.ahead[:, -1])
        rest = np.empty_like(future)
        for row in range(len(future)):  # each forecast from an earlier origin has weights without its own errors
            others = [part.sum(axis=1) - part[:, row] for part in (own, usual)]
            part = self.ahead[:, row, : self.steps]
            rest[row] = _average(self._weights(others[0], others[1], part), part)
        self.errors = np.abs(rest - future) * ratio  # (n, steps), NaN where unknown

    @staticmethod
    def _weights(own: np.ndarray, usual: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """(C, H) weights from sums of errors (C, steps), own and usual ones; 0 where ``ahead`` (C, H) is NaN."""
        later = np.minimum(np.arange(ahead.shape[1]), own.shape[1] - 1)
        own, usual = own[:, later], usual[:, later]
        usable = np.isfinite(ahead) & (usual > 0)
        relative = np.where(usable, own / np.where(usual > 0, usual, 1.0), math.inf)
        least = np.clip(relative.min(axis=0), 1e-150, 1e150)
        raw = np.where(usable, np.maximum(relative / least, 1.0) ** -_POWER, 0.0)
        raw = np.where(raw.sum(axis=0) > 0, raw, np.isfinite(ahead))
        return raw / raw.sum(axis=0)

    @cached_property
    def _spreads(self) -> list[tuple[float, np.ndarray, int, float]]:
        """For each step the mean absolute error, errors relative to it, and numbers of all and of independent ones.

        Steps from half of a step to itself share their relative errors. Steps with less than a quarter of the
        origins have none.
        """
        counts, span, spreads = np.isfinite(self.errors).sum(axis=0), len(self.past.x) - self.past.first, []
        for step in range(self.steps):
            if counts[step] < max(1, len(self.errors) // 4):
                break
            block = self.errors[:, (step + 1) // 2 : step + 1] if step else self.errors[:, :1]
            means = np.nanmean(block, axis=0)
            relative = block / np.where(means > 0, means, 1.0)
            spread = (means[-1] + means.mean()) / 2
            independent = max(_INDEPENDENT * span / (step + 1), 1.5)
            spreads.append((spread, relative[np.isfinite(relative)], int(counts[step]), independent))
        return spreads

    def half_widths(self, share: float) -> np.ndarray:
        """(H,) half-widths of intervals that contain a sample with this probability.

        Beyond the last step that has errors, they grow with the square root of the time.
        """
        return np.minimum(self._grown([_quantile(*spread, share) for spread in self._spreads]), self.reach)

    def expected_errors(self) -> np.ndarray:
        """(H,) mean absolute errors at the earlier origins, grown like the half-widths beyond the last known step."""
        return self._grown([spread[0] for spread in self._spreads])

    def _grown(self, known: list[float]) -> np.ndarray:
        """(H,) values by step: those known, and beyond them the last one times the square root of the time."""
        horizon = self.ahead.shape[2]
        growth = np.sqrt(np.maximum(np.arange(1, horizon + 1) / len(known), 1.0))
        return np.array(known)[np.minimum(np.arange(horizon), len(known) - 1)] * growth

    def description(self) -> dict:
        """How the forecast was made, for ``attrs``."""
        mean = self.weights.mean(axis=1)
        order = np.argsort(-mean)
        return {
            "weights": {self.names[one]: round(float(mean[one]), 4) for one in order if mean[one] >= 0.01},
            "samples": len(self.past.x),
            "origins": len(self.errors),
            "interval": "conformal, from the errors of the average at the earlier origins",
            "largest conformal level": round(100 * len(self.errors) / (len(self.errors) + 1), 1),
        }


def _comparable(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors (C, n, steps) and those of the usual candidate at the same places; 0 where a candidate has none.

    The usual error is the mean of the candidates that have a forecast from every origin. Candidates that
    lack some are compared with it where they have one.
    """
    known = np.isfinite(errors)
    own = np.where(known, errors, 0.0)
    complete = known.sum(axis=(1, 2)) == known[0].sum()
    return own, known * own[complete].mean(axis=0)


def _average(weights: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """(H,) averages of forecasts (C, H); NaN has no weight. The first one has no rounding if all agree."""
    first = ahead[0]  # the last sample: a candidate that is always there
    return first + np.where(weights > 0, weights * (ahead - first), 0.0).sum(axis=0)


def _quantile(spread: float, relative: np.ndarray, count: int, independent: float, share: float) -> float:
    """The absolute error that a share of new errors does not exceed.

    Args:
        spread: mean absolute error.
        relative: errors relative to it.
        count: of origins.
        independent: number of errors that do not overlap, the degrees of freedom of the spread.
        share: between 0 and 1.
    """
    from scipy.special import ndtri, stdtrit

    largest, upper = count / (count + 1), (1 + share) / 2
    if share <= largest:
        bound = np.quantile(relative, min(share / largest, 1.0))
    else:
        bound = relative.max() * stdtrit(_TAIL, upper) / stdtrit(_TAIL, (1 + largest) / 2)
    normal = ndtri(upper)
    uncertain = stdtrit(independent, upper) / normal if normal > 0 else 1.0
    return spread * uncertain * max(bound, _LEAST * math.sqrt(math.pi / 2) * normal)
