"""Sparse Bayesian forecasting: few sinusoids of unknown periods, averaged over what they may be."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harmonics_lib.classical import least_squares, noise_level
from harmonics_lib.forecasting import Forecaster, check_noise_std, check_whole, window_forecaster
from harmonics_lib.signals import HarmonicProcess

_LEAST_NOISE = 1e-10  # variance, relative to the window's power: below, the window's covariance is singular
_CHUNK = 256  # windows at once: 80 MB of waves for N = 100
_CLEAN = 1e-5  # unexplained variance below which a window may be free of noise
_SLACK = 1.3
_MOVES = 4
_STEPS_A_MOVE = 5
_EXACT_STEPS = 12


def sparse_bayesian(process: HarmonicProcess, noise_std: float | None = None, iterations: int = 30) -> Forecaster:
    """The mean of the future under a prior of few sinusoids from the process, by expectation propagation.

    Each frequency of a dictionary is either absent or has Gaussian sine and cosine amplitudes (a
    spike and a slab): sparse Bayesian learning that averages over the choices of frequencies
    where the evidence maximum of Tipping (2001) keeps one. For whole-number periods the dictionary
    is the periods. For continuous ones it is a grid of spacing 1 / (4 N), whose frequencies are
    then moved to where the window has its own. Learned from each window: which frequencies, how
    many, their power, and the noise.

    Args:
        process: distribution of the periods, and range of the number of components.
        noise_std: standard deviation of the noise in the unit of the lookback; None to start at
            ``noise_level`` and to re-estimate it from what is left unexplained.
        iterations: of expectation propagation; 30 suffice for windows of 100 samples.

    Raises:
        ValueError: settings out of range, or a lookback shorter than 12 samples.

    Sources: Minka (2001) for expectation propagation, Hernandez-Lobato et al. (2013) for spikes and
    slabs in groups, Yang et al. (2013) for frequencies off the grid.
    """
    check_noise_std(noise_std)
    check_whole("iterations", iterations)

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        scale = x.square().mean(dim=1, keepdim=True).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        noise = torch.full_like(scale, math.nan if noise_std is None else noise_std) / (unit * scale)
        parts = zip((x / scale).split(_CHUNK), noise[:, 0].square().split(_CHUNK), strict=True)
        return scale * torch.cat([_forecast(part, horizon, process, known, iterations) for part, known in parts])

    return window_forecaster(estimate, minimum=12)


def _forecast(x: Tensor, horizon: int, process: HarmonicProcess, noise: Tensor, iterations: int) -> Tensor:
    """(B, horizon) forecasts of windows x (B, N) of power 1; noise: (B,) variances, NaN where they are unknown."""
    frequencies, posterior = _fit(x, process, noise, iterations)
    ahead = _synthesise(_waves(frequencies, x.shape[1], horizon), posterior.mean)
    clean = noise.isnan() & (posterior.unexplained < _CLEAN)
    if clean.any():
        found = frequencies.expand(len(x), -1)[clean], posterior.mean[clean]
        ahead[clean] = _exact_or(ahead[clean], x[clean], *found, moving=not process.integer_periods)
    return ahead


def _fit(x: Tensor, process: HarmonicProcess, noise: Tensor, iterations: int) -> tuple[Tensor, "_Gaussian"]:
    """(P,) or (B, P) frequencies and the posterior; arguments as for ``_forecast``."""
    length = x.shape[1]
    low, high = process.periods
    grid, mass = (table.to(x) for table in process.prior(spacing=1 / (4 * length)))
    waves = _waves(grid, 0, length)
    belief = _prior_belief(x, mass, process.components, noise)
    for step in range(iterations):
        belief = _propagate(belief, waves, first=step == 0)
    if process.integer_periods:
        return grid, _gaussian(belief, waves)
    cell = (1 / low - 1 / high) / len(grid)
    frequencies, reach = grid.expand(len(x), -1), x.new_ones(len(x))
    belief, unexplained = _explain(belief, _waves(frequencies, 0, length))
    for _ in range(_MOVES):
        turned, moved = _move(belief, frequencies, grid, cell, reach)
        waves = _waves(moved, 0, length)
        turned, _ = _explain(turned, waves)
        for _ in range(_STEPS_A_MOVE):
            turned = _propagate(turned, waves)
        turned, left = _explain(turned, waves)
        better = left <= 1.1 * unexplained  # where a move diverges it is taken back, and tried at half its length
        belief = _choose(better, turned, belief)
        frequencies = torch.where(better[:, None], moved, frequencies)
        unexplained, reach = torch.where(better, left, unexplained), torch.where(better, reach, reach / 2)
    return frequencies, _gaussian(belief, _waves(frequencies, 0, length))


def _waves(frequencies: Tensor, start: int, length: int) -> Tensor:
    """(…, length, P) of exp(2 pi i f t) for t from ``start`` on."""
    time = torch.arange(start, start + length).to(frequencies)
    angles = 2 * math.pi * frequencies[..., None, :] * time[:, None]  # (…, 1, P) (length, 1)
    return torch.polar(torch.ones_like(angles), angles)


def _synthesise(waves: Tensor, amplitudes: Tensor) -> Tensor:
    """(B, N) real part of the sum of conj(amplitude) times wave: Re a multiplies the cosine, Im a the sine."""
    conjugate = amplitudes.conj()
    if waves.ndim == 2:
        return (conjugate @ waves.T).real  # (B, P) (P, N)
    return (waves @ conjugate[..., None])[..., 0].real  # (B, N, P) (B, P, 1)


def _correlate(x: Tensor, waves: Tensor) -> Tensor:
    """(B, P) sums over time of x (B, N) times the waves (N, P) or (B, N, P)."""
    return x @ waves if waves.ndim == 2 else (x[:, None] @ waves)[:, 0]  # (B, 1, N) (B, N, P)


@dataclass(frozen=True)
class _Belief:
    """What is believed of B windows: a Gaussian factor for each of P amplitudes, and what these have in common.

    Attributes:
        x: (B, N) windows of power 1.
        mass: (P,) probability of each frequency for one component.
        components: range of the number of components.
        precision, shift: (B, P) the factor exp(-precision |a|^2 / 2 + Re(conj(shift) a)) of amplitude a.
        noise: (B,) variance of the noise; known: (B,) whether it was given.
        count: (B,) expected number of components.
    """

    x: Tensor
    mass: Tensor
    components: tuple[int, int]
    precision: Tensor
    shift: Tensor
    noise: Tensor
    known: Tensor
    count: Tensor

    def slab(self) -> tuple[Tensor, Tensor]:
        """(B, P) probability that a frequency is present, and the variance of its amplitudes if it is.

        Components fall on frequencies like Poisson points of mean count times mass, and share the
        power that is not noise; several that fall on one add up. Those that are seen are the
        stronger ones, hence the slack (chosen on signals that no result of the report rests on).
        """
        present = -torch.expm1(-self.count[:, None] * self.mass)
        power = (1 - self.noise[:, None]).clamp_min(0.05)
        return present, _SLACK * power * self.mass / present


def _prior_belief(x: Tensor, mass: Tensor, components: tuple[int, int], noise: Tensor) -> _Belief:
    shape, known = (len(x), len(mass)), ~noise.isnan()
    level = torch.where(known, noise, noise_level(x).square().clamp_max(0.5))
    belief = _Belief(
        x,
        mass,
        components,
        precision=x.new_ones(shape),
        shift=torch.zeros(shape, dtype=torch.complex128, device=x.device),
        noise=level.clamp_min(_LEAST_NOISE),
        known=known,
        count=x.new_full((len(x),), math.sqrt(components[0] * components[1])),
    )
    present, variance = belief.slab()
    return replace(belief, precision=1 / (present * variance))


def _choose(first: Tensor, one: _Belief, other: _Belief) -> _Belief:
    """Of each window the belief ``one`` where ``first`` (B,), else ``other``."""
    column = first[:, None]
    return replace(
        one,
        precision=torch.where(column, one.precision, other.precision),
        shift=torch.where(column, one.shift, other.shift),
        noise=torch.where(first, one.noise, other.noise),
        count=torch.where(first, one.count, other.count),
    )


@dataclass(frozen=True)
class _Gaussian:
    """The posterior of the amplitudes under the factors of a belief.

    Attributes:
        mean: (B, P) complex amplitudes; variance: (B, P), the mean of the cosine's and the sine's.
        unexplained: (B,) the noise variance that what is left of the window speaks for (MacKay 1992).
        cholesky: (B, N, N) factor of the window's covariance; rest: (B, N) window minus the factors' means.
    """

    mean: Tensor
    variance: Tensor
    unexplained: Tensor
    cholesky: Tensor
    rest: Tensor


def _gaussian(belief: _Belief, waves: Tensor) -> _Gaussian:
    """Condition on the window. Its covariance C is Toeplitz, for sine and cosine share a variance.

    A frequency needs only the trace of its block of C^-1, a sum over the diagonals of C^-1 times a
    cosine; all diagonals follow from the first column of C^-1 (Musicus 1985). The
    variance of an amplitude is a difference: below a noise of 1e-6 its digits are few.
    """
    variance = 1 / belief.precision
    prior_mean = variance * belief.shift
    rest = belief.x - _synthesise(waves, prior_mean)
    length = rest.shape[1]
    lags = _synthesise(waves, torch.complex(variance, torch.zeros_like(variance)))  # autocovariance
    lags[:, 0] += belief.noise
    time = torch.arange(length, device=rest.device)
    cholesky = torch.linalg.cholesky(lags[:, (time[:, None] - time).abs()])  # (B, N, N), Toeplitz
    impulse = (time == 0).to(rest).expand_as(rest)
    both = torch.stack([impulse, rest], dim=2)  # (B, N, 2)
    first, solved = torch.cholesky_solve(both, cholesky).unbind(dim=2)  # (B, N) each
    traces = _correlate(_diagonal_sums(first), waves.real)
    unexplained = belief.noise.square() * solved.square().sum(dim=1)
    return _Gaussian(
        mean=prior_mean + variance * _correlate(solved.to(waves.dtype), waves),
        variance=(variance - variance.square() * traces / 2).clamp_min(1e-12),
        unexplained=unexplained / (length - (variance * traces).sum(dim=1)).clamp_min(1),
        cholesky=cholesky,
        rest=rest,
    )


def _diagonal_sums(first: Tensor) -> Tensor:
    """(B, N) sums of the inverse of a symmetric Toeplitz matrix along its diagonals 0, ±1, …, from its first column."""
    length = first.shape[1]
    time = torch.arange(length).to(first)
    predictor = first / first[:, :1]
    spectrum = torch.fft.rfft(predictor, 2 * length)  # (B, N + 1)
    plain = torch.fft.irfft(spectrum.abs().square(), 2 * length)[:, :length]
    weighted = torch.fft.rfft(predictor * (length - 2 * time), 2 * length).conj() * spectrum
    sums = first[:, :1] * (torch.fft.irfft(weighted, 2 * length)[:, :length] - time * plain)
    return torch.cat([sums[:, :1], 2 * sums[:, 1:]], dim=1)  # (B, N)


def _explain(belief: _Belief, waves: Tensor) -> tuple[_Belief, Tensor]:
    """The belief with its noise re-estimated, unless it is known, and the (B,) unexplained variance."""
    unexplained = _gaussian(belief, waves).unexplained.clamp(_LEAST_NOISE, 0.9)
    return replace(belief, noise=torch.where(belief.known, belief.noise, unexplained)), unexplained


def _propagate(belief: _Belief, waves: Tensor, first: bool = False, damping: float = 0.5) -> _Belief:
    """One step of expectation propagation on all frequencies at once.

    Each factor is taken out of the posterior (what is left is the cavity, Gaussian in the
    amplitude), the spike and slab put in its place, and the factor becomes the one that gives the
    same mean and variance (as far as a variance of ten slabs allows). The first step starts
    from the prior and goes all the way.
    """
    posterior = _gaussian(belief, waves)
    if not first:
        unexplained = posterior.unexplained.clamp(_LEAST_NOISE, 0.9)
        belief = replace(belief, noise=torch.where(belief.known, belief.noise, unexplained))
    present, slab = belief.slab()
    cavity = (1 / posterior.variance - belief.precision).clamp_min(1e-6)  # precision
    centre = (posterior.mean / posterior.variance - belief.shift) / cavity
    shrink = slab * cavity / (1 + slab * cavity)
    odds = present.log() - torch.log1p(-present) - torch.log1p(slab * cavity)
    probability = torch.sigmoid(odds + 0.5 * centre.abs().square() * cavity * shrink)
    mean = probability * shrink * centre
    square = probability * (shrink.square() * centre.abs().square() + 2 * shrink / cavity)
    variance = ((square - mean.abs().square()) / 2).clamp_min(1e-12)
    precision = torch.maximum(1 / variance - cavity, 1 / (10 * slab)).clamp_max(1e13)
    shift = mean * (precision + cavity) - centre * cavity
    part = 1.0 if first else damping
    expected = (probability * belief.count[:, None] * belief.mass / present).sum(dim=1)
    count = belief.count if first else (belief.count + damping * (expected - belief.count)).clamp(*belief.components)
    return replace(
        belief,
        precision=belief.precision + part * (precision - belief.precision),
        shift=belief.shift + part * (shift - belief.shift),
        count=count,
    )


def _move(belief: _Belief, frequencies: Tensor, grid: Tensor, cell: float, reach: Tensor) -> tuple[_Belief, Tensor]:
    """A Gauss-Newton step of all frequencies (B, P), which may lie up to a cell from their place on the grid (P,).

    Of the step, the part ``reach`` (B,) is made.

    Amplitudes and displacements are estimated together; a displacement has the variance of the
    uniform distribution over a cell. Phases are kept at the middle of the window.
    """
    length = belief.x.shape[1]
    waves = _waves(frequencies, 0, length)
    posterior = _gaussian(belief, waves)
    time = torch.arange(length).to(grid) - (length - 1) / 2
    turning = 2j * math.pi * time[:, None] * waves  # (B, N, P)
    slopes = (turning * posterior.mean.conj()[:, None]).real  # (B, N, P): change with the frequency
    displaced = frequencies - grid
    covariance = posterior.cholesky @ posterior.cholesky.mT + cell**2 / 12 * slopes @ slopes.mT  # (B, N, N)
    target = posterior.rest[..., None] + slopes @ displaced[..., None]  # (B, N, 1)
    solved = torch.cholesky_solve(target, torch.linalg.cholesky(covariance))
    displacement = (cell**2 / 12 * slopes.mT @ solved)[..., 0].clamp(-cell, cell)
    step = reach[:, None] * (displacement - displaced)
    angle = math.pi * step * (length - 1)
    turn = torch.polar(torch.ones_like(angle), angle)
    return replace(belief, shift=belief.shift * turn), frequencies + step


def _exact_or(other: Tensor, x: Tensor, frequencies: Tensor, amplitudes: Tensor, moving: bool) -> Tensor:
    """(B, horizon) forecasts of the windows that few sinusoids explain down to rounding; ``other`` for the rest.

    Without noise the posterior is certain, but expectation propagation in double precision is
    not: it stops near 1e-10. So the strongest frequencies are fitted by least squares, if
    ``moving`` together with their place (Gauss-Newton). They have at most N / 2 parameters, so an
    exact fit is no accident.
    """
    length, horizon = x.shape[1], other.shape[1]
    size = amplitudes.abs()
    if moving:  # neighbours on the grid share a sinusoid: keep the strongest
        size = torch.where(size < torch.nn.functional.max_pool1d(size, 3, stride=1, padding=1), 0.0, size)
    strongest, places = size.topk(min(length // (6 if moving else 4), size.shape[1]))  # (B, K) each
    found, used = frequencies.gather(1, places), strongest > 1e-4 * strongest[:, :1]
    amplitudes = _least_squares(x, found, used)[0]
    for _ in range(_EXACT_STEPS if moving else 0):
        amplitudes, step = _least_squares(x, found, used, amplitudes)
        found = found + step.clamp(-1 / (8 * length), 1 / (8 * length))
    amplitudes = _least_squares(x, found, used)[0]
    misfit = (x - _synthesise(_waves(found, 0, length), amplitudes)).square().mean(dim=1, keepdim=True)
    return torch.where(misfit < 1e-20, _synthesise(_waves(found, length, horizon), amplitudes), other)


def _least_squares(x: Tensor, frequencies: Tensor, used: Tensor, slope: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(B, K) amplitudes of x (B, N) on those of the frequencies (B, K) that are used, and how far these should move.

    ``slope``: the amplitudes about which a change of the frequencies is linearised; None to leave them in place.
    """
    waves = _waves(frequencies, 0, x.shape[1]) * used[:, None]  # (B, N, K)
    columns = [waves.real, waves.imag]
    if slope is not None:
        time = torch.arange(x.shape[1]).to(x)[:, None]
        columns.append((2j * math.pi * time * waves * slope.conj()[:, None]).real)
    fit = least_squares(torch.cat(columns, dim=2), x, cutoff=1e-13)  # (B, 2 K) or, with steps, (B, 3 K)
    cosine, sine, *step = fit.split(frequencies.shape[1], dim=1)  # (B, K) each
    return torch.complex(cosine, sine), step[0] if step else torch.zeros_like(frequencies)
