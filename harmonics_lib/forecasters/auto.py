"""One forecaster for every window, which selects and averages methods by the noise and the number of components."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from harmonics_lib.arguments import describe
from harmonics_lib.forecasters.base import DistributionForecaster
from harmonics_lib.forecasters.broad import broad_lines
from harmonics_lib.forecasters.nonlinear import SinusoidFit, continue_sinusoids
from harmonics_lib.forecasters.recurrence import continue_clean, linear_prediction
from harmonics_lib.forecasters.sparse import CHUNK, LONGEST, Inference, infer
from harmonics_lib.forecasters.window import Window
from harmonics_lib.forecasters.wrappers import differenced
from harmonics_lib.signals.process import HarmonicProcess
from harmonics_lib.signals.waves import exponentials

_MOST_PAIRED = 200  # whole periods, for which all pairs are enumerated; for more, single ones only
_MOST_SINGLE = 1000  # whole periods that are enumerated; their inner products take 32 MB
_SPLIT = 24  # samples of a window whose first three quarters are long enough for every model
_ORDER = 66  # of the linear prediction of changes, at most: two thirds of 100 samples
_MOST = 5  # sinusoids that nonlinear least squares may find


@dataclass(frozen=True)
class auto_forecaster(DistributionForecaster):
    """The recommended forecaster, which selects the method for each window.

    A window without noise is continued by its recurrence. For a noisy window the forecast is an average
    of two models. The model of many components is sparse Bayesian inference. The model of few
    components is the exact posterior over all choices of one or two whole periods, or nonlinear
    least squares for continuous periods. The weight is the probability of few components (see ``Odds``).

    Without a process, lines with width and linear prediction of the changes stand beside the model of many
    components, because a measured level wanders and its lines decay. The weights of the three are the
    inverse squared errors over the last quarter of the window. A clean window's standard deviation is the
    error by which its recurrence was found to hold.

    Only the last 2,000 samples of a window are used. If a process has more than 1,000 whole
    periods, the model of few components is nonlinear least squares, too.

    Args:
        process: distribution of the periods, and range of the number of components; its noise is ignored.
            None for 1 to 45 components with frequencies from 1 / (10 N) (for N samples) to 1 / 2,
            beside a level and, if the window has one, a slope.

    Raises:
        ValueError: the process is not one, or the lookback has less than 12 samples (14 without a process).

    Source: Hoeting et al. (1999) for averages over models.

    Example:
        >>> lookback = torch.sin(2 * math.pi * torch.arange(100.0) / 12)[None]
        >>> prediction = auto_forecaster().distribution(lookback, 2)
        >>> [round(value, 3) for value in prediction.mean[0].tolist()]
        [0.866, 0.5]
    """

    process: HarmonicProcess | None = None

    def __post_init__(self):
        if not (self.process is None or isinstance(self.process, HarmonicProcess)):
            raise ValueError(f"process must be a HarmonicProcess or None, got {describe(self.process)}")

    @property
    def minimum(self) -> int:
        return 12 if self.process else 14

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        window = window.recent(LONGEST)
        window = window if self.process else window.centred()
        mean, clean, error = continue_clean(window, horizon, order=0 if self.process else 2)
        std, noise = error[:, None].expand(-1, horizon).clone(), torch.zeros_like(window.unit)
        for rows in (~clean).nonzero()[:, 0].split(CHUNK):
            if len(rows):
                mean[rows], std[rows], noise[rows] = self._average(window[rows], horizon)
        return mean + window.level, std, noise

    def _average(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation of the average of the models, and that of the noise, for noisy windows."""
        few, many = few_and_many(window, horizon, self.process)
        probability = Odds().probability(few)[:, None]
        mean, std = (many.mean, many.std) if self.process else _beside_lines(window, horizon, many)
        apart = few.mean - mean
        std = (std.square() + probability * (1 - probability) * apart.square()).sqrt()
        return mean + probability * apart, std, many.noise


