"""The optimal linear forecaster under the covariance of a process, and the oracle that is given the periods."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harmonics_lib.forecasters.base import LONGEST, Forecaster, check_noise_std
from harmonics_lib.forecasters.estimates import least_squares, noise_level
from harmonics_lib.forecasters.window import Window
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, check_process


@dataclass(frozen=True)
class linear_mmse(Forecaster):
    """The linear predictor of least mean squared error under the covariance of the process, in closed form.

    A process of random phases is stationary. Its autocovariance at lag d is the mean of cos(2 pi d / period)
    over its periods, times the power of the clean signal, which is estimated from the window.
    With the eigenvalues L and eigenvectors V of the window's covariance, the forecast is
    R V (L + noise / power)^-1 V' x, where R holds the covariances of future and window.

    Args:
        process: the distribution of periods; its number of components and its noise are ignored.
        noise_std: standard deviation of the noise in the unit of the lookback; None for ``noise_level``.

    Raises:
        ValueError: the process is not one, the noise level is below 0, or the lookback has less than 12 samples (if
            the noise is estimated) or more than 5,000 (the cost grows with the cube of the length).

    Source: Wiener (1949); Kay (1993), Fundamentals of Statistical Signal Processing I, eq. 12.20.
    """

    process: HarmonicProcess
    noise_std: float | None = None

    maximum = LONGEST

    def __post_init__(self):
        check_process(self.process)
        self._set(noise_std=check_noise_std(self.noise_std))

    @property
    def minimum(self) -> int:
        return 12 if self.noise_std is None else 1

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        x, length = window.x, window.x.shape[1]
        time = torch.arange(length + horizon).to(x)
        frequencies, mass = (table.to(x) for table in self.process.prior(spacing=1 / (16 * len(time))))
        covariance = (2 * math.pi * frequencies * time[:, None]).cos() @ mass
        lags = (time[:, None] - time[:length]).long()
        eigenvalues, vectors = torch.linalg.eigh(covariance[lags[:length].abs()])
        level = window.once(noise_level) if self.noise_std is None else self.noise_std / window.unit[:, 0]
        noise = level.square()
        total = x.square().mean(dim=1)
        ratio = noise / (total - noise).clamp_min(1e-3 * total).clamp_min(torch.finfo(x.dtype).tiny)
        # Directions without signal under the process get a bounded gain, because their eigenvalues are rounding errors.
        gains = 1 / (eigenvalues.clamp_min(0) + ratio[:, None]).clamp_min(1e-11 * eigenvalues[-1])
        return (gains * (x @ vectors)) @ (covariance[lags[length:]] @ vectors).T


@dataclass(frozen=True, eq=False)
class known_period_oracle(Forecaster):
    """The posterior mean given the periods, noise and power of each window: a bound, not a competitor.

    The sine and cosine amplitudes have a Gaussian prior, whose variance is the window's mean power per
    component. Only amplitudes and phases are estimated. No linear estimate has a smaller mean squared
    error. (For a single component the true prior of the amplitude, which the scaling to a peak of 1
    almost determines, would gain up to 3 dB more.)

    Args:
        batch: the signals whose ``past`` will be forecast. The forecaster accepts only these windows, in
            this order.

    Raises:
        ValueError: the batch is not a ``SignalBatch``, or the windows are not those of the batch.

    Source: Kay (1993), Fundamentals of Statistical Signal Processing I, theorem 10.3.
    """

    batch: SignalBatch = field(repr=False)

    def __post_init__(self):
        if not isinstance(self.batch, SignalBatch):
            raise ValueError(
                f"batch must be the SignalBatch whose windows are forecast, got {type(self.batch).__name__}"
            )

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        self._check_windows(window)
        x, unit, length = window.x, window.unit, window.x.shape[1]
        amplitudes, periods = self.batch.amplitudes.double(), self.batch.periods.double()
        used = amplitudes != 0
        power = amplitudes.square().sum(dim=1, keepdim=True) / (2 * used.sum(dim=1, keepdim=True))
        angles = 2 * math.pi * torch.arange(length + horizon).to(x)[:, None] / periods[:, None]
        basis = torch.cat([angles.sin(), angles.cos()], dim=2) * (used * power.sqrt() / unit).repeat(1, 2)[:, None]
        # Ridge regression by an augmented system: exact for clean windows, where the noise is 0.
        diagonal = torch.eye(basis.shape[2], dtype=x.dtype, device=x.device)
        noise = (self.batch.noise_std.double()[:, None] / unit)[..., None] * diagonal
        equations, target = torch.cat([basis[:, :length], noise], dim=1), torch.nn.functional.pad(x, (0, len(diagonal)))
        return (basis[:, length:] @ least_squares(equations, target, cutoff=1e-12)[..., None])[..., 0]

    def _check_windows(self, window: Window) -> None:
        """Raise ``ValueError`` unless these are the windows of the batch."""
        own = self.batch.past.to(window.x)
        if window.x.shape != own.shape:
            raise ValueError(f"this oracle serves the batch's windows {tuple(own.shape)}, got {tuple(window.x.shape)}")
        if strange := int((~torch.isclose(window.unit * window.x, own, rtol=0, atol=0.01)).any(dim=1).sum()):
            raise ValueError(f"this oracle serves the windows of its batch, in their order, got {strange} others")
