"""Forecasters in closed form: the simplest rivals, the best linear one, and the oracle.

Each name is a factory: it takes settings and returns a forecaster (see ``forecasting``). Also here
is what the other families share: the estimate of the noise, and least squares down to rounding.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from harmonics_lib.forecasting import (
    LONGEST,
    Forecaster,
    check_noise_std,
    check_windows,
    cpu_threads,
    window_forecaster,
)
from harmonics_lib.signals import HarmonicProcess, SignalBatch, check_process
from harmonics_lib.spectrum import harmonics, taper

_SQUARED = (1e-100, 1e100)  # samples whose squares and sums of squares are within the range of numbers
_PIECE = 300  # samples of a window that noise is estimated from at once: the cost grows with the cube


def persistence() -> Forecaster:
    """The last sample, repeated: the forecast that every other has to beat."""
    return window_forecaster(lambda x, horizon, unit: x[:, -1:].expand(-1, horizon))


def dft_extrapolation(taper_name: str | None = None) -> Forecaster:
    """The cosines of the lookback's DFT, run on beyond it.

    Without a taper this repeats the lookback, for every bin completes whole cycles in N samples.

    Args:
        taper_name: one of ``spectrum.TAPERS``, multiplied onto the lookback first.

    Raises:
        ValueError: a taper of another name.
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
        ValueError: what is no process, a noise level below 0, a lookback shorter than 12 samples where it is
            estimated, or longer than 5,000: the cost grows with the cube.

    Source: Wiener (1949); Kay (1993), Fundamentals of Statistical Signal Processing I, eq. 12.20.
    """
    check_process(process)
    check_noise_std(noise_std)

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        length = x.shape[1]
        time = torch.arange(length + horizon).to(x)
        frequencies, mass = (table.to(x) for table in process.prior(spacing=1 / (16 * len(time))))
        covariance = (2 * math.pi * frequencies * time[:, None]).cos() @ mass
        lags = (time[:, None] - time[:length]).long()
        eigenvalues, vectors = torch.linalg.eigh(covariance[lags[:length].abs()])
        noise = (noise_level(x) if noise_std is None else noise_std / unit[:, 0]).square()
        total = x.square().mean(dim=1)
        ratio = noise / (total - noise).clamp_min(1e-3 * total).clamp_min(torch.finfo(x.dtype).tiny)
        # What the process cannot produce is no signal, however small the noise: not to be divided by rounding.
        gains = 1 / (eigenvalues.clamp_min(0) + ratio[:, None]).clamp_min(1e-11 * eigenvalues[-1])
        return (gains * (x @ vectors)) @ (covariance[lags[length:]] @ vectors).T

    return window_forecaster(estimate, minimum=12 if noise_std is None else 1, maximum=LONGEST)


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
        ValueError: what is no batch, or windows that are not its own.

    Source: Kay (1993), Fundamentals of Statistical Signal Processing I, theorem 10.3.
    """
    if not isinstance(batch, SignalBatch):
        raise ValueError(f"batch must be the SignalBatch whose windows are forecast, got {type(batch).__name__}")

    def estimate(x: Tensor, horizon: int, unit: Tensor) -> Tensor:
        own = batch.past.to(x)
        if x.shape != own.shape:
            raise ValueError(f"this oracle serves the batch's windows {tuple(own.shape)}, got {tuple(x.shape)}")
        if strange := int((~torch.isclose(unit * x, own, rtol=0, atol=0.01)).any(dim=1).sum()):
            raise ValueError(f"this oracle serves the windows of its batch, in their order, got {strange} others")
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