@dataclass(frozen=True)
class Few:
    """Forecasts with few components, and statistics for the probability that there are no more.

    Attributes:
        mean: (B, H) forecasts.
        evidence: (B,) log evidence of few whole periods relative to one more; 0 for continuous periods, and
            infinite if only few or only more components are possible.
        misfit: (B,) log noise variance relative to the estimate of sparse Bayesian inference.
        counts: (B,) number of sinusoids that nonlinear least squares finds; None for whole periods.
    """

    mean: Tensor
    evidence: Tensor
    misfit: Tensor
    counts: Tensor | None = None


@dataclass(frozen=True)
class Odds:
    """The odds of few components. ``experiments/tuning.py`` varies these tuned constants.

    The tuning windows have 1 to 20 components in noise of 0.01 to 0.3. They come from their own random
    streams ("auto tuning"), which no other published result uses.
    """

    more: float = 4.0  # evidence of all larger numbers of whole periods, in units of that of one more
    by_misfit: float = -15.0  # slope of the log odds in the misfit
    constant: float = 5.0  # log odds of nonlinear least squares at no misfit and no sinusoid
    by_count: float = -2.0  # their slope in the number of sinusoids

    def probability(self, few: Few) -> Tensor:
        """(B,) probability of few components."""
        prior = -math.log(self.more) if few.counts is None else self.constant + self.by_count * few.counts
        return torch.sigmoid(few.evidence + self.by_misfit * few.misfit + prior)


def few_and_many(window: Window, horizon: int, process: HarmonicProcess | None) -> tuple[Few, Inference]:
    """The two forecasts that ``auto_forecaster`` averages in windows with noise, centred if ``process`` is None."""
    prior, many = _many(window, horizon, process)
    before, after = many.trend.split([window.x.shape[1], horizon], dim=1)
    few = _few(window if process else window.minus(before), horizon, prior, many.noise[:, 0].square())
    return replace(few, mean=few.mean + after), many


def _many(window: Window, horizon: int, process: HarmonicProcess | None) -> tuple[HarmonicProcess, Inference]:
    """The prior of sparse Bayesian inference, and the inference."""
    prior = process or HarmonicProcess((1, 45), (2, 10 * window.x.shape[1]), False, uniform="frequency")
    return prior, infer(window, horizon, prior, trend=None if process else "line")


