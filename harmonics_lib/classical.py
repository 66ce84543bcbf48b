"""Forecasters that need no training: each fits a model to the window it is given.

Each name is a factory: it takes settings and returns ``forecaster(lookback (B, N), horizon)``,
which gives (B, horizon) in the lookback's dtype, computed in double precision, and raises
``ValueError`` for a lookback that is not (B, N), not finite or too short.
"""

import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from harmonics_lib.signals import HarmonicProcess, SignalBatch, check_lookback
from harmonics_lib.spectrum import harmonics, taper

Forecaster = Callable[[Tensor, int], Tensor]


#: Signals go on within the range of their window, more or less: a forecast is held at so many lookback peaks.
LIMIT = 3.0


class UnstableForecast(UserWarning):
    """Forecasts left the range of their windows and were held at its limit; ``count`` of them."""

    def __init__(self, count: int, total: int):
        super().__init__(f"{count} of {total} forecasts went beyond {LIMIT:g} lookback peaks and are held there")
        self.count = count


def window_forecaster(estimate: Callable[[Tensor, int, Tensor], Tensor], minimum: int = 1) -> Forecaster:
    """A forecaster from ``estimate(x, horizon, unit)``, which gets windows of peak 1 in double precision.

    The forecast is held within ``LIMIT`` lookback peaks, with an ``UnstableForecast`` warning that
    counts the windows that reach it, and returned in the unit and the dtype of the lookback. It is
    computed in one thread: many small matrices, for which waking another costs more than it gains.

    Args:
        estimate: maps x (B, N) to (B, horizon); ``unit`` (B, 1) is what 1 stands for.
        minimum: samples that a window has to have.
    """

    def forecast(lookback: Tensor, horizon: int) -> Tensor:
        check_lookback(lookback, horizon, minimum)
        peak = lookback.double().abs().amax(dim=1, keepdim=True)
        unit = torch.where(peak > 0, peak, 1.0)
        with cpu_threads(1):
            ahead = estimate(lookback.double() / unit, horizon, unit)
        unstable = (ahead.abs() >= LIMIT).any(dim=1)
        if unstable.any():
            warnings.warn(UnstableForecast(int(unstable.sum()), len(unstable)), stacklevel=2)
        return (ahead.clamp(-LIMIT, LIMIT) * unit).to(lookback)

    return forecast


