"""Estimates that several methods share: the level of the noise, the rank of the signal, least squares."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from harmonics_lib.forecasters.base import (
    check_windows,
    cpu_threads,
)


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


_SQUARED = (1e-100, 1e100)  # samples whose squares and sums of squares are within the range of numbers


_PIECE = 300  # samples of a window that noise is estimated from at once: the cost grows with the cube


def noise_level(lookback: Tensor) -> Tensor:
    """(B,) standard deviation of white noise in (B, N) windows, from the singular values of their Hankel matrix.

    K sinusoids fill 2 K dimensions of a Hankel matrix of N/3 columns, white noise fills all of
    them. So the smallest quarter of the singular values is compared with that of white noise of
    standard deviation 1, whose value is simulated once for each N. Where the signal itself fills
    every dimension (many components), what it has there is taken for noise. Windows longer than 300
    samples are cut into pieces of that length (the oldest samples that make no whole one are left out).

    Raises:
        ValueError: fewer than 12 samples.
    """
    check_windows("lookback", lookback, minimum=12)
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
    """What ``noise_level`` divides by: the smallest singular values of white noise of standard deviation 1."""
    noise = torch.randn(1000, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return float(_smallest_singular_values(noise).square().mean().sqrt())


def least_squares(equations: Tensor, target: Tensor, cutoff: float) -> Tensor:
    """(B, K) smallest x that minimises |equations x - target| for (B, M, K) and (B, M).

    By singular values (LAPACK's gelsd, which runs on the CPU only), down to ``cutoff`` times the
    largest: clean windows of many components need them down to rounding, and pivoted QR (gelsy,
    torch's usual choice) loses them.
    """
    solution = torch.linalg.lstsq(equations.cpu(), target.cpu()[..., None], rcond=cutoff, driver="gelsd").solution
    return solution[..., 0].to(equations.device)
