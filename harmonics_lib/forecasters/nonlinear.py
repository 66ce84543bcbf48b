"""Nonlinear least squares: sinusoids of any period, added one by one and refined together."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonics_lib.arguments import check_range, check_whole
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.window import Window
from harmonics_lib.signals.waves import exponentials

_OVERSAMPLING = 8  # of the periodogram in the search for a new sinusoid
_STEPS = 6  # of Gauss-Newton after each new sinusoid
_PATIENCE = 2  # consecutive sinusoids without a better criterion after which the search ends
_MOST = 1000  # largest number of sinusoids
_FLOOR = 1e-26  # mean square of the rounding errors of a window of peak 1


@dataclass(frozen=True)
class nonlinear_least_squares(Forecaster):
    """The sinusoids that fit a window best; the Bayesian information criterion selects their number.

    Sinusoids are added one by one. Each starts at the strongest peak in the periodogram of the
    residual; then Gauss-Newton refines all of them together. For white noise and few sinusoids this is
    maximum likelihood. The number K minimises N log(residual power) + 5 K log N. The precision of a
    frequency is N^-3/2, so it counts as three parameters, amplitude and phase as one each.

    Args:
        most: largest number of sinusoids.
        frequencies: lowest and highest frequency, in cycles per sample.

    Raises:
        ValueError: a setting is out of range, or the lookback has less than 12 samples.

    Sources: Li and Stoica (1996), RELAX; Mamandipoor, Ramasamy and Madhow (2016), Newtonized matching pursuit;
    Djuric (1996) for the criterion.
    """

    most: int = 20
    frequencies: tuple[float, float] = (1 / 110, 0.5)

    minimum = 12

    def __post_init__(self):
        most = check_whole("most", self.most, maximum=_MOST)
        self._set(most=most, frequencies=check_range("frequencies", self.frequencies))
        low, high = self.frequencies
        if not 0 < low <= high <= 0.5:
            raise ValueError(
                f"frequencies must be a (low, high) pair with 0 < low <= high <= 0.5, got {self.frequencies!r}"
            )

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        fit = window.once(SinusoidFit, self.frequencies)
        found, counts = fit.best(min(self.most, window.x.shape[1] // 4))
        return continue_sinusoids(window.x, found, counts, horizon)[0]


def fit_sinusoids(x: Tensor, most: int, frequencies: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """(B, most) frequencies of the sinusoids in windows x (B, N), NaN where unused, and (B,) their numbers."""
    return SinusoidFit(x, frequencies).best(most)


class SinusoidFit:
    """Sinusoids of windows x (B, N), added one by one; a request for more resumes the search.

    Args:
        x: (B, N) windows.
        frequencies: lowest and highest frequency, in cycles per sample.
    """

    def __init__(self, x: Tensor, frequencies: tuple[float, float]):
        self.x, self.ends = x, frequencies
        self._criteria = [_criterion(x, 0)]  # (B,) after each number of sinusoids, infinite where the search has ended
        self._frequencies = [x.new_zeros(len(x), 0)]  # (B, k) after k of them
        self._rows, self._failures = torch.arange(len(x), device=x.device), torch.zeros_like(x[:, 0], dtype=torch.long)
        self._residual = x  # of the windows in ``_rows``, whose search has not ended

    def best(self, most: int) -> tuple[Tensor, Tensor]:
        """(B, most) frequencies by the information criterion, NaN where unused, and (B,) their numbers."""
        while len(self._criteria) <= most and len(self._rows):
            self._add()
        counts = torch.stack(self._criteria[: most + 1]).argmin(dim=0)
        chosen = self.x.new_full((len(self.x), most), math.nan)
        for count, frequencies in enumerate(self._frequencies[: most + 1]):
            rows = counts == count
            chosen[rows, :count] = frequencies[rows]
        return chosen, counts

    def _add(self) -> None:
        """Add one sinusoid to the windows whose search has not ended."""
        rows, count = self._rows, len(self._criteria)
        start = torch.cat([self._frequencies[-1][rows], _peak(self._residual, self.ends)[:, None]], dim=1)  # (b, count)
        found, residual = _refine(start, self.x[rows], self.ends)
        criterion, best = _criterion(residual, count), torch.stack(self._criteria).amin(dim=0)[rows]
        self._criteria.append(torch.full_like(self._criteria[0], math.inf).index_copy(0, rows, criterion))
        self._frequencies.append(self.x.new_full((len(self.x), count), math.nan).index_copy(0, rows, found))
        failures = torch.where(criterion < best, 0, self._failures + 1)
        going = (failures < _PATIENCE) & (3 * (count + 1) < self.x.shape[1])
        self._rows, self._failures, self._residual = rows[going], failures[going], residual[going]


def continue_sinusoids(x: Tensor, found: Tensor, counts: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Continue windows x (B, N) by sinusoids of the first ``counts`` (B,) of frequencies (B, K).

    Returns:
        Continuations (B, horizon) and residuals (B, N).
    """
    ahead, residual = x.new_zeros(len(x), horizon), x.clone()
    for count in counts.unique().tolist():  # windows with equally many sinusoids at once; without any, 0
        if count > 0:
            same = counts == count
            ahead[same], residual[same] = _continue(x[same], found[same, :count], horizon)
    return ahead, residual


