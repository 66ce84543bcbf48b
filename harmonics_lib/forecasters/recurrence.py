"""Forecasters of the recurrence that sums of sinusoids obey (Prony 1795), and of its poles.

K sinusoids follow x[t] = sum_k a[k] x[t - k] with 2 K weights, whatever their amplitudes and
phases. Linear prediction estimates the weights, the matrix pencil the poles of the recurrence.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from harmonics_lib.arguments import check_choice, check_flag, check_weight, check_whole
from harmonics_lib.forecasters.base import LIMIT, LONGEST, Forecaster
from harmonics_lib.forecasters.estimates import least_squares, noise_level, signal_rank
from harmonics_lib.forecasters.window import Window

_PERHAPS_CLEAN = 0.02  # estimated noise, in lookback peaks, of windows that may be clean: the estimate errs up to 0.008
_HIGHEST = 10_000  # order of a recurrence
_MOST_ITERATIONS = 1000
_LARGEST_ERROR = 1e-3  # root mean square error, in lookback peaks, of the recurrence in a clean window


class _Recurrence(Forecaster):
    """Base of forecasters by a recurrence of ``order`` weights, for windows longer than that."""

    order: int

    @property
    def minimum(self) -> int:
        return max(12, self.order + 1)


@dataclass(frozen=True)
class linear_prediction(_Recurrence):
    """Every sample as a weighted sum of the ``order`` samples before it, continued step by step.

    The weights solve x[t] = sum_k a[k] x[t - k] by least squares over the window, forward in time
    and also backward (the modified covariance method), because undamped sinusoids obey the same
    recurrence in both directions.

    Args:
        order: number of weights. Without noise two for each sinusoid suffice; about 2 N / 3 is usual.
        ridge: added to the diagonal of the normal equations, in squared lookback peaks. 0 gives the
            smallest exact solution. None is the number of equations times ``noise_level`` squared,
            about the contribution of the noise to the diagonal.
        backward: use the equations backward in time, too.

    Raises:
        ValueError: a setting is out of range, or the lookback has at most ``order`` or less than 12 samples.

    Sources: Makhoul (1975) for least squares, Marple (1980) for forward and backward.

    Example:
        >>> lookback = torch.sin(2 * math.pi * torch.arange(100.0) / 12)[None]
        >>> [round(value, 3) for value in linear_prediction()(lookback, 2)[0].tolist()]
        [0.866, 0.5]
    """

    order: int = 66
    ridge: float | None = None
    backward: bool = True

    def __post_init__(self):
        ridge = None if self.ridge is None else check_weight("ridge", self.ridge)
        order = check_whole("order", self.order, maximum=_HIGHEST)
        self._set(order=order, ridge=ridge, backward=check_flag("backward", self.backward))

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        equations, target = _prediction_equations(window.x, self.order, self.backward)
        if self.ridge is None:
            ridge = equations.shape[1] * window.once(noise_level).square()
        else:
            ridge = window.x.new_full((len(window),), self.ridge)
        return _continue(window.x, _ridge_solution(equations, target, ridge), horizon)


@dataclass(frozen=True)
class tufts_kumaresan(_Recurrence):
    """Linear prediction, forward and backward, within the strongest singular vectors of its equations.

    Args:
        order: number of weights, as in ``linear_prediction``.
        rank: number of singular values to use; None for the number of those above the noise (see ``signal_rank``).

    Raises:
        ValueError: a setting is out of range, or the lookback has at most ``order`` or less than 12 samples.

    Source: Tufts and Kumaresan (1982).
    """

    order: int = 66
    rank: int | None = None

    def __post_init__(self):
        self._set(order=check_whole("order", self.order, maximum=_HIGHEST), rank=_check_rank("rank", self.rank))
        if self.rank is not None and self.rank > self.order:
            raise ValueError(f"rank must be None or a whole number from 1 to the order {self.order}, got {self.rank}")

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        ranks = None if self.rank is None else torch.full((len(window),), self.rank)
        equations, target = _prediction_equations(window.x, self.order, backward=True)
        return _continue(window.x, _truncated_solution(equations, target, ranks), horizon)


def _check_rank(name: str, rank: int | None) -> int | None:
    return None if rank is None else check_whole(name, rank, maximum=_HIGHEST)


#: The penalty that a criterion adds to N log(error power) for ``order`` weights and N = ``length`` samples.
CRITERIA: dict[str, Callable[[int, int], float]] = {
    "aicc": lambda order, length: length * (length + order) / (length - order - 2),
    "bic": lambda order, length: order * math.log(length),
}


@dataclass(frozen=True)
class autoregression(Forecaster):
    """Burg's linear prediction; an information criterion selects the order for each window.

    Args:
        criterion: ``"aicc"`` (Hurvich and Tsai 1989) or ``"bic"`` (Schwarz 1978).
        most: the highest order; for a window of N samples the limit is N - 3.

    Raises:
        ValueError: a setting is out of range, or the lookback has less than 12 samples.

    Sources: Burg (1968) for the weights; Brockwell and Davis (1991), section 9.3, for the choice.
    """

    criterion: str = "aicc"
    most: int = 66

    minimum = 12

    def __post_init__(self):
        self._set(most=check_whole("most", self.most, maximum=_HIGHEST))
        check_choice("criterion", self.criterion, CRITERIA)

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        most = min(self.most, window.x.shape[1] - 3)
        return _continue(window.x, _select_weights(window.x, CRITERIA[self.criterion], most), horizon)


def _select_weights(x: Tensor, penalty: Callable[[int, int], float], most: int) -> Tensor:
    """(B, most) weights by Burg's method of the best order for each window; 0 beyond that order."""
    length, floor = x.shape[1], 1e-28 * x.square().mean(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
    chosen, best = x.new_zeros(len(x), most), x.new_full((len(x),), math.inf)
    for order, (weights, error) in enumerate(_burg_orders(x, most)):
        value = length * torch.maximum(error, floor).log() + penalty(order, length)
        better = value < best
        best = torch.where(better, value, best)
        chosen = torch.where(better[:, None], pad(weights, (0, most - order)), chosen)
    return chosen


@dataclass(frozen=True)
class cadzow(Forecaster):
    """Tufts and Kumaresan's linear prediction of a window that is first denoised by alternating projections.

    K sinusoids have a Hankel matrix of rank 2 K. Two projections alternate: the window's matrix of
    N / 2 columns is truncated to that rank, and averages over antidiagonals make it a Hankel matrix again.

    Args:
        rank: two for each sinusoid; None for the rank of Tufts and Kumaresan's equations (see ``signal_rank``).
        iterations: number of times that both projections are applied.

    Raises:
        ValueError: a setting is out of range, or the lookback has less than 12 or 2 ``rank`` samples, or more than
            5,000 (the cost grows with the cube of the length).

    Source: Cadzow (1988).
    """

    rank: int | None = None
    iterations: int = 5

    maximum = LONGEST

    def __post_init__(self):
        iterations = check_whole("iterations", self.iterations, maximum=_MOST_ITERATIONS)
        self._set(rank=_check_rank("rank", self.rank), iterations=iterations)

    @property
    def minimum(self) -> int:
        return max(12, 2 * (self.rank or 0))

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        x = window.x
        equations, _ = _prediction_equations(x, 2 * x.shape[1] // 3, backward=True)
        ranks = signal_rank(torch.linalg.svdvals(equations), max(equations.shape[1:]))
        ranks = ranks if self.rank is None else torch.full_like(ranks, self.rank)
        for _ in range(self.iterations):
            x = project_rank(x, ranks)
        return _recurrence(x, horizon, ranks)


def project_rank(x: Tensor, ranks: Tensor) -> Tensor:
    """(B, N) antidiagonal means of the Hankel matrices of windows x (B, N), truncated to ranks (B,)."""
    u, singular, vh = torch.linalg.svd(x.unfold(1, x.shape[1] // 2 + 1, 1), full_matrices=False)
    rows, columns = u.shape[1], vh.shape[2]
    kept = torch.where(torch.arange(singular.shape[1], device=x.device) < ranks[:, None], singular, 0.0)
    cut = (u * kept[:, None]) @ vh  # (B, rows, columns)
    shifted = pad(cut, (0, rows)).flatten(1)[:, :-rows].unflatten(1, (rows, -1))  # row i begins in column i
    count = pad(cut.new_ones(rows, columns), (0, rows)).flatten()[:-rows].unflatten(0, (rows, -1)).sum(dim=0)
    return shifted.sum(dim=1) / count


def continue_clean(window: Window, horizon: int, order: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(B, horizon) continuations of clean windows, 0 for others; (B,) which windows are clean; (B,) their test's error.

    A window counts as clean if its recurrence (Tufts and Kumaresan 1982), estimated without its first
    tenth, continues it backward over that tenth with an error of at most 1e-3 of the peak. For such a
    window no method is more accurate, because no sinusoids have to be selected.

    Differences of an ``order`` above 0 remove a trend; their continuations are summed again. They suppress
    slow noise, so the test is harder. The recurrence has to continue the window at both ends over as many
    samples as the horizon, or a third of the window, and to forecast the same without the first of these.
    """
    x = window.x / window.peak
    ahead, clean = x.new_zeros(len(x), horizon), window.once(noise_level) < _PERHAPS_CLEAN * window.peak[:, 0]
    error = x.new_zeros(len(x))
    if clean.any():
        tenth = max(5, x.shape[1] // 10)
        ahead[clean] = _differenced_recurrence(x[clean], horizon, order)
        deviation = _error(x[clean].flip(1), tenth, 0) if order == 0 else _largest_error(x[clean], ahead[clean], order)
        error[clean] = deviation
        clean = clean & (error < _LARGEST_ERROR)
    return window.peak * ahead * clean[:, None], clean, window.peak[:, 0] * error * clean


def _largest_error(x: Tensor, ahead: Tensor, order: int) -> Tensor:
    """(B,) the largest of three root mean square errors of the recurrence: at both ends of x, and of ``ahead``."""
    horizon = ahead.shape[1]
    count = max(5, min(horizon, x.shape[1] // 3))
    again = _differenced_recurrence(x[:, count:], horizon, order)
    ends = _error(x, count, order), _error(x.flip(1), count, order)
    return torch.stack([*ends, (again - ahead).square().mean(dim=1).sqrt()]).amax(dim=0)


def _error(x: Tensor, count: int, order: int) -> Tensor:
    """(B,) root mean square error of the recurrence, learned without the last ``count`` samples, over these."""
    return (_differenced_recurrence(x[:, :-count], count, order) - x[:, -count:]).square().mean(dim=1).sqrt()


def _differenced_recurrence(x: Tensor, horizon: int, order: int) -> Tensor:
    """(B, horizon) sums, of an order, of the recurrence's continuation of the differences of windows x (B, N)."""
    largest = 2.0**order  # difference in a window of peak 1, within which a recurrence is clipped
    ahead = largest * _recurrence(x.diff(n=order, dim=1) / largest, horizon)
    for lower in reversed(range(order)):
        ahead = x.diff(n=lower, dim=1)[:, -1:] + ahead.cumsum(dim=1)
    return ahead


def _recurrence(x: Tensor, horizon: int, ranks: Tensor | None = None) -> Tensor:
    """(B, horizon) continuation of windows x (B, N) by Tufts and Kumaresan's recurrence of 2 N / 3 weights."""
    equations, target = _prediction_equations(x, 2 * x.shape[1] // 3, backward=True)
    return _continue(x, _truncated_solution(equations, target, ranks), horizon)


@dataclass(frozen=True)
class burg(_Recurrence):
    """Linear prediction by Burg's lattice method. The recurrence is always stable, so forecasts do not grow.

    Args:
        order: number of weights, as in ``linear_prediction``.

    Raises:
        ValueError: the order is below 1, or the lookback has at most ``order`` or less than 12 samples.

    Source: Burg (1968).
    """

    order: int = 66

    def __post_init__(self):
        self._set(order=check_whole("order", self.order, maximum=_HIGHEST))

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        return _continue(window.x, burg_weights(window.x, self.order), horizon)


def _prediction_equations(x: Tensor, order: int, backward: bool) -> tuple[Tensor, Tensor]:
    """(B, M, order) samples before each target, latest first, and targets (B, M); ``backward`` doubles M."""
    rows = x.unfold(1, order + 1, 1)  # (B, N - order, order + 1)
    equations, target = rows[:, :, :-1].flip(2), rows[:, :, -1]
    if backward:
        equations = torch.cat([equations, rows[:, :, 1:]], dim=1)
        target = torch.cat([target, rows[:, :, 0]], dim=1)
    return equations, target


def _ridge_solution(equations: Tensor, target: Tensor, power: Tensor) -> Tensor:
    """(B, order) least-squares solution of minimum norm with ``power`` (B,) on the diagonal of the normal equations."""
    if (power > 0).any():
        order = equations.shape[2]
        diagonal = power.sqrt()[:, None, None] * torch.eye(order, dtype=power.dtype, device=power.device)
        equations = torch.cat([equations, diagonal], dim=1)
        target = torch.cat([target, target.new_zeros(len(target), order)], dim=1)
    return least_squares(equations, target, cutoff=1e-15)


def _truncated_solution(equations: Tensor, target: Tensor, ranks: Tensor | None) -> Tensor:
    """(B, order) least squares by truncated singular value decomposition, to ``ranks`` (B,) or ``signal_rank``."""
    u, singular, vh = torch.linalg.svd(equations, full_matrices=False)
    snapshots = max(equations.shape[1:])
    ranks = signal_rank(singular, snapshots) if ranks is None else ranks
    kept = torch.arange(singular.shape[1], device=singular.device) < ranks.to(singular.device)[:, None]
    inverse = torch.where(kept & (singular > 1e-15 * singular[:, :1]), 1 / singular, 0.0)
    return ((vh.mT * inverse[:, None]) @ (u.mT @ target[..., None]))[..., 0]


def burg_weights(x: Tensor, order: int) -> Tensor:
    """(B, order) prediction weights by Burg's method (1968)."""
    *_, (weights, _) = _burg_orders(x, order)
    return weights


def _burg_orders(x: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights (B, order) and their error power (B,), for each order from 0 to ``most``."""
    forward, backward = x[:, 1:], x[:, :-1]
    weights, error = x.new_zeros(len(x), 0), x.square().mean(dim=1, keepdim=True)
    rounding = 1e-28 * x.square().sum(dim=1, keepdim=True)  # below this power, errors are rounding and reflections 0
    yield weights, error[:, 0]
    for _ in range(most):
        power = (forward.square() + backward.square()).sum(dim=1, keepdim=True)
        both = 2 * (forward * backward).sum(dim=1, keepdim=True)
        reflection = torch.where(power > rounding, both / power.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
        weights = torch.cat([weights - reflection * weights.flip(1), reflection], dim=1)
        error = error * (1 - reflection.square())
        forward, backward = (forward - reflection * backward)[:, 1:], (backward - reflection * forward)[:, :-1]
        yield weights, error[:, 0]


def _continue(x: Tensor, weights: Tensor, horizon: int) -> Tensor:
    """(B, horizon) continuation of windows x (B, N) of peak 1 step by step, clipped to ``LIMIT``."""
    recent = x.flip(1)[:, : weights.shape[1]]  # latest first
    steps = []
    for _ in range(horizon):
        steps.append((recent * weights).sum(dim=1, keepdim=True).clamp(-LIMIT, LIMIT))
        recent = torch.cat([steps[-1], recent[:, :-1]], dim=1)
    return torch.cat(steps, dim=1)


@dataclass(frozen=True)
class matrix_pencil(Forecaster):
    """Poles from the subspace of the window's Hankel matrix (matrix pencil, ESPRIT), amplitudes by least squares.

    Sinusoids span a subspace in which one step in time is a linear map. Its eigenvalues are the
    poles z, and the forecast is the sum of c z^t. The matrix has 2 N / 3 columns and contains the
    window forward and backward. A pole outside the unit circle makes the forecast grow.

    Args:
        order: number of poles, two for each sinusoid; None for ``signal_rank`` of each window.
        unit_circle: project the poles to the unit circle, which contains the poles of undamped sinusoids.

    Raises:
        ValueError: a setting is out of range, or the lookback has less than 12 or 3 / 2 (``order`` + 1) samples
            (rounded up), or more than 5,000 (the cost grows with the cube of the length).

    Sources: Hua and Sarkar (1990), Roy and Kailath (1989).
    """

    order: int | None = None
    unit_circle: bool = False

    maximum = LONGEST

    def __post_init__(self):
        unit_circle = check_flag("unit_circle", self.unit_circle)
        self._set(order=_check_rank("order", self.order), unit_circle=unit_circle)

    @property
    def minimum(self) -> int:
        return max(12, math.ceil(1.5 * ((self.order or 0) + 1)))

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        x = window.x
        rows = x.unfold(1, 2 * x.shape[1] // 3, 1)
        rows = torch.cat([rows, rows.flip(1, 2)], dim=1)
        _, singular, vh = torch.linalg.svd(rows, full_matrices=False)
        ranks = signal_rank(singular, rows.shape[1]) if self.order is None else torch.full((len(x),), self.order)
        ranks = torch.minimum(ranks.to(x.device), (singular > 1e-15 * singular[:, :1]).sum(dim=1))
        ahead = x.new_zeros(len(x), horizon)
        for rank in ranks.unique().tolist():  # windows with equally many poles at once; without any, 0
            if rank > 0:
                same = ranks == rank
                ahead[same] = _continue_exponentials(x[same], _poles(vh[same, :rank], self.unit_circle), horizon)
        return ahead


def _poles(basis: Tensor, unit_circle: bool) -> Tensor:
    """(B, R) poles of the signal subspace with the basis (B, R, L): the eigenvalues of one step in time."""
    subspace = basis.mT  # (B, L, R)
    step = torch.linalg.lstsq(subspace[:, :-1], subspace[:, 1:]).solution
    poles = torch.linalg.eigvals(step)
    # Outside this ring, powers of a pole over a window and its future overflow or underflow.
    modulus = torch.ones_like(poles.real) if unit_circle else poles.abs().clamp(1e-6, 2)
    return torch.polar(modulus, poles.angle())


def _continue_exponentials(x: Tensor, poles: Tensor, horizon: int) -> Tensor:
    """(B, horizon) continuation of the least-squares fit of exponentials with ``poles`` (B, R) to x (B, N)."""
    length = x.shape[1]
    time = torch.arange(length + horizon, dtype=x.dtype, device=x.device)[:, None]
    powers = torch.exp(poles.log()[:, None] * time)  # (B, N + horizon, R)
    amplitudes = least_squares(powers[:, :length], x.to(poles.dtype), cutoff=1e-14)
    return (powers[:, length:] @ amplitudes[..., None])[..., 0].real