@contextmanager
def cpu_threads(count: int):
    """Give PyTorch ``count`` threads inside a ``with`` block, and what it had before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def persistence() -> Forecaster:
    """The last sample, repeated: the forecast that every other has to beat."""
    return window_forecaster(lambda x, horizon, unit: x[:, -1:].expand(-1, horizon))


def dft_extrapolation(taper_name: str | None = None) -> Forecaster:
    """The cosines of the lookback's DFT, run on beyond it.

    Without a taper this repeats the lookback, for every bin completes whole cycles in N samples.

    Args:
        taper_name: one of ``spectrum.TAPERS``, multiplied onto the lookback first.
    """
    if taper_name is not None:
        taper(taper_name, 2)  # an unknown name fails here, not at the first forecast

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        length = x.shape[1]
        window = x if taper_name is None else x * taper(taper_name, length).to(x)
        return harmonics(window).synthesise(horizon, start=length)

    return window_forecaster(estimate)


def noise_level(lookback: Tensor) -> Tensor:
    """(B,) standard deviation of white noise in (B, N) windows, from the singular values of their Hankel matrix.

    K sinusoids fill 2 K dimensions of a Hankel matrix of N/3 columns, white noise fills all of
    them. So the smallest quarter of the singular values is compared with that of white noise of
    standard deviation 1, whose value is simulated once for each N. Where the signal itself fills
    every dimension (many components), what it has there is taken for noise.

    Raises:
        ValueError: fewer than 12 samples.
    """
    check_lookback(lookback, 1, minimum=12)
    return _smallest_singular_values(lookback.double()) / _white_noise_level(lookback.shape[1])


def _smallest_singular_values(lookback: Tensor) -> Tensor:
    """(B,) root mean square of the smallest quarter of the singular values of (B, 2 N / 3, N / 3 + 1)."""
    singular = torch.linalg.svdvals(lookback.unfold(1, lookback.shape[1] // 3 + 1, 1))  # in falling order
    return singular[:, -(singular.shape[1] // 4) :].square().mean(dim=1).sqrt()


@lru_cache(maxsize=16)
def _white_noise_level(length: int) -> float:
    noise = torch.randn(1000, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return float(_smallest_singular_values(noise).square().mean().sqrt())


def linear_prediction(
    order: int = 66,
    method: str = "forward_backward",
    rank: int | str | None = None,
    ridge: float | str | None = None,
) -> Forecaster:
    """Every sample as a weighted sum of the ``order`` samples before it, run on freely.

    The weights solve x[t] = sum_k a[k] x[t - k] by least squares over the window, forward in time
    or also backward (the modified covariance method): undamped sinusoids obey the same recurrence
    in both directions. ``burg`` finds them by Burg's lattice. Only Burg's weights are always stable.

    Args:
        order: number of weights. Two for each sinusoid would do without noise; about 2 N / 3 is usual.
        method: "forward", "forward_backward" or "burg".
        rank: number of singular values of the equations that are kept (Tufts and Kumaresan 1982),
            or "auto" for the number that stands out of the noise (see ``signal_rank``).
        ridge: added to the diagonal of the normal equations, in squared lookback peaks; "noise" for
            the number of equations times ``noise_level`` squared, about what the noise itself adds
            there; 0 for the smallest exact solution. "noise" unless a rank is given.

    Raises:
        ValueError: settings out of range, a lookback that is not longer than ``order``, or shorter than 12.

    Sources: Makhoul (1975) for least squares, Marple (1980) for forward and backward, Burg (1968).
    """
    _check_prediction(order, method, rank, ridge)

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        if method == "burg":
            return _run_on(x, burg_weights(x, order), horizon)
        equations, target = _prediction_equations(x, order, backward=method == "forward_backward")
        if rank is not None:
            return _run_on(x, _truncated_solution(equations, target, rank), horizon)
        noise = equations.shape[1] * noise_level(x).square()
        power = noise if ridge in (None, "noise") else noise.new_full((len(x),), ridge)
        return _run_on(x, _ridge_solution(equations, target, power), horizon)

    return window_forecaster(estimate, minimum=max(12, order + 1))


def _check_prediction(order, method, rank, ridge) -> None:
    check_whole("order", order)
    if method not in ("forward", "forward_backward", "burg"):
        raise ValueError(f"method must be 'forward', 'forward_backward' or 'burg', got {method!r}")
    whole = isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= order
    if not (rank is None or rank == "auto" or whole):
        raise ValueError(f"rank must be None, 'auto' or a whole number from 1 to the order {order}, got {rank!r}")
    if not (ridge in (None, "noise") or (_is_number(ridge) and ridge >= 0)):
        raise ValueError(f"ridge must be None, 'noise' or a number of at least 0, got {ridge!r}")
    if method == "burg" and not rank is ridge is None:
        raise ValueError(f"rank and ridge are for least squares, Burg's method has neither, got {rank!r} and {ridge!r}")
    if rank is not None and ridge is not None:
        raise ValueError(f"expected a rank or a ridge, got both: rank={rank!r}, ridge={ridge!r}")


def _prediction_equations(x: Tensor, order: int, backward: bool) -> tuple[Tensor, Tensor]:
    """(B, M, order) samples before each target, nearest first, and the (B, M) targets; M doubles with ``backward``."""
    rows = x.unfold(1, order + 1, 1)  # (B, N - order, order + 1)
    equations, target = rows[:, :, :-1].flip(2), rows[:, :, -1]
    if backward:
        equations = torch.cat([equations, rows[:, :, 1:]], dim=1)
        target = torch.cat([target, rows[:, :, 0]], dim=1)
    return equations, target


def _ridge_solution(equations: Tensor, target: Tensor, power: Tensor) -> Tensor:
    """(B, order) least squares with ``power`` (B,) on the diagonal of the normal equations, the smallest where open."""
    if (power > 0).any():
        order = equations.shape[2]
        diagonal = power.sqrt()[:, None, None] * torch.eye(order, dtype=power.dtype, device=power.device)
        equations = torch.cat([equations, diagonal], dim=1)
        target = torch.cat([target, target.new_zeros(len(target), order)], dim=1)
    return least_squares(equations, target, cutoff=1e-15)


def least_squares(equations: Tensor, target: Tensor, cutoff: float) -> Tensor:
    """(B, K) smallest x that minimises |equations x - target| for (B, M, K) and (B, M).

    By singular values (LAPACK's gelsd, which runs on the CPU only), down to ``cutoff`` times the
    largest: clean windows of many components need them down to rounding, and pivoted QR (gelsy,
    torch's usual choice) loses them.
    """
    solution = torch.linalg.lstsq(equations.cpu(), target.cpu()[..., None], rcond=cutoff, driver="gelsd").solution
    return solution[..., 0].to(equations.device)


def _truncated_solution(equations: Tensor, target: Tensor, rank: int | str) -> Tensor:
    """(B, order) least squares within the strongest ``rank`` singular vectors."""
    u, singular, vh = torch.linalg.svd(equations, full_matrices=False)
    snapshots = max(equations.shape[1:])
    ranks = signal_rank(singular, snapshots) if rank == "auto" else torch.full((len(target),), rank)
    kept = torch.arange(singular.shape[1], device=singular.device) < ranks.to(singular.device)[:, None]
    inverse = torch.where(kept & (singular > 1e-15 * singular[:, :1]), 1 / singular, 0.0)
    return ((vh.mT * inverse[:, None]) @ (u.mT @ target[..., None]))[..., 0]


def burg_weights(x: Tensor, order: int) -> Tensor:
    """(B, order) prediction weights by Burg's method (1967): each reflection minimises both errors' power."""
    forward, backward = x[:, 1:], x[:, :-1]
    weights = x.new_zeros(len(x), 0)
    rounding = 1e-28 * x.square().sum(dim=1, keepdim=True)  # once the errors are rounding, there is nothing to reflect
    for _ in range(order):
        power = (forward.square() + backward.square()).sum(dim=1, keepdim=True)
        both = 2 * (forward * backward).sum(dim=1, keepdim=True)
        reflection = torch.where(power > rounding, both / power.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
        weights = torch.cat([weights - reflection * weights.flip(1), reflection], dim=1)
        forward, backward = (forward - reflection * backward)[:, 1:], (backward - reflection * forward)[:, :-1]
    return weights


def _run_on(x: Tensor, weights: Tensor, horizon: int) -> Tensor:
    """(B, horizon) free-running continuation of windows x (B, N) of peak 1, within ``LIMIT``."""
    recent = x.flip(1)[:, : weights.shape[1]]  # nearest first
    steps = []
    for _ in range(horizon):
        steps.append((recent * weights).sum(dim=1, keepdim=True).clamp(-LIMIT, LIMIT))
        recent = torch.cat([steps[-1], recent[:, :-1]], dim=1)
    return torch.cat(steps, dim=1)


def signal_rank(singular: Tensor, snapshots: int) -> Tensor:
    """(B,) number of singular values (B, L), in falling order, that noise cannot explain.

    The minimum description length of Wax and Kailath (1985): ``snapshots`` vectors of L entries
    whose covariance has the squared values, divided by ``snapshots``, as eigenvalues. It takes
    snapshots for independent, which those of a Hankel matrix are not: weak components are missed.
    """
    size = singular.shape[1]
    floor = torch.finfo(singular.dtype).eps * singular[:, :1].clamp_min(torch.finfo(singular.dtype).tiny)
    eigenvalues = singular.clamp_min(floor).square()
    count = torch.arange(size, 0, -1, dtype=singular.dtype, device=singular.device)  # of those after the first k
    mean_log = eigenvalues.log().flip(1).cumsum(1).flip(1) / count
    log_mean = (eigenvalues.flip(1).cumsum(1).flip(1) / count).log()
    k = size - count
    description = snapshots * count * (log_mean - mean_log) + 0.5 * k * (2 * size - k) * math.log(snapshots)
    return description.argmin(dim=1)


def matrix_pencil(order: int | None = None, unit_circle: bool = False) -> Forecaster:
    """Poles from the subspace of the window's Hankel matrix (matrix pencil, ESPRIT), amplitudes by least squares.

    Sinusoids span a subspace in which one step in time is a linear map: its eigenvalues are the
    poles z, and the forecast is the sum of c z^t. The matrix has 2 N / 3 columns and holds the
    window forward and backward. A pole outside the unit circle makes the forecast grow.

    Args:
        order: number of poles, two for each sinusoid; None for ``signal_rank`` of each window.
        unit_circle: project the poles to the unit circle, where undamped sinusoids have them.

    Raises:
        ValueError: an order below 1, or a lookback shorter than 12 or, rounded up, 3 / 2 (``order`` + 1).

    Sources: Hua and Sarkar (1990), Roy and Kailath (1989).
    """
    if order is not None:
        check_whole("order", order)

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        rows = x.unfold(1, 2 * x.shape[1] // 3, 1)
        rows = torch.cat([rows, rows.flip(1, 2)], dim=1)
        _, singular, vh = torch.linalg.svd(rows, full_matrices=False)
        ranks = signal_rank(singular, rows.shape[1]) if order is None else torch.full((len(x),), order)
        ranks = torch.minimum(ranks.to(x.device), (singular > 1e-15 * singular[:, :1]).sum(dim=1))
        ahead = x.new_zeros(len(x), horizon)
        for rank in ranks.unique().tolist():  # windows with equally many poles at once; without any, 0
            if rank > 0:
                same = ranks == rank
                ahead[same] = _continue_exponentials(x[same], _poles(vh[same, :rank], unit_circle), horizon)
        return ahead

    return window_forecaster(estimate, minimum=max(12, math.ceil(1.5 * ((order or 0) + 1))))


def _poles(basis: Tensor, unit_circle: bool) -> Tensor:
    """(B, R) poles of the signal subspace with the basis (B, R, L): the eigenvalues of one step in time."""
    subspace = basis.mT  # (B, L, R)
    step = torch.linalg.lstsq(subspace[:, :-1], subspace[:, 1:]).solution
    poles = torch.linalg.eigvals(step)
    # Outside this ring, the powers over a window and its future leave the range of numbers.
    modulus = torch.ones_like(poles.real) if unit_circle else poles.abs().clamp(1e-6, 2)
    return torch.polar(modulus, poles.angle())


def _continue_exponentials(x: Tensor, poles: Tensor, horizon: int) -> Tensor:
    """(B, horizon) continuation of the least-squares fit of exponentials with ``poles`` (B, R) to x (B, N)."""
    length = x.shape[1]
    time = torch.arange(length + horizon, dtype=x.dtype, device=x.device)[:, None]
    powers = torch.exp(poles.log()[:, None] * time)  # (B, N + horizon, R)
    amplitudes = least_squares(powers[:, :length], x.to(poles.dtype), cutoff=1e-14)
    return (powers[:, length:] @ amplitudes[..., None])[..., 0].real


def linear_mmse(process: HarmonicProcess, noise_std: float | None = None) -> Forecaster:
    """The linear predictor of least mean squared error under the covariance of the process, in closed form.

    A process of random phases is stationary; its autocovariance is the mean of cos(2 pi d / period)
    over its periods, times the power of the clean signal, which is estimated from the window.
    With the eigenvalues L and eigenvectors V of the window's covariance, the forecast is
    R V (L + noise / power)^-1 V' x, where R holds the covariances of future and window.

    Args:
        process: the distribution of periods; its numbers of components and its noise play no role.
        noise_std: standard deviation of the noise in the unit of the lookback; None for ``noise_level``.

    Raises:
        ValueError: a noise level below 0, or a lookback shorter than 12 samples where it is estimated.

    Source: Wiener (1949); Kay (1993), Fundamentals of Statistical Signal Processing I, eq. 12.20.
    """
    check_noise_std(noise_std)

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        length = x.shape[1]
        time = torch.arange(length + horizon).to(x)
        frequencies, mass = (table.to(x) for table in dictionary(process, spacing=1 / (16 * len(time))))
        covariance = (2 * math.pi * frequencies * time[:, None]).cos() @ mass
        lags = (time[:, None] - time[:length]).long()
        eigenvalues, vectors = torch.linalg.eigh(covariance[lags[:length].abs()])
        noise = (noise_level(x) if noise_std is None else noise_std / unit[:, 0]).square()
        total = x.square().mean(dim=1)
        ratio = noise / (total - noise).clamp_min(1e-3 * total).clamp_min(torch.finfo(x.dtype).tiny)
        # What the process cannot produce is no signal, however small the noise: not to be divided by rounding.
        gains = 1 / (eigenvalues.clamp_min(0) + ratio[:, None]).clamp_min(1e-11 * eigenvalues[-1])
        return (gains * (x @ vectors)) @ (covariance[lags[length:]] @ vectors).T

    return window_forecaster(estimate, minimum=12 if noise_std is None else 1)


def dictionary(process: HarmonicProcess, spacing: float) -> tuple[Tensor, Tensor]:
    """(P,) frequencies that a component of the process may have, and (P,) their probabilities.

    Whole-number periods are listed. Continuous ones are gathered in cells of equal width in
    frequency, at most ``spacing`` wide, each standing at its middle with the mass of its periods.
    """
    low, high = process.periods
    if process.integer_periods or low == high:
        periods = torch.arange(low, high + 1, dtype=torch.float64)
        return 1 / periods, torch.full_like(periods, 1 / len(periods))
    cells = math.ceil((1 / low - 1 / high) / spacing)
    edges = torch.linspace(1 / high, 1 / low, cells + 1, dtype=torch.float64)
    return (edges[:-1] + edges[1:]) / 2, (1 / edges[:-1] - 1 / edges[1:]) / (high - low)


def known_period_oracle(batch: SignalBatch) -> Forecaster:
    """The forecast of one who is told periods, noise and power: not a competitor, but the floor of linear estimates.

    The sine and cosine amplitudes have a Gaussian prior of each window's mean power for a
    component; the forecast is their posterior mean, so only amplitudes and phases are left to
    estimate. No linear estimate has a smaller mean squared error. (For a single component, the
    law of the amplitudes, which scaling to a peak of 1 almost fixes, would gain up to 3 dB more.)

    Args:
        batch: the signals whose ``past`` is going to be forecast; the forecaster serves these
            windows, in their order, and no others.

    Raises:
        ValueError: another number of windows than the batch has.

    Source: Kay (1993), Fundamentals of Statistical Signal Processing I, theorem 10.3.
    """

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        if len(x) != len(batch):
            raise ValueError(f"this oracle knows the periods of {len(batch)} windows, got {len(x)}")
        length = x.shape[1]
        used = batch.amplitudes.double() != 0
        power = batch.amplitudes.double().square().sum(dim=1, keepdim=True) / (2 * used.sum(dim=1, keepdim=True))
        angles = 2 * math.pi * torch.arange(length + horizon).to(x)[:, None] / batch.periods.double()[:, None]
        basis = torch.cat([angles.sin(), angles.cos()], dim=2) * (used * power.sqrt() / unit).repeat(1, 2)[:, None]
        # Ridge regression by an augmented system: exact for clean windows, where the noise is 0.
        diagonal = torch.eye(basis.shape[2], dtype=x.dtype, device=x.device)
        noise = (batch.noise_std.double()[:, None] / unit)[..., None] * diagonal
        equations, target = torch.cat([basis[:, :length], noise], dim=1), torch.nn.functional.pad(x, (0, len(diagonal)))
        return (basis[:, length:] @ least_squares(equations, target, cutoff=1e-12)[..., None])[..., 0]

    return window_forecaster(estimate)


def check_whole(name: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_noise_std(noise_std) -> None:
    if noise_std is not None and not (_is_number(noise_std) and noise_std >= 0):
        raise ValueError(f"noise_std must be None or a number of at least 0, got {noise_std!r}")


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