def _criterion(residual: Tensor, count: int) -> Tensor:
    """(B,) the Bayesian information criterion of ``count`` sinusoids that leave a residual (B, N)."""
    length = residual.shape[1]
    return length * residual.square().mean(dim=1).clamp_min(_FLOOR).log() + 5 * count * math.log(length)


def _peak(residual: Tensor, frequencies: tuple[float, float]) -> Tensor:
    """(B,) frequency of the highest point of the periodogram of (B, N) within the range."""
    size = _OVERSAMPLING * residual.shape[1]
    power = torch.fft.rfft(residual, size).abs()
    grid = torch.arange(power.shape[1]).to(residual) / size
    inside = (grid >= frequencies[0]) & (grid <= frequencies[1])
    return grid[torch.where(inside, power, -1.0).argmax(dim=1)]


def _refine(found: Tensor, x: Tensor, frequencies: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Frequencies (B, K) after steps of Gauss-Newton, each made only where it lowers the residual, (B, N)."""
    amplitudes, waves, residual = _amplitudes(found, x)
    time = _centred(x.shape[1], 0, x.shape[1]).to(x)
    for _ in range(_STEPS):
        slopes = (2j * math.pi * time[:, None] * waves * amplitudes.conj()[:, None]).real  # (B, N, K)
        columns = torch.cat([waves.real, waves.imag, slopes], dim=2)  # (B, N, 3 K)
        step = _solve(columns, residual, damping=1e-9)[:, 2 * found.shape[1] :]
        reach = 0.25 / x.shape[1]
        moved = (found + step.clamp(-reach, reach)).clamp(*frequencies)
        tried = _amplitudes(moved, x)
        better = tried[2].square().sum(dim=1) <= residual.square().sum(dim=1)
        found = torch.where(better[:, None], moved, found)
        amplitudes = torch.where(better[:, None], tried[0], amplitudes)
        waves = torch.where(better[:, None, None], tried[1], waves)
        residual = torch.where(better[:, None], tried[2], residual)
    return found, residual


def _amplitudes(found: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares for given frequencies (B, K): amplitudes (B, K), waves (B, N, K), residual (B, N)."""
    waves = exponentials(found, _centred(x.shape[1], 0, x.shape[1]))
    columns = torch.cat([waves.real, waves.imag], dim=2)  # (B, N, 2 K)
    fit = _solve(columns, x, damping=1e-11)
    real, imag = fit.chunk(2, dim=1)
    return torch.complex(real, imag), waves, x - (columns @ fit[..., None])[..., 0]


def _continue(x: Tensor, found: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """(B, horizon) samples after x (B, N) of the sinusoids of frequencies (B, K), and the residual (B, N)."""
    amplitudes, _, residual = _amplitudes(found, x)
    waves = exponentials(found, _centred(x.shape[1], x.shape[1], horizon))
    return (waves @ amplitudes.conj()[..., None])[..., 0].real, residual


def _centred(length: int, start: int, count: int) -> Tensor:
    """(count,) times from ``start`` on, relative to the middle of the window, where phase and frequency decouple."""
    return torch.arange(start, start + count) - (length - 1) / 2


def _solve(columns: Tensor, target: Tensor, damping: float) -> Tensor:
    """(B, K) least squares of (B, N) on columns (B, N, K) of any scale, damped relative to each column's power."""
    normal = columns.mT @ columns
    scale = normal.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(target.dtype).tiny).sqrt()
    normal = normal / scale[:, :, None] / scale[:, None] + damping * torch.eye(columns.shape[2]).to(columns)
    right = (columns.mT @ target[..., None]) / scale[..., None]
    return (torch.linalg.solve(normal, right) / scale[..., None])[..., 0]
