"""Linear equations with symmetric Toeplitz matrices, the covariances of stationary signals, in batches."""

from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor


def solve_toeplitz(lags: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Solve C y = target for the positive definite Toeplitz matrices C of first columns ``lags``.

    Both arguments have gradients. On a CPU with numba the solver is Levinson's recursion, N² operations
    per window, elsewhere a dense solver, N³. Both use double precision.

    Args:
        lags: (B, N) first columns.
        targets: (B, R, N) right-hand sides.

    Returns:
        (B, R, N) solutions, and (B, N) first columns of the inverses, in double precision.

    Source: Levinson (1947); Golub and Van Loan (2013), Matrix Computations, algorithm 4.7.3.
    """
    return _Solve.apply(lags.double(), targets.double())


def solve_by_halves(first: Tensor, right: Tensor) -> Tensor:
    """(B, N, K) solutions for right-hand sides (B, N, K) and positive definite matrices of first columns (B, N).

    A symmetric Toeplitz matrix commutes with time reversal. Sums and differences of mirrored samples
    therefore have separate equations of half the size, which need a quarter of the work.

    Source: Cantoni and Butler (1976).
    """
    length = first.shape[1]
    half, rest = length // 2, length - length // 2
    plain = toeplitz(first[:, :rest])
    mirrored = first.flip(1).unfold(1, rest, 1)[:, :rest]  # covariances with the mirror images
    sums, differences = (right + right.flip(1))[:, :rest], (right - right.flip(1))[:, :half]
    even = torch.cholesky_solve(sums, torch.linalg.cholesky(plain + mirrored))
    odd = torch.cholesky_solve(differences, torch.linalg.cholesky((plain - mirrored)[:, :half, :half]))
    even, middle = even[:, :half], even[:, half:]  # of an odd number, one is its own mirror image
    return torch.cat([(even + odd) / 2, middle, (even - odd).flip(1) / 2], dim=1)


def autocorrelation(x: Tensor) -> Tensor:
    """(…, N) sums of x[t] x[t + d] over t, doubled for d > 0: x' R x is their inner product with the lags of R."""
    length = x.shape[-1]
    lags = torch.fft.irfft(torch.fft.rfft(x, 2 * length).abs().square(), 2 * length)[..., :length]
    return torch.cat([lags[..., :1], 2 * lags[..., 1:]], dim=-1)


def innovations(lags: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of the best prediction of each sample from all samples before it, and their variances.

    Args:
        lags: (B, N) autocovariances, first columns of positive definite matrices.
        x: (B, R, N) signals.

    Returns:
        (B, R, N) errors and (B, N) variances.

    Source: Durbin (1960).
    """
    errors, powers = x.clone(), lags.clone()
    weights, power = lags[:, :0], lags[:, 0]  # (B, n), of the samples backward in time
    for n in range(1, lags.shape[1]):
        reflection = (lags[:, n] - (weights * lags[:, 1:n].flip(1)).sum(dim=1)) / power
        weights = torch.cat([weights - reflection[:, None] * weights.flip(1), reflection[:, None]], dim=1)
        power = power * (1 - reflection.square())
        errors[:, :, n] -= (x[:, :, :n].flip(2) * weights[:, None]).sum(dim=2)
        powers[:, n] = power
    return errors, powers


def solve_by_first_column(first: Tensor, right: Tensor) -> Tensor:
    """(B, R, N) products of the inverse of a symmetric Toeplitz matrix, given its first column (B, N), and vectors.

    The inverse is a sum of products of triangular Toeplitz matrices, which are convolutions.

    Args:
        first: (B, N) first columns of the inverses.
        right: (B, R, N) vectors.

    Source: Gohberg and Semencul (1972).
    """
    size = 2 * first.shape[1]
    backwards = torch.cat([torch.zeros_like(first[:, :1]), first[:, 1:].flip(1)], dim=1)
    total = torch.zeros_like(right)
    for column, sign in ((first, 1), (backwards, -1)):
        spectrum = torch.fft.rfft(column, size)[:, None]
        upper = torch.fft.irfft(spectrum.conj() * torch.fft.rfft(right, size), size)[..., : size // 2]
        total += sign * torch.fft.irfft(spectrum * torch.fft.rfft(upper, size), size)[..., : size // 2]
    return total / first[:, :1, None]


def toeplitz(first: Tensor, columns: int | None = None) -> Tensor:
    """(B, N, N) symmetric Toeplitz matrices with these first columns (B, N), or as many ``columns`` of them."""
    columns = columns or first.shape[1]
    return torch.cat([first[:, 1:columns].flip(1), first], dim=1).unfold(1, columns, 1).flip(2)


def diagonal_sums(first: Tensor) -> Tensor:
    """(B, N) sums of the inverse of a symmetric Toeplitz matrix along its diagonals 0, ±1, …, from its first column.

    Source: Musicus (1985).
    """
    length = first.shape[1]
    time = torch.arange(length).to(first)
    predictor = first / first[:, :1]
    spectrum = torch.fft.rfft(predictor, 2 * length)  # (B, N + 1)
    plain = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square(), 2 * length)[:, :length]
    weighted = torch.fft.rfft(predictor * (length - 2 * time), 2 * length).conj() * spectrum
    sums = first[:, :1] * (torch.fft.irfft(weighted, 2 * length)[:, :length] - time * plain)
    return torch.cat([sums[:, :1], 2 * sums[:, 1:]], dim=1)  # (B, N)


class _Solve(torch.autograd.Function):
    """``solve_toeplitz`` with gradients: C y = x has dy = C^-1 (dx - dC y), equations with the same matrix."""

    @staticmethod
    def forward(ctx, lags: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        solved, first = _solve(lags, targets)
        ctx.save_for_backward(lags, solved, first)
        return solved, first

    @staticmethod
    def backward(ctx, slopes: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        lags, solved, first = ctx.saved_tensors
        carried, _ = _solve(lags, torch.cat([slopes, slope[:, None]], dim=1))  # (B, R + 1, N)
        size = 2 * lags.shape[1]
        solutions = torch.cat([solved, first[:, None]], dim=1)
        spectra = torch.fft.rfft(carried, size).conj() * torch.fft.rfft(solutions, size)
        cross = torch.fft.irfft(spectra.sum(dim=1), size)  # (B, 2 N): sums along the diagonals of carried' solutions
        folded = cross[:, : size // 2].clone()
        folded[:, 1:] += cross[:, size // 2 + 1 :].flip(1)
        return -folded, carried[:, :-1]


def _solve(lags: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(B, R, N) solutions, and (B, N) first columns of the inverses."""
    if lags.device.type == "cpu" and _has_numba():
        solved, first = np.empty(targets.shape), np.empty(lags.shape)
        _levinson()(lags.detach().contiguous().numpy(), targets.detach().contiguous().numpy(), solved, first)
        return torch.from_numpy(solved), torch.from_numpy(first)
    impulse = torch.zeros_like(lags[:, None])
    impulse[:, :, 0] = 1
    columns = torch.cat([targets, impulse], dim=1).mT  # (B, N, R + 1)
    solved = torch.linalg.solve(toeplitz(lags), columns).mT
    return solved[:, :-1], solved[:, -1]


@lru_cache(maxsize=1)
def _has_numba() -> bool:
    return find_spec("numba") is not None


@lru_cache(maxsize=1)
def _levinson():
    """Levinson's recursion, compiled at its first call."""
    from numba import njit

    return njit(cache=True, fastmath=True, error_model="numpy")(_recursion)


def _recursion(lags, targets, solved, first):
    """Fill ``solved`` (B, R, N) and ``first`` (B, N) from ``lags`` (B, N) and ``targets`` (B, R, N).

    For each order, the reflection coefficient extends the predictor ``ahead`` and its reverse ``behind`` by
    one sample. A multiple of the reversed predictor then extends every solution.
    """
    batch, count, length = targets.shape
    back = np.empty(length)
    for window in range(batch):
        backwards, ahead = lags[window, ::-1].copy(), first[window]
        ahead[:], back[:], solved[window] = 0, 0, 0
        ahead[0], back[-1], power = 1, 1, lags[window, 0]
        solved[window, :, 0] = targets[window, :, 0] / power
        for n in range(1, length):
            known, behind = backwards[length - 1 - n : -1], back[length - 1 - n :]
            dot = 0.0
            for m in range(n):
                dot += known[m] * ahead[m]
            reflection = dot / power
            power -= dot * reflection
            for m in range(n + 1):
                forward, reverse = ahead[m], behind[m]
                ahead[m] = forward - reflection * reverse
                behind[m] = reverse - reflection * forward
            for r in range(count):
                solution, rest = solved[window, r], targets[window, r, n]
                for m in range(n):
                    rest -= known[m] * solution[m]
                gain = rest / power
                for m in range(n + 1):
                    solution[m] += gain * behind[m]
        ahead /= power