def _beside_lines(window: Window, horizon: int, many: Inference) -> tuple[Tensor, Tensor]:
    """(B, H) mean and standard deviation of an average of sinusoids, lines with width and a recurrence of the changes.

    The standard deviation is that of sinusoids, and of the three about their average.
    Weights are the inverse squared errors of the three over the last quarter of the window, given the rest.
    A window too short to be split leaves the sinusoids alone.
    """
    held = max(2, window.x.shape[1] // 4)
    if window.x.shape[1] < _SPLIT:
        return many.mean, many.std
    past, later = Window(window.x[:, :-held], window.unit).centred(), window.x[:, -held:]
    earlier = torch.stack([_many(past, held, None)[1].mean + past.level, *_others(window.x[:, :-held], held)])
    errors = (earlier - later).square().mean(dim=2)
    weights = 1 / errors.clamp_min(torch.finfo(errors.dtype).tiny)
    weights = (weights / weights.sum(dim=0))[..., None]
    means = torch.stack([many.mean, *_others(window.x, horizon)])
    mean = (weights * means).sum(dim=0)
    between = (weights * (means - mean).square()).sum(dim=0)
    return mean, (many.std.square() + between).sqrt()


def _others(x: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """(B, H) forecasts of windows (B, N) by lines with width and by linear prediction of the changes."""
    order = min(_ORDER, 2 * (x.shape[1] - 1) // 3)
    return broad_lines()(x, horizon), differenced(linear_prediction(order))(x, horizon)


def _few(window: Window, horizon: int, process: HarmonicProcess, noise: Tensor) -> Few:
    """Forecasts with few components; noise: (B,) the variance that sparse Bayesian inference estimates."""
    low, high = process.periods
    if process.integer_periods and high - low < _MOST_SINGLE:
        return _enumerate(window.x, horizon, process, noise)
    return _few_of_any_period(window, horizon, process.periods, noise)


def _few_of_any_period(window: Window, horizon: int, periods: tuple[float, float], noise: Tensor) -> Few:
    """``_few`` by nonlinear least squares, for periods of any length."""
    length = window.x.shape[1]
    most = min(_MOST, length // 4)
    found, counts = window.once(SinusoidFit, (1 / periods[1], 1 / periods[0])).best(most + 1)
    few = (counts > 0) & (counts <= most)
    ahead, residual = continue_sinusoids(window.x, found, torch.where(few, counts, 0), horizon)
    left = residual.square().sum(dim=1) / (length - 3 * counts)
    misfit = torch.where(few, left / noise, 1.0).clamp_min(1e-6).log()
    return Few(ahead, torch.where(few, 0.0, -math.inf).to(misfit), misfit, counts)


def _enumerate(x: Tensor, horizon: int, process: HarmonicProcess, noise: Tensor) -> Few:
    """``_few`` by the exact posterior over all choices of one or two whole periods.

    All numbers of components have the same prior probability. Larger numbers are represented by the
    best choice and one more period.
    """
    (fewest, most), (low, high) = process.components, map(int, process.periods)
    limit = min(2 if high - low < _MOST_PAIRED else 1, high - low + 1)
    tried = range(fewest, min(most, limit) + 1)
    if not tried:
        return Few(x.new_zeros(len(x), horizon), x.new_full((len(x),), -math.inf), x.new_zeros(len(x)))
    regression = _Regression(x, noise, low, high)
    amplitudes, left, evidence, best, best_evidence = zip(*map(regression.over_choices, tried), strict=True)
    together = torch.stack(evidence).logsumexp(dim=0)
    weights = (torch.stack(evidence) - together).exp()  # (K, B)
    mean = (weights[..., None, None] * torch.stack(amplitudes)).sum(dim=0)  # (B, P, 2)
    misfit = ((weights * torch.stack(left)).sum(dim=0) / noise).log()
    ahead = mean.flatten(1) @ _waves(low, high, x.shape[1], horizon).to(x).flatten(1).T
    if most == tried[-1] or high - low + 1 == limit:
        return Few(ahead, torch.full_like(together, math.inf), misfit)
    more = evidence[-1] + regression.with_one_more(best[-1]) - best_evidence[-1]
    return Few(ahead, together - more, misfit)


class _Regression:
    """Bayesian linear regression of windows on choices of whole periods (O'Hagan 1994, chapter 9).

    The amplitudes of K periods are Gaussian, each with a share of 1 / K of the window's power. The
    variance of the noise is unknown; the ratio of the two uses a first estimate of it.

    Args:
        x: (B, N) windows.
        noise: (B,) first estimate of the noise variance.
        low: the shortest of P whole periods.
        high: the longest.
    """

    def __init__(self, x: Tensor, noise: Tensor, low: int, high: int):
        self.periods, self.length, self.noise = (low, high), x.shape[1], noise[:, None]  # (B, 1)
        self.waves = _waves(low, high, 0, self.length).to(x)
        self.inner = (x @ self.waves.flatten(1)).unflatten(1, (-1, 2))  # (B, P, 2)
        self.energy = x.square().sum(dim=1, keepdim=True)  # (B, 1)

    def over_choices(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The posterior over all C choices of ``count`` periods.

        Returns:
            (B, P, 2) mean amplitudes; (B,) mean noise variance; (B,) log of the mean evidence; the
            best choice, as (B, count) places among the periods, and its (B,) log evidence.
        """
        choices, eigenvalues, vectors = (
            table.to(self.energy.device) for table in _choices(*self.periods, self.length, count)
        )
        turned = torch.einsum("bck,ckl->bcl", self.inner[:, choices].flatten(2), vectors)
        gains = 1 / (eigenvalues + self._ratio(count)[..., None])  # (B, C, 2 K)
        explained = (turned.square() * gains).sum(dim=2)
        evidence = self._evidence(explained, -gains.log().sum(dim=2), count)  # (B, C)
        weights = evidence.softmax(dim=1)
        weighted = weights[..., None] * gains * turned
        amplitudes = torch.einsum("bcl,ckl->bck", weighted, vectors).reshape(len(weighted), -1, 2)
        mean = torch.zeros_like(self.inner).index_add(1, choices.flatten(), amplitudes)
        best, place = evidence.max(dim=1)
        left = (weights * self._residual(explained)).sum(dim=1) / self.length
        return mean, left, evidence.logsumexp(dim=1) - math.log(len(choices)), choices[place], best

    def with_one_more(self, chosen: Tensor) -> Tensor:
        """(B,) log of the mean evidence of chosen periods (B, K) and any other."""
        every = torch.arange(self.inner.shape[1], device=chosen.device).expand(len(chosen), -1)  # (B, P)
        choices = torch.cat([chosen[:, None].expand(-1, every.shape[1], -1), every[..., None]], dim=2)  # (B, P, K + 1)
        count = choices.shape[2]
        rows = torch.arange(len(chosen), device=chosen.device)[:, None, None]
        target = self.inner[rows, choices].flatten(2)[..., None]  # (B, P, 2 (K + 1), 1)
        blocks = _gram(self.waves)[choices[..., :, None], choices[..., None, :]]  # (B, P, K + 1, K + 1, 2, 2)
        gram = blocks.transpose(3, 4).reshape(*choices.shape[:2], 2 * count, 2 * count)
        ratio = self._ratio(count)[..., None, None] * torch.eye(2 * count).to(gram)
        cholesky = torch.linalg.cholesky(gram + ratio)
        explained = (target * torch.cholesky_solve(target, cholesky)).sum(dim=(2, 3))
        evidence = self._evidence(explained, 2 * cholesky.diagonal(dim1=2, dim2=3).log().sum(dim=2), count)
        evidence = evidence.scatter(1, chosen, -math.inf)  # a period cannot be chosen twice
        return evidence.logsumexp(dim=1) - math.log(evidence.shape[1] - chosen.shape[1])

    def _residual(self, explained: Tensor) -> Tensor:
        """(B, C) residual energy, at least the rounding error."""
        return (self.energy - explained).clamp_min(1e-12 * self.energy)

    def _ratio(self, count: int) -> Tensor:
        """(B, 1) variance of the noise over that of an amplitude."""
        return (count * self.length * self.noise / self.energy).clamp_min(1e-12)

    def _evidence(self, explained: Tensor, log_determinant: Tensor, count: int) -> Tensor:
        """(B, C) log evidence of ``count`` periods that explain a part (B, C) of the energy."""
        return (
            -0.5 * (self.length * self._residual(explained).log() + log_determinant) + count * self._ratio(count).log()
        )


@lru_cache(maxsize=8)
def _choices(low: int, high: int, length: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """All C choices (C, K) of ``count`` periods; their Gram matrices' eigenvalues (C, 2 K) and vectors."""
    gram = _gram(_waves(low, high, 0, length))
    choices = torch.combinations(torch.arange(len(gram)), count)
    blocks = gram[choices[:, :, None], choices[:, None, :]]  # (C, K, K, 2, 2)
    eigenvalues, vectors = torch.linalg.eigh(blocks.transpose(2, 3).reshape(len(choices), 2 * count, 2 * count))
    return choices, eigenvalues.clamp_min(0), vectors


def _gram(waves: Tensor) -> Tensor:
    """(P, P, 2, 2) inner products of waves (N, P, 2)."""
    return torch.einsum("npi,nqj->pqij", waves, waves)


def _waves(low: int, high: int, start: int, length: int) -> Tensor:
    """(length, P, 2) cosines and sines of the whole periods from ``low`` to ``high``, for times from ``start`` on."""
    frequencies = 1 / torch.arange(low, high + 1, dtype=torch.float64)
    return torch.view_as_real(exponentials(frequencies, torch.arange(start, start + length)))
