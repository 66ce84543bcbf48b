"""Estimators for several methods: the level of the noise, the rank of the signal, least squares."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from harmonics_lib.forecasters.base import (
    check_windows,
    cpu_threads,
)


def signal_rank(singular: Tensor, snapshots: int) -> Tensor:
    """(B,) number of singular values (B, L), in descending order, that belong to the signal.

    The criterion is the minimum description length. The eigenvalues of the covariance of
    ``snapshots`` vectors of L entries are the squared singular values divided by ``snapshots``. The
    criterion assumes independent snapshots. Those of a Hankel matrix are not, so it misses weak components.

    Source: Wax and Kailath (1985).
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


_SQUARED = (1e-100, 1e100)  # range of samples whose sums of squares neither overflow nor underflow


_PIECE = 300  # samples for one estimate of the noise: the cost grows with the cube of the length


def noise_level(lookback: Tensor) -> Tensor:
    """(B,) standard deviation of white noise in (B, N) windows, from the singular values of their Hankel matrix.

    K sinusoids span 2 K dimensions of a Hankel matrix of N/3 columns, and white noise spans all of
    them. The estimate is the ratio of the smallest quarter of the singular values to that of white
    noise of standard deviation 1, which is simulated once for each N. If many components span all
    dimensions, their smallest singular values count as noise. Windows longer than 300 samples are
    split into pieces of that length (a remainder of the oldest samples is not used).

    Raises:
        ValueError: the windows have less than 12 samples.
    """
    lookback = check_windows("lookback", lookback, minimum=12)
    length, peak = min(lookback.shape[1], _PIECE), lookback.double().abs().amax(dim=1, keepdim=True)
    unit = torch.where((peak > _SQUARED[0]) & (peak < _SQUARED[1]) | (peak == 0), 1.0, peak)
    pieces = (lookback.double() / unit).flip(1).unfold(1, length, length).flip(2)  # (B, n, length)
    with cpu_threads(1):
        levels = _smallest_singular_values(pieces.flatten(0, 1)).reshape(pieces.shape[:2])
        return levels.square().mean(dim=1).sqrt() / white_noise_level(length) * unit[:, 0]


def _smallest_singular_values(lookback: Tensor) -> Tensor:
    """(B,) root mean square of the smallest quarter of the singular values of (B, 2 N / 3, N / 3 + 1)."""
    singular = torch.linalg.svdvals(lookback.unfold(1, lookback.shape[1] // 3 + 1, 1))  # in falling order
    return singular[:, -(singular.shape[1] // 4) :].square().mean(dim=1).sqrt()


@lru_cache(maxsize=16)
def white_noise_level(length: int) -> float:
    """The divisor of ``noise_level``: the smallest singular values of white noise of standard deviation 1."""
    noise = torch.randn(1000, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return float(_smallest_singular_values(noise).square().mean().sqrt())


def least_squares(equations: Tensor, target: Tensor, cutoff: float) -> Tensor:
    """(B, K) minimum-norm solution x of least |equations x - target| for (B, M, K) and (B, M).

    It uses singular values above ``cutoff`` times the largest (LAPACK's gelsd, on the CPU only). Clean
    windows of many components need all of them down to rounding errors, where pivoted QR (gelsy,
    torch's default) is inaccurate.
    """
    solution = torch.linalg.lstsq(equations.cpu(), target.cpu()[..., None], rcond=cutoff, driver="gelsd").solution
    return solution[..., 0].to(equations.device)
