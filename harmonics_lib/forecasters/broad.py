"""Lines with width: empirical Bayes over a dictionary of damped cosines, whose covariances are Toeplitz matrices.

The autocovariance of an atom is exp(-g |t|) cos(2 pi f t). For g = 0 it is a sinusoid, for a small g one
that decays or drifts, for f = 0 and g > 0 a wandering level. Together, atoms of large g are coloured noise.
All frequencies of one width lie on a uniform grid, so sums over atoms are fast Fourier transforms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harmonics_lib.arguments import check_whole
from harmonics_lib.forecasters.base import DistributionForecaster, check_lookback
from harmonics_lib.forecasters.toeplitz import (
    autocorrelation,
    diagonal_sums,
    innovations,
    solve_by_first_column,
    solve_toeplitz,
)
from harmonics_lib.forecasters.window import Window

_LONGEST = 1000  # samples that are used of a window
_WIDTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # rates of decay g, in units of 1 / N
_SPACING = 4  # frequencies of lines with width are multiples of 1 / (4 N) ...
_FINE = 10  # ... and of those without width of 1 / (10 N)
_FALL = 2.0  # power of the frequency with which the spectrum falls at the start
_LATER = 1 / 4  # of a window, by whose density the updates are weighed
_WHITE = 0.1  # power of the white noise at the start, relative to all atoms together
_UNKNOWN = 1e-6  # added to v and u: an atom of which the window says nothing, such as the level, keeps its weight
_LEAST = 1e-10  # variance of the noise at least, relative to the window's
_BATCH = 100_000  # samples that are analysed at a time


@dataclass(frozen=True)
class broad_lines(DistributionForecaster):
    """Sinusoids that may decay, drift or wander, beside a level, in white and coloured noise.

    The covariance of a window is C = sum_g w_g R_g + s^2 I, with one weight for each atom. The
    gradient of the log likelihood in w_g is half of v_g - u_g, with v_g = y' R_g y for y = C^-1 x and
    u_g = tr(C^-1 R_g). The update w_g <- w_g v_g / u_g rests where the gradient is 0. It starts from a spectrum
    that falls with the square of the frequency. The likelihood alone would put all power into few
    atoms. Early updates still resemble the start, which acts as a prior for smooth spectra. So the
    forecast is an average over the updates. The weight of each is the probability density of the last
    quarter of the window, given the rest, in a model that has learned from the rest only. The level
    has a flat prior; the likelihood is restricted accordingly.

    Only the last 1,000 samples of a window are used.

    Args:
        updates: number of updates of the weights.

    Raises:
        ValueError: ``updates`` is not a whole number from 1 to 1,000, or the lookback has less than 8 samples.

    Sources: Stoica, Babu and Li (2011) for weights of a dictionary (SPICE), Stoica and Babu (2012) for the update
        (LIKES); Wilson and Adams (2013) and Foreman-Mackey et al. (2017) for such covariances; Hansen, Fleury and
        Rao (2018) for fast algorithms on uniform grids; Harville (1974) for the restricted likelihood; Dawid
        (1984) for weights by the density of what follows.

    Example:
        >>> time = torch.arange(100.0)
        >>> ringing = torch.exp(-time / 50) * torch.sin(2 * torch.pi * time / 12)
        >>> [round(value, 1) for value in broad_lines()(ringing[None], 4)[0].tolist()]
        [0.1, 0.1, 0.0, -0.1]
    """

    updates: int = 20

    minimum = 8

    def __post_init__(self):
        self._set(updates=check_whole("updates", self.updates, maximum=1000))

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return torch.cat([self._infer(part, horizon).mean for part in self._parts(window)])

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        parts = [self._infer(part, horizon) for part in self._parts(window)]
        mean, std, noise = (torch.cat([getattr(part, name) for part in parts]) for name in ("mean", "std", "noise"))
        return mean, std, noise

    def spectrum(self, lookback: Tensor) -> tuple[Tensor, Tensor]:
        """The power of the lines by frequency, summed over their widths.

        Args:
            lookback: (B, N) windows.

        Returns:
            (F,) frequencies in cycles per sample, from 0 to 1/2, and (B, F) powers in the squared unit of the lookback.

        Raises:
            ValueError: the lookback is not (B, N), not finite or has less than 8 samples.
        """
        lookback, _ = check_lookback(lookback, 1, self.minimum, self.maximum)
        window, powers = Window.of(lookback), []
        for part in self._parts(window):
            inferred = self._infer(part, 1)
            powers.append((part.unit * inferred.unit).square() * inferred.likely.power())
        return inferred.likely.atoms.coarse, torch.cat(powers)

    def _parts(self, window: Window) -> list[Window]:
        window = window.recent(_LONGEST).centred()
        return window.split(max(1, _BATCH // window.x.shape[1]))

    def _infer(self, window: Window, horizon: int) -> "_Inference":
        """The average over the updates, for centred windows."""
        unit = window.x.square().mean(dim=1, keepdim=True).sqrt().clamp_min(torch.finfo(window.x.dtype).tiny)
        x = window.x / unit
        later = max(2, int(_LATER * x.shape[1]))
        learned = list(_updated(_start(x[:, :-later], later), self.updates))
        weights = _log_densities(learned, x).softmax(dim=0)  # (U, B)
        return _Inference(list(_updated(_start(x, horizon), self.updates)), weights, window.level, unit)


class _Atoms:
    """The dictionary for windows x (B, N) and continuations of H samples.

    Weights (B, G) belong first to the lines without width, at the multiples of 1 / (10 N), and then, width
    by width, to the lines with width, at the multiples of 1 / (4 N).
    """

    def __init__(self, x: Tensor, horizon: int):
        self.length, self.total = x.shape[1], x.shape[1] + horizon
        rates = torch.tensor(_WIDTHS, dtype=x.dtype, device=x.device)[:, None] / self.length
        self.decay = torch.exp(-rates * torch.arange(self.total).to(x))
        self.fine, self.coarse = (
            torch.arange(size // 2 + 1).to(x) / size for size in (_FINE * self.length, _SPACING * self.length)
        )

    def correlate(self, lags: Tensor) -> Tensor:
        """(B, G) sums of ``lags`` (B, N) times the autocovariance of each atom."""
        lines = torch.fft.rfft(lags, _FINE * self.length).real
        decaying = lags[:, None] * self.decay[:, : self.length]
        return torch.cat([lines, torch.fft.rfft(decaying, _SPACING * self.length).real.flatten(1)], dim=1)

    def autocovariance(self, weights: Tensor) -> Tensor:
        """(B, N + H) autocovariance of all atoms together at lags 0, 1, …"""
        lines, decaying = weights.split([len(self.fine), weights.shape[1] - len(self.fine)], dim=1)
        lags = self._cosines(decaying.unflatten(1, (len(_WIDTHS), -1))) * self.decay
        return self._cosines(lines) + lags.sum(dim=1)

    def _cosines(self, weights: Tensor) -> Tensor:
        """(…, N + H) sums of the cosines of F frequencies on a uniform grid from 0 to 1/2 with these weights (…, F)."""
        size = 2 * (weights.shape[-1] - 1)
        ends = torch.ones(weights.shape[-1]).to(weights)
        ends[[0, -1]] = 2  # the transform counts all frequencies but these twice
        lags = torch.fft.irfft((weights * ends).to(torch.complex128), size) * (size / 2)
        return lags[..., torch.arange(self.total, device=weights.device) % size]


@dataclass(frozen=True)
class _Model:
    """Weights of all atoms, and what follows from them for windows x (B, N) of mean 0 and variance 1.

    Attributes:
        x: (B, N).
        atoms: the dictionary.
        weights: (B, G) variances of the atoms.
        white: (B, 1) variance of the white noise.
        lags: (B, N + H) autocovariance without the white noise.
        first: (B, N) first column of C^-1.
        of_level: (B, N) C^-1 1.
        level: (B, 1) mean of the level.
        y: (B, N) C^-1 (x - level).
    """

    x: Tensor
    atoms: _Atoms
    weights: Tensor
    white: Tensor
    lags: Tensor
    first: Tensor
    of_level: Tensor
    level: Tensor
    y: Tensor

    @classmethod
    def of(cls, x: Tensor, atoms: _Atoms, weights: Tensor, white: Tensor) -> "_Model":
        """The model of these weights."""
        lags = atoms.autocovariance(weights)
        column = lags[:, : atoms.length].clone()
        column[:, :1] += white
        solved, first = solve_toeplitz(column, torch.stack([x, torch.ones_like(x)], dim=1))
        of_x, of_level = solved.unbind(dim=1)
        level = of_x.sum(dim=1, keepdim=True) / of_level.sum(dim=1, keepdim=True)
        return cls(x, atoms, weights, white, lags, first, of_level, level, of_x - level * of_level)

    def updated(self) -> "_Model":
        """The model after one update of all weights."""
        share = self.of_level / self.of_level.sum(dim=1, keepdim=True).sqrt()
        explained, expected = autocorrelation(self.y), diagonal_sums(self.first) - autocorrelation(share)
        v, u = self.atoms.correlate(explained).clamp_min(0), self.atoms.correlate(expected).clamp_min(0)
        weights = self.weights * (v + _UNKNOWN) / (u + _UNKNOWN)
        white = self.white * explained[:, :1] / expected[:, :1]
        new = _Model.of(self.x, self.atoms, weights, white.clamp_min(_LEAST))
        good = (new.first.isfinite() & new.y.isfinite()).all(dim=1, keepdim=True)
        if good.all():
            return new
        kept = torch.where(good, weights, self.weights)  # an update that rounding errors spoil is left out
        return _Model.of(self.x, self.atoms, kept, torch.where(good, new.white, self.white))

    def forecast(self) -> Tensor:
        """(B, H) the conditional mean of the continuation."""
        return self.level + (self._ahead() @ self.y[..., None])[..., 0]

    def variance(self) -> Tensor:
        """(B, H) the conditional variance of the clean continuation, with that of the level."""
        ahead = self._ahead()
        known = (ahead * solve_by_first_column(self.first, ahead)).sum(dim=2)
        missing = 1 - (ahead @ self.of_level[..., None])[..., 0]
        return (self.lags[:, :1] - known + missing.square() / self.of_level.sum(dim=1, keepdim=True)).clamp_min(0)

    def power(self) -> Tensor:
        """(B, F) power of the lines by frequency, at the multiples of 1 / (4 N)."""
        lines, wide = self.weights.split([len(self.atoms.fine), self.weights.shape[1] - len(self.atoms.fine)], dim=1)
        nearest = (self.atoms.fine * _SPACING * self.atoms.length).round().long()
        power = wide.unflatten(1, (len(_WIDTHS), -1)).sum(dim=1)
        return power.index_add(1, nearest, lines)

    def _ahead(self) -> Tensor:
        """(B, H, N) covariances of the continuation with the window."""
        return self.lags[:, 1:].unfold(1, self.atoms.length, 1).flip(2)


def _log_densities(models: list[_Model], x: Tensor) -> Tensor:
    """(U, B) log densities of the samples of x (B, N + H) after the first N, given these, for a level of flat prior.

    Each is the difference of two restricted log likelihoods.
    """
    lags = torch.stack([torch.cat([model.lags[:, :1] + model.white, model.lags[:, 1:]], dim=1) for model in models])
    signals = torch.stack([x, torch.ones_like(x)], dim=1).repeat(len(models), 1, 1)
    errors, powers = innovations(lags.flatten(0, 1), signals)
    of_x, of_level = (errors / powers[:, None].sqrt()).unbind(dim=1)
    ends = [models[0].atoms.length - 1, -1]
    sums = torch.stack([powers.log(), of_x.square(), of_x * of_level, of_level.square()]).cumsum(dim=2)[..., ends]
    determinant, square, cross, precision = sums  # (U B, 2)
    log_likelihood = -0.5 * (determinant + precision.log() + square - cross.square() / precision)
    densities = log_likelihood.diff(dim=1).unflatten(0, (len(models), -1))[..., 0]
    return densities.nan_to_num(nan=-torch.inf)


class _Inference:
    """An average over models of windows.

    Attributes:
        mean: (B, H) forecasts, in the unit of the windows.
        std: (B, H) standard deviation of the clean continuation.
        noise: (B, 1) standard deviation of the noise.
        likely: the model of the largest weight of each window.
        unit: (B, 1) unit of the models.
    """

    def __init__(self, models: list[_Model], weights: Tensor, level: Tensor, unit: Tensor):
        forecasts = torch.stack([model.forecast() for model in models])  # (U, B, H)
        mean = (weights[..., None] * forecasts).sum(dim=0)
        self.between = (weights[..., None] * (forecasts - mean).square()).sum(dim=0)
        self.mean, self.unit = level + unit * mean, unit
        self.models, self.places = models, weights.argmax(dim=0)

    @cached_property
    def likely(self) -> _Model:
        return _choose(self.models, self.places)

    @property
    def std(self) -> Tensor:
        return self.unit * (self.likely.variance() + self.between).sqrt()

    @property
    def noise(self) -> Tensor:
        return self.unit * self.likely.white.sqrt()


def _choose(models: list[_Model], places: Tensor) -> _Model:
    """For each window the model in its place (B,)."""
    weights, white = (torch.empty_like(part) for part in (models[-1].weights, models[-1].white))
    for place in places.unique().tolist():
        rows = places == place
        weights[rows], white[rows] = models[place].weights[rows], models[place].white[rows]
    return _Model.of(models[0].x, models[0].atoms, weights, white)


def _start(x: Tensor, horizon: int) -> _Model:
    """The model before the first update: power that falls with the square of the frequency, beside white noise."""
    atoms = _Atoms(x, horizon)
    lines = _SPACING / _FINE * _falling(atoms.fine, atoms.length)
    weights = torch.cat([lines, _falling(atoms.coarse, atoms.length).repeat(len(_WIDTHS))])
    weights = (weights / weights.sum()).expand(len(x), -1)
    return _Model.of(x, atoms, weights, torch.full_like(x[:, :1], _WHITE))


def _falling(frequencies: Tensor, length: int) -> Tensor:
    return frequencies.clamp_min(1 / (_SPACING * length)) ** -_FALL


def _updated(model: _Model, updates: int) -> Iterator[_Model]:
    """The model after each update, from that before the first on."""
    yield model
    for _ in range(updates):
        model = model.updated()
        yield model
