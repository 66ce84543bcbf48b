"""Sparse Bayesian forecasting: the posterior mean under a prior of few sinusoids with unknown periods."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from harmonics_lib.arguments import check_choice, check_whole
from harmonics_lib.forecasters.base import DistributionForecaster, check_noise_std
from harmonics_lib.forecasters.estimates import noise_level
from harmonics_lib.forecasters.nonlinear import SinusoidFit
from harmonics_lib.forecasters.toeplitz import diagonal_sums, solve_by_halves, toeplitz
from harmonics_lib.forecasters.window import Window
from harmonics_lib.signals.process import HarmonicProcess, check_process
from harmonics_lib.signals.waves import exponentials

_LEAST_NOISE = 1e-6  # variance, relative to the window's power: below, rounding decides forecasts (see ``_gaussian``)
LONGEST = 2000  # samples of a window that are read
_LOUDEST = 1e100  # standard deviation of noise, in peaks: beyond, its square is no number
CHUNK = 64  # windows at once: 7 MB of waves for N = 100
SLACK = 1.3  # of the slab's variance, see ``Belief.slab``; ``experiments/tuning.py`` varies it
_KEPT = 64  # frequencies that may leave the grid
_TOLERANCE = 1.1  # unexplained variance that a move off the grid may leave, relative to that before it
_FEW = {1: 1.1, 2: 1.03}  # the same for a start from so many sinusoids
_ABSENT = 1e6  # precision of what is taken for absent, relative to the window's power
_MOVES = 4  # off the grid
_STEPS_A_MOVE = 5  # of expectation propagation
_TRENDS = {None: 0, "level": 1, "line": 2}  # powers of time


@dataclass(frozen=True)
class sparse_bayesian(DistributionForecaster):
    """The posterior mean under a prior of few sinusoids from the process, by expectation propagation.

    Each frequency of a dictionary is either absent or has Gaussian sine and cosine amplitudes (a
    spike and a slab). The forecast averages over choices of frequencies, in contrast to the evidence
    maximum of Tipping (2001), which selects one. For whole-number periods the dictionary is the periods.
    For continuous periods it is a grid of spacing 1 / (4 N). Its strongest frequencies are then
    refined; they start from the sinusoids of nonlinear least squares if these are few. The presence,
    number and power of the frequencies are estimated from each window. So is the noise, with a lower
    limit of a thousandth of the window's root mean square. (``auto_forecaster`` continues windows
    without noise exactly.)

    Its ``distribution`` is the last Gaussian approximation of the posterior of the amplitudes and, to
    first order, of continuous frequencies. It neglects the uncertainty of the noise and of the number of
    components and, for continuous periods, other choices of frequencies.

    Args:
        process: distribution of the periods, and range of the number of components.
        noise_std: standard deviation of the noise in the unit of the lookback; None to start at
            ``noise_level`` and to re-estimate it from what is left unexplained.
        iterations: of expectation propagation; 30 suffice for windows of 100 samples. For continuous
            periods half of them are made on the grid, and 20 more off it.
        trend: None, "level" for a constant with a flat prior, or "line" for a constant and a slope with a
            spike-and-slab prior.

    Only the last 2,000 samples of a window are used, because the cost grows with the cube of the length. (For a
    longer window of slow sinusoids, use every second or tenth sample.)

    Raises:
        ValueError: a setting is out of range, or the lookback has less than 12 samples (13 with a level, 14 with a
            line).

    Sources: Minka (2001) for expectation propagation, Hernandez-Lobato et al. (2013) for spikes and
    slabs in groups, Yang et al. (2013) for frequencies off the grid.

    Example:
        >>> lookback = torch.sin(2 * math.pi * torch.arange(100.0) / 12)[None]
        >>> forecast = sparse_bayesian(HarmonicProcess((1, 5), (2, 99)))(lookback, 2)
        >>> [round(value, 2) for value in forecast[0].tolist()]
        [0.87, 0.5]
    """

    process: HarmonicProcess
    noise_std: float | None = None
    iterations: int = 30
    trend: str | None = None

    def __post_init__(self):
        check_process(self.process)
        self._set(noise_std=check_noise_std(self.noise_std))
        self._set(iterations=check_whole("iterations", self.iterations, maximum=1000))
        if self.trend is not None:
            check_choice("trend", self.trend, ("level", "line"))

    @property
    def minimum(self) -> int:
        return 12 + _TRENDS[self.trend]

    def _distribution(self, window: Window, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        noise = None if self.noise_std is None else self.noise_std / window.unit
        if noise is not None and (noise > _LOUDEST).any():
            raise ValueError(f"noise_std must be at most {_LOUDEST:g} peaks of the window, got {self.noise_std:g}")
        window = window.recent(LONGEST)
        window = window.centred() if self.trend else window
        parts = zip(window.split(CHUNK), [None] * len(window) if noise is None else noise.split(CHUNK), strict=False)
        inferred = [infer(part, horizon, self.process, std, self.iterations, self.trend) for part, std in parts]
        mean, std, noise = (torch.cat([getattr(one, name) for one in inferred]) for name in ("mean", "std", "noise"))
        return mean + window.level, std, noise


@dataclass(frozen=True)
class Inference:
    """The result of expectation propagation for a batch of windows, in the unit of the windows.

    Attributes:
        mean: (B, H) mean of the clean continuation.
        std: (B, H) its standard deviation.
        noise: (B, 1) standard deviation of the noise.
        trend: (B, N + H) trend over window and continuation.
    """

    mean: Tensor
    std: Tensor
    noise: Tensor
    trend: Tensor


def infer(
    window: Window,
    horizon: int,
    process: HarmonicProcess,
    noise_std: Tensor | None = None,
    iterations: int = 30,
    trend: str | None = None,
    slack: float = SLACK,
) -> Inference:
    """The inference of ``sparse_bayesian`` for windows, which must be centred if there is a ``trend``.

    Args:
        window: the windows (B, N).
        horizon: samples to forecast.
        process: as in ``sparse_bayesian``.
        noise_std: (B, 1) standard deviation of the noise in the unit of the windows; None to estimate it.
        iterations: as in ``sparse_bayesian``.
        trend: as in ``sparse_bayesian``.
        slack: factor of the slab's variance (see ``Belief.slab``).
    """
    x, length = window.x, window.x.shape[1]
    powers = powers_of_time(length, horizon, _TRENDS[trend]).to(x)
    scale = detrend(x, powers).square().mean(dim=1, keepdim=True).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    variance = ((window.once(noise_level)[:, None] if noise_std is None else noise_std) / scale).square()[:, 0]
    grid, mass = (table.to(x) for table in process.prior(spacing=1 / (4 * length)))
    known = noise_std is not None
    belief = _prior_belief(x / scale, powers[:length], mass, process.components, variance, known, slack)
    frequencies, belief, cell = _fit(belief, grid, process, iterations, window)
    waves = exponentials(frequencies, torch.arange(length + horizon))
    posterior = _gaussian(belief, waves[..., :length, :])
    line = posterior.trend @ powers.T  # (B, N + H)
    mean = _synthesise(waves[..., length:, :], posterior.mean[:, None])[:, 0] + line[:, length:]
    std = _predictive_std(belief, posterior, waves, powers[length:], cell)
    return Inference(scale * mean, scale * std, scale * belief.noise.sqrt()[:, None], scale * line)


def beliefs(x: Tensor, process: HarmonicProcess, iterations: int = 30) -> Iterator["Belief"]:
    """The belief about windows x (B, N) of power 1 before and after each step of expectation propagation.

    The frequencies are those of whole periods, or a fixed grid for continuous periods.
    """
    grid, mass = (table.to(x) for table in process.prior(spacing=1 / (4 * x.shape[1])))
    powers, noise = powers_of_time(x.shape[1], 0, 0).to(x), noise_level(x).square()
    belief = _prior_belief(x, powers, mass, process.components, noise, known=False)
    yield belief
    yield from _steps(belief, exponentials(grid, torch.arange(x.shape[1])), iterations)


def _steps(belief: "Belief", waves: Tensor, count: int) -> Iterator["Belief"]:
    """The belief after each of ``count`` steps on fixed frequencies, from a prior belief."""
    for step in range(count):
        belief = _propagate(belief, waves, first=step == 0)
        yield belief


def powers_of_time(length: int, horizon: int, count: int) -> Tensor:
    """(length + horizon, count) powers of time, which is scaled to -1 to 1 over the window."""
    time = torch.arange(length + horizon, dtype=torch.float64) * 2 / (length - 1) - 1
    return time[:, None] ** torch.arange(count)


def detrend(x: Tensor, powers: Tensor) -> Tensor:
    """(B, N) residuals of the least-squares fit of powers (N or more, k) of time to windows x (B, N)."""
    powers = powers[: x.shape[1]]
    return x - x @ torch.linalg.pinv(powers).T @ powers.T


def _predictive_std(belief: "Belief", posterior: "_Gaussian", waves: Tensor, powers: Tensor, cell: float) -> Tensor:
    """(B, H) standard deviation of the clean continuation, for waves (…, N + H, P) over window and continuation.

    This is Gaussian process regression. The covariance contains the factors' variances and, to first
    order, frequencies that are uniform in a ``cell`` (see ``_move``). The uncertainty of the trend, of
    ``powers`` (H, k), is added (Rasmussen and Williams 2006, eq. 2.42).
    """
    length, variance = belief.x.shape[1], 1 / belief.precision
    lags = _synthesise(waves, variance.to(waves.dtype)[:, None])[:, 0]  # (B, N + H) autocovariance
    covariance = toeplitz(lags, length)  # (B, N + H, N) of all samples with the window's
    prior = lags[:, :1]
    if cell > 0:
        slopes = cell / math.sqrt(12) * _slopes(waves, posterior.mean, length)  # (B, N + H, P)
        covariance = covariance + slopes @ slopes[:, :length].mT
        prior = prior + slopes[:, length:].square().sum(dim=2)
    noise = belief.noise[:, None, None] * torch.eye(length).to(covariance)
    cholesky = torch.linalg.cholesky(covariance[:, :length] + noise)
    known = torch.linalg.solve_triangular(cholesky, covariance[:, length:].mT, upper=False)  # (B, N, H)
    turned = torch.linalg.solve_triangular(cholesky, belief.trend.powers.expand(len(known), -1, -1), upper=False)
    missing = powers.mT - turned.mT @ known  # (B, k, H)
    root = torch.linalg.cholesky(turned.mT @ turned + torch.diag_embed(belief.trend.precision))
    of_trend = torch.linalg.solve_triangular(root, missing, upper=False).square().sum(dim=1)
    return (prior - known.square().sum(dim=1) + of_trend).clamp_min(0).sqrt()


def _fit(
    belief: "Belief", grid: Tensor, process: HarmonicProcess, iterations: int, window: Window
) -> tuple[Tensor, "Belief", float]:
    """Frequencies (P,) or (B, P), the belief about them and the width of their cells, from a prior on a grid."""
    waves = exponentials(grid, torch.arange(belief.x.shape[1]))
    on_grid = process.integer_periods or len(grid) == 1
    *_, belief = _steps(belief, waves, iterations if on_grid else (iterations + 1) // 2)
    if on_grid:
        return grid, belief, 0.0
    low, high = process.periods
    cell = (1 / low - 1 / high) / len(grid)
    return *_leave_grid(*_select_strongest(belief, waves, grid), (1 / high, 1 / low), cell, window), cell


def _select_strongest(belief: "Belief", waves: Tensor, grid: Tensor) -> tuple["Belief", Tensor]:
    """The belief about the K frequencies of the largest expected power, and these frequencies (B, K)."""
    posterior = _gaussian(belief, waves)
    power = posterior.mean.abs().square() + 2 * posterior.variance
    kept = power.topk(min(_KEPT, len(grid)), dim=1).indices.sort(dim=1).values  # (B, K)
    names = ("precision", "shift", "probability")
    gathered = {name: getattr(belief, name).gather(1, kept) for name in names}
    return replace(belief, mass=belief.mass[kept], **gathered), grid[kept]


def _leave_grid(
    belief: "Belief", grid: Tensor, ends: tuple[float, float], cell: float, window: Window
) -> tuple[Tensor, "Belief"]:
    """Frequencies (B, K), refined from the grid, and the belief about them.

    Gauss-Newton refines all frequencies together. If nonlinear least squares finds few sinusoids, these
    are the first step. A step that increases the residual of a window is rejected and halved.

    Args:
        belief: on the grid.
        grid: (B, K) frequencies.
        ends: lowest and highest frequency.
        cell: spacing of the grid.
        window: the windows.
    """
    length = belief.x.shape[1]
    frequencies, reach = grid, torch.ones_like(belief.noise)
    belief, unexplained = _explain(belief, exponentials(grid, torch.arange(length)))
    for move in range(_MOVES):
        turned, moved = _move(belief, frequencies, grid, cell, reach)
        tolerance = torch.full_like(unexplained, _TOLERANCE)
        if move == 0:
            turned, moved, tolerance = _start_from_few(turned, moved, tolerance, ends, window)
        waves = exponentials(moved, torch.arange(length))
        for _ in range(_STEPS_A_MOVE):
            turned = _propagate(turned, waves)
        turned, left = _explain(turned, waves)
        better = left <= tolerance * unexplained
        belief = _choose(better, turned, belief)
        frequencies = torch.where(better[:, None], moved, frequencies)
        unexplained = torch.where(better, left, unexplained)
        reach = torch.where(better, reach, reach / 2)
    return frequencies, belief


def _start_from_few(
    belief: "Belief", frequencies: Tensor, tolerance: Tensor, ends: tuple[float, float], window: Window
) -> tuple["Belief", Tensor, Tensor]:
    """Replace belief, frequencies (B, K) and tolerance (B,) for windows with few sinusoids by nonlinear least squares.

    Each sinusoid then replaces the nearest frequency, with a vague amplitude, and all other frequencies
    are absent, so that neighbours no longer share the sinusoid.
    """
    if belief.trend.powers.shape[1] == 0:
        fit = window.once(SinusoidFit, ends)
    else:
        trend = (
            _gaussian(belief, exponentials(frequencies, torch.arange(belief.x.shape[1]))).trend @ belief.trend.powers.T
        )
        fit = SinusoidFit(belief.x - trend, ends)
    found, counts = fit.best(max(_FEW) + 1)
    nearest = (found[:, :, None] - frequencies[:, None]).abs().nan_to_num(math.inf).argmin(dim=2)
    places = torch.where(found.isnan(), frequencies.shape[1], nearest)  # a spare one for what is NaN
    present = pad(torch.zeros_like(frequencies), (0, 1)).scatter(1, places, 1.0)[:, :-1] > 0
    precision = torch.where(present, 0.1 / belief.slab()[1], _ABSENT)
    started = replace(belief, precision=precision, shift=torch.zeros_like(belief.shift))
    few = (counts > 0) & (counts <= max(_FEW))
    for count, limit in _FEW.items():
        tolerance = torch.where(counts == count, limit, tolerance)
    moved = pad(frequencies, (0, 1)).scatter(1, places, found)[:, :-1]
    return _choose(few, started, belief), torch.where(few[:, None], moved, frequencies), tolerance


def _synthesise(waves: Tensor, amplitudes: Tensor) -> Tensor:
    """(B, S, N) real part of the sum of conj(amplitude) times wave: Re a multiplies the cosine, Im a the sine.

    waves: (N, P) or (B, N, P); amplitudes: (B, S, P), of S signals in each window.
    """
    return (amplitudes.conj() @ waves.mT).real


def _correlate(x: Tensor, waves: Tensor) -> Tensor:
    """(B, S, P) sums over time of x (B, S, N) times the waves (N, P) or (B, N, P)."""
    return x.to(waves.dtype) @ waves


@dataclass(frozen=True)
class Belief:
    """The belief about B windows: a Gaussian factor for each of P amplitudes, and their common parameters.

    Attributes:
        x: (B, N) windows, whose power without the trend is 1.
        trend: the belief about the trend.
        mass: (P,) probability of each frequency for one component.
        components: range of the number of components.
        precision: (B, P), of the factor exp(-precision |a|^2 / 2 + Re(conj(shift) a)) of amplitude a.
        shift: (B, P), of the same factor.
        noise: (B,) variance of the noise.
        known: whether the noise is given instead of estimated.
        count: (B,) expected number of components.
        slack: factor of the slab's variance.
        probability: (B, P) that a frequency is present, after the last step.
    """

    x: Tensor
    trend: "Trend"
    mass: Tensor
    components: tuple[int, int]
    precision: Tensor
    shift: Tensor
    noise: Tensor
    known: bool
    count: Tensor
    slack: float
    probability: Tensor

    def slab(self) -> tuple[Tensor, Tensor]:
        """(B, P) probability that a frequency is present, and the variance of its amplitudes if it is.

        The number of components at a frequency is Poisson with mean count times mass. Components share
        the power that is not noise, and those at the same frequency add up. The slack accounts for
        the detection of the stronger ones only. Its value matters little: ``experiments/tuning.py`` varies it
        on windows of 1, 5 and 20 components from their own random stream ("slack of the slab").
        """
        present = -torch.expm1(-self.count[:, None] * self.mass)
        power = (1 - self.noise[:, None]).clamp_min(0.05)
        return present, self.slack * power * self.mass / present

    def with_noise(self, unexplained: Tensor) -> "Belief":
        """The belief with the unexplained variance (B,) as its noise, unless the noise is known."""
        return self if self.known else replace(self, noise=unexplained.clamp(_LEAST_NOISE, 0.9))


def _prior_belief(
    x: Tensor,
    powers: Tensor,
    mass: Tensor,
    components: tuple[int, int],
    noise: Tensor,
    known: bool = True,
    slack: float = SLACK,
) -> Belief:
    shape = (len(x), len(mass))
    belief = Belief(
        x,
        Trend.prior(x, powers),
        mass,
        components,
        precision=x.new_ones(shape),
        shift=torch.zeros(shape, dtype=torch.complex128, device=x.device),
        noise=(noise if known else noise.clamp_max(0.5)).clamp_min(_LEAST_NOISE),
        known=known,
        count=x.new_full((len(x),), math.sqrt(components[0] * components[1])),
        slack=slack,
        probability=x.new_ones(shape),
    )
    present, variance = belief.slab()
    return replace(belief, precision=1 / (present * variance), probability=present)


def _choose(first: Tensor, one: Belief, other: Belief) -> Belief:
    """The belief ``one`` for windows where ``first`` (B,) is true, else ``other``."""
    column = first[:, None]
    return replace(
        one,
        precision=torch.where(column, one.precision, other.precision),
        shift=torch.where(column, one.shift, other.shift),
        noise=torch.where(first, one.noise, other.noise),
        count=torch.where(first, one.count, other.count),
        trend=replace(
            one.trend,
            precision=torch.where(column, one.trend.precision, other.trend.precision),
            shift=torch.where(column, one.trend.shift, other.trend.shift),
        ),
    )


@dataclass(frozen=True)
class _Gaussian:
    """The posterior of the amplitudes under the factors of a belief.

    Attributes:
        mean: (B, P) complex amplitudes.
        variance: (B, P) mean of the variances of cosine and sine.
        unexplained: (B,) estimate of the noise variance from the residual (MacKay 1992).
        lags: (B, N) autocovariance of the window.
        rest: (B, N) window minus the factors' means.
        trend: (B, k) means of the coefficients of the trend.
        trend_variance: (B, k) their variances.
    """

    mean: Tensor
    variance: Tensor
    unexplained: Tensor
    lags: Tensor
    rest: Tensor
    trend: Tensor
    trend_variance: Tensor


def _gaussian(belief: Belief, waves: Tensor) -> _Gaussian:
    """Condition on the window. Its covariance C is Toeplitz, because sine and cosine have the same variance.

    A frequency needs only the trace of its block of C^-1, which is a sum over the diagonals of C^-1 times
    a cosine. All diagonals follow from the first column of C^-1 (Musicus 1985). A trend reduces C^-1
    (see ``Trend.condition``). The variance of an amplitude is a difference, which loses its
    digits if the noise is below 1e-6.
    """
    variance = 1 / belief.precision
    prior_mean = variance * belief.shift
    length = belief.x.shape[1]
    lags, explained = _synthesise(waves, torch.stack([variance.to(waves.dtype), prior_mean], dim=1)).unbind(dim=1)
    rest = belief.x - explained
    impulse = (torch.arange(length, device=rest.device) == 0).to(rest).expand_as(rest)
    lags = lags + belief.noise[:, None] * impulse  # autocovariance
    powers = belief.trend.powers.expand(len(rest), -1, -1)
    solutions = solve_by_halves(lags, torch.cat([impulse[..., None], rest[..., None], powers], dim=2))
    first = solutions[..., 0]  # (B, N)
    solved, half, trend, trend_variance = belief.trend.condition(rest, solutions[..., 1], solutions[..., 2:])
    traces, gradient = _correlate(torch.stack([diagonal_sums(first), solved], dim=1), waves).unbind(dim=1)
    traces = traces.real - _correlate(half, waves).abs().square().sum(dim=1)
    unexplained = belief.noise.square() * solved.square().sum(dim=1)
    fitted = (variance * traces).sum(dim=1) + (1 - belief.trend.precision * trend_variance).sum(dim=1)
    return _Gaussian(
        mean=prior_mean + variance * gradient,
        variance=(variance - variance.square() * traces / 2).clamp_min(1e-12),
        unexplained=unexplained / (length - fitted).clamp_min(1),
        lags=lags,
        rest=rest,
        trend=trend,
        trend_variance=trend_variance,
    )


@dataclass(frozen=True)
class Trend:
    """The belief about a trend beside the sinusoids: a Gaussian factor for each of its k coefficients.

    A level has a flat prior. A slope is present with probability 1/2. The variance of its slab is the power
    of the window plus the squared least-squares slope, so that the prior hardly shrinks it.

    Attributes:
        powers: (N, k) powers of time.
        slab: (B, k) variance of a coefficient that is present.
        precision: (B, k), of the factor exp(-precision c^2 / 2 + shift c) of coefficient c.
        shift: (B, k), of the same factor.
    """

    powers: Tensor
    slab: Tensor
    precision: Tensor
    shift: Tensor

    @staticmethod
    def prior(x: Tensor, powers: Tensor) -> "Trend":
        slab = 1 + (x @ torch.linalg.pinv(powers).T).square()  # (B, k)
        flat = torch.arange(powers.shape[1], device=x.device) == 0
        return Trend(powers, slab, torch.where(flat, 0.0, 2 / slab), torch.zeros_like(slab))

    def condition(self, target: Tensor, solved: Tensor, of_powers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reduce C^-1 in the presence of a trend to C^-1 - U U'.

        Args:
            target: (B, N).
            solved: (B, N) C^-1 target.
            of_powers: (B, N, k) C^-1 powers.

        Returns:
            The reduced C^-1 times target (B, N), U' (B, k, N), and means and variances (B, k) of the coefficients.

        Source: Rasmussen and Williams (2006), eqs. 2.41 and 2.42.
        """
        root = torch.linalg.cholesky(self.powers.mT @ of_powers + torch.diag_embed(self.precision))  # (B, k, k)
        half = torch.linalg.solve_triangular(root, of_powers.mT, upper=False)
        right = (of_powers.mT @ target[..., None])[..., 0] + self.shift
        mean = torch.cholesky_solve(right[..., None], root)  # (B, k, 1)
        variance = torch.cholesky_inverse(root).diagonal(dim1=1, dim2=2)
        return solved - (of_powers @ mean)[..., 0], half, mean[..., 0], variance

    def propagate(self, mean: Tensor, variance: Tensor, part: float) -> "Trend":
        """The factors after a step of expectation propagation (see ``_propagate``), given the (B, k) posterior."""
        even = torch.full_like(self.slab, 0.5)
        precision, shift, _ = _spike_and_slab(mean, variance, self.precision, self.shift, even, self.slab, 1)
        flat = self.precision == 0
        return replace(
            self,
            precision=torch.where(flat, 0.0, self.precision + part * (precision - self.precision)),
            shift=torch.where(flat, 0.0, self.shift + part * (shift - self.shift)),
        )


def _explain(belief: Belief, waves: Tensor) -> tuple[Belief, Tensor]:
    """The belief with its noise re-estimated, unless it is known, and the (B,) unexplained variance."""
    unexplained = _gaussian(belief, waves).unexplained
    return belief.with_noise(unexplained), unexplained.clamp(_LEAST_NOISE, 0.9)


def _spike_and_slab(
    mean: Tensor, variance: Tensor, precision: Tensor, shift: Tensor, present: Tensor, slab: Tensor, dimensions: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian factors with the mean and variance that a spike and a slab would give in their place.

    Args:
        mean: (B, …) posterior mean.
        variance: (B, …) posterior variance.
        precision: (B, …) of the old factors.
        shift: (B, …) of the old factors.
        present: (B, …) prior probability of the slab.
        slab: (B, …) variance of the slab.
        dimensions: 1 for a real coefficient, 2 for a complex one, whose variance is that of each part.

    Returns:
        Precision (of a variance of at most ten slabs) and shift of the new factors, and the probability of the slab.
    """
    cavity = (1 / variance - precision).clamp_min(1e-6)  # precision
    centre = (mean / variance - shift) / cavity
    shrink = slab * cavity / (1 + slab * cavity)
    odds = present.log() - torch.log1p(-present) - dimensions / 2 * torch.log1p(slab * cavity)
    probability = torch.sigmoid(odds + 0.5 * centre.abs().square() * cavity * shrink)
    expected = probability * shrink * centre
    square = probability * (shrink.square() * centre.abs().square() + dimensions * shrink / cavity)
    tilted = ((square - expected.abs().square()) / dimensions).clamp_min(1e-12)
    renewed = torch.maximum(1 / tilted - cavity, 1 / (10 * slab)).clamp_max(1e13)
    return renewed, expected * (renewed + cavity) - centre * cavity, probability


def _propagate(belief: Belief, waves: Tensor, first: bool = False, damping: float = 0.5) -> Belief:
    """One step of expectation propagation on all frequencies at once.

    Each factor is removed from the posterior, which leaves the cavity distribution, and the spike and slab
    are put in its place. The new factor is the Gaussian with the same mean and variance (with a variance
    of at most ten slabs). Steps are damped by one half, except the first, which starts from the prior.
    """
    posterior = _gaussian(belief, waves)
    if not first:
        belief = belief.with_noise(posterior.unexplained)
    present, slab = belief.slab()
    precision, shift, probability = _spike_and_slab(
        posterior.mean, posterior.variance, belief.precision, belief.shift, present, slab, 2
    )
    part = 1.0 if first else damping
    expected = (probability * belief.count[:, None] * belief.mass / present).sum(dim=1)
    count = belief.count if first else (belief.count + damping * (expected - belief.count)).clamp(*belief.components)
    return replace(
        belief,
        precision=belief.precision + part * (precision - belief.precision),
        shift=belief.shift + part * (shift - belief.shift),
        count=count,
        probability=probability,
        trend=belief.trend.propagate(posterior.trend, posterior.trend_variance, part),
    )


def _move(belief: Belief, frequencies: Tensor, grid: Tensor, cell: float, reach: Tensor) -> tuple[Belief, Tensor]:
    """A Gauss-Newton step of all frequencies (B, P), scaled by ``reach`` (B,), within a cell of the grid (P,).

    Amplitudes and displacements are estimated together. A displacement has the variance of the
    uniform distribution over a cell. Phases are constant at the middle of the window.
    """
    length = belief.x.shape[1]
    waves = exponentials(frequencies, torch.arange(length))
    posterior = _gaussian(belief, waves)
    slopes = _slopes(waves, posterior.mean, length)
    displaced = frequencies - grid
    covariance = toeplitz(posterior.lags) + cell**2 / 12 * slopes @ slopes.mT  # (B, N, N)
    target = posterior.rest + (slopes @ displaced[..., None])[..., 0]  # (B, N)
    columns = torch.cat([target[..., None], belief.trend.powers.expand(len(target), -1, -1)], dim=2)
    solutions = torch.cholesky_solve(columns, torch.linalg.cholesky(covariance))
    solved, *_ = belief.trend.condition(target, solutions[..., 0], solutions[..., 1:])
    displacement = (cell**2 / 12 * slopes.mT @ solved[..., None])[..., 0].clamp(-cell, cell)
    step = reach[:, None] * (displacement - displaced)
    angle = math.pi * step * (length - 1)
    turn = torch.polar(torch.ones_like(angle), angle)
    return replace(belief, shift=belief.shift * turn), frequencies + step


def _slopes(waves: Tensor, amplitudes: Tensor, length: int) -> Tensor:
    """(B, T, P) derivative of a signal with respect to each frequency, with phases constant at mid-window."""
    time = torch.arange(waves.shape[-2]).to(amplitudes.real) - (length - 1) / 2
    return (2j * math.pi * time[:, None] * waves * amplitudes.conj()[:, None]).real
