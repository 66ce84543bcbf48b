"""The real DFT as a list of harmonics, tapers and what they cost, and frequencies between bins."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmonics_lib.arguments import check_choice

#: The usual tapers, by their name in ``scipy.signal.windows`` (Harris 1978; flattop: ISO 18431-2).
TAPERS = ("boxcar", "bartlett", "hann", "hamming", "blackman", "blackmanharris", "flattop")


@dataclass(frozen=True)
class Harmonics:
    """Cosines on a frequency grid: ``x[t]`` is the sum of ``a cos(2 pi f t + phase)``.

    Not the ``phases`` of a ``SignalBatch``, which are those of sines.

    Attributes:
        frequencies: (K,) in cycles per sample.
        amplitudes: (..., K), non-negative, in units of the signal.
        phases: (..., K) in radians.
    """

    frequencies: Tensor
    amplitudes: Tensor
    phases: Tensor

    def synthesise(self, length: int, start: int = 0) -> Tensor:
        """(..., length) samples of the sum at t = start, start + 1, …; any start, any length."""
        time = torch.arange(start, start + length, dtype=self.amplitudes.dtype, device=self.amplitudes.device)
        angles = 2 * math.pi * self.frequencies[:, None] * time  # (K, length)
        cosine = self.amplitudes * self.phases.cos()
        sine = self.amplitudes * self.phases.sin()
        return cosine @ angles.cos() - sine @ angles.sin()


def harmonics(signal: Tensor) -> Harmonics:
    """The real DFT of ``signal`` (..., N) as floor(N/2) + 1 cosines that sum to it exactly.

    Amplitudes are doubled for every bin that stands for a pair of conjugate frequencies: all but
    bin 0 and, for even N, the Nyquist bin N/2.

    Raises:
        ValueError: an empty or integer signal.
    """
    if not signal.is_floating_point() or signal.shape[-1] < 1:
        raise ValueError(
            f"signal must be floating-point with at least one sample, got {signal.dtype} {tuple(signal.shape)}"
        )
    length = signal.shape[-1]
    spectrum = torch.fft.rfft(signal) / length
    frequencies = torch.arange(length // 2 + 1, dtype=signal.dtype, device=signal.device) / length
    paired = torch.full_like(frequencies, 2.0)
    paired[0] = 1.0
    if length % 2 == 0:
        paired[-1] = 1.0
    return Harmonics(frequencies, spectrum.abs() * paired, spectrum.angle())


def dft_matrix(length: int) -> Tensor:
    """(floor(N/2) + 1, N) complex matrix whose product with a real signal is its real DFT."""
    bins = torch.arange(length // 2 + 1)[:, None]
    turns = bins * torch.arange(length) % length  # exact: the exponent modulo one turn
    return torch.polar(torch.ones_like(turns, dtype=torch.float64), -2 * math.pi * turns.double() / length)


def taper(name: str, length: int) -> Tensor:
    """(length,) samples of a taper in double precision, in its periodic (DFT-even) form.

    Raises:
        ValueError: a name that is not in ``TAPERS``.
    """
    check_choice("taper", name, TAPERS)
    from scipy.signal.windows import get_window  # here: importing scipy.signal takes longer than all the rest

    return torch.from_numpy(get_window(name, length, fftbins=True))


def dirichlet_kernel(frequency: Tensor, length: int) -> Tensor:
    """Transform of ``length`` ones at ``frequency`` (cycles per sample): sin(pi f N) / sin(pi f), with its phase.

    The DFT of a tone between bins is this kernel, centred on the tone and sampled at the bins.
    Complex, N at whole frequencies.
    """
    frequency = frequency.double()
    denominator = torch.sin(math.pi * frequency)
    whole = denominator.abs() < 1e-12
    ratio = torch.sin(math.pi * frequency * length) / torch.where(whole, 1.0, denominator)
    magnitude = torch.where(whole, float(length), ratio)
    return magnitude * torch.polar(torch.ones_like(frequency), -math.pi * frequency * (length - 1) * ~whole)


@dataclass(frozen=True)
class TaperMeasures:
    """What a taper buys and costs (Harris 1978, table 1).

    Attributes:
        main_lobe_bins: width of the main lobe from null to null, in bins of 1/N.
        side_lobe_db: highest side lobe relative to the peak, in dB.
        coherent_gain: mean of the taper, by which it scales the amplitude of a tone.
        scalloping_db: loss of a tone halfway between two bins, in dB (negative).
        noise_bandwidth_bins: equivalent noise bandwidth, in bins.
    """

    main_lobe_bins: float
    side_lobe_db: float
    coherent_gain: float
    scalloping_db: float
    noise_bandwidth_bins: float


def measure_taper(samples: Tensor) -> TaperMeasures:
    """Measure the transform of taper ``samples`` (N,) on a grid of 1/256 bin."""
    samples = samples.double()
    length, fine = len(samples), 256
    magnitude = torch.fft.rfft(samples, n=length * fine).abs()
    magnitude = (magnitude / magnitude[0]).clamp_min(1e-15)
    rising = (magnitude[1:] > magnitude[:-1]).nonzero().flatten()
    null = int(rising[magnitude[rising] < 0.1][0])  # the first minimum that ends the main lobe
    return TaperMeasures(
        main_lobe_bins=2 * null / fine,
        side_lobe_db=20 * math.log10(magnitude[null:].max()),
        coherent_gain=float(samples.mean()),
        scalloping_db=20 * math.log10(magnitude[fine // 2]),
        noise_bandwidth_bins=float(length * samples.square().sum() / samples.sum() ** 2),
    )


def energy_outside(signal: Tensor, frequency: float, bins: int = 2) -> float:
    """Leakage: the fraction of the energy of ``signal`` (N,) further than ``bins`` bins from ``frequency``."""
    energy = torch.fft.fft(signal.double()).abs().square()
    distance = (torch.fft.fftfreq(len(energy)).abs() - frequency).abs() * len(energy)
    return float(energy[distance > bins].sum() / energy.sum())


def peak_bin(signal: Tensor) -> Tensor:
    """(...,) frequency of the largest bin of the periodogram of ``signal`` (..., N), bin 0 left out."""
    bins = torch.fft.rfft(signal).abs()[..., 1:].argmax(dim=-1) + 1
    return bins.to(signal.dtype) / signal.shape[-1]


def parabolic_peak(signal: Tensor) -> Tensor:
    """(...,) frequency at the top of a parabola through the log magnitudes about the largest bin.

    The signal is Hann-tapered first, whose main lobe is nearly a parabola in dB (Smith and Serra 1987).
    """
    left, centre, right, peak = _about_peak(signal * taper("hann", signal.shape[-1]).to(signal))
    left, centre, right = left.abs().log(), centre.abs().log(), right.abs().log()
    return (peak + 0.5 * (left - right) / (left - 2 * centre + right)) / signal.shape[-1]


def jacobsen_peak(signal: Tensor) -> Tensor:
    """(...,) frequency from the three complex bins about the largest (Jacobsen and Kootsookos 2007).

    With the bias correction tan(pi/N) / (pi/N) of Candan (2011).
    """
    length = signal.shape[-1]
    left, centre, right, peak = _about_peak(signal)
    offset = ((left - right) / (2 * centre - left - right)).real
    return (peak + offset * math.tan(math.pi / length) / (math.pi / length)) / length


def _about_peak(signal: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    spectrum = torch.fft.rfft(signal)
    peak = spectrum.abs()[..., 1:-1].argmax(dim=-1, keepdim=True) + 1
    left, centre, right = (spectrum.gather(-1, peak + k).squeeze(-1) for k in (-1, 0, 1))
    return left, centre, right, peak.squeeze(-1)


def least_squares_peak(signal: Tensor, oversampling: int = 8) -> float:
    """Frequency of the one sinusoid that fits ``signal`` (N,) best: maximum likelihood in white noise.

    Rife and Boorstyn (1974), with the real-valued fit of both quadratures, so that a tone near 0
    or 1/2 is not biased by its own mirror image. A coarse grid brackets, Brent's method refines.
    """
    from scipy.optimize import brentq  # here, as in ``taper``

    samples = signal.double().numpy()
    length = len(samples)
    step = 1e-4 / length
    start = float(peak_bin(torch.from_numpy(samples)))
    # At 0 and 1/2 one quadrature vanishes, and the slope with it: the search ends short of them.
    lowest, highest = 2 * step, 0.5 - 2 * step
    grid = np.linspace(max(start - 1 / length, lowest), min(start + 1 / length, highest), 2 * oversampling + 1)
    best = int(np.argmax([_explained(samples, f) for f in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]

    def slope(frequency):
        return _explained(samples, frequency + step) - _explained(samples, frequency - step)

    if slope(low) <= 0 or slope(high) >= 0:
        return float(grid[best])
    return float(brentq(slope, low, high, xtol=1e-13))


def _explained(samples: np.ndarray, frequency: float) -> float:
    """Energy of ``samples`` in the span of the sine and cosine of ``frequency``."""
    angles = 2 * np.pi * frequency * np.arange(len(samples))
    basis = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    coefficients, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    return float(np.sum((basis @ coefficients) ** 2))


def local_phasors(signal: Tensor, periods: Tensor, window: int, hop: int = 1) -> Tensor:
    """Amplitude and phase of a tone of known period in every stretch of a signal, a exp(i phase).

    Each stretch is fitted by least squares with an offset and a sin(2 pi t / period + phase), t
    counted from the first sample of the signal: a tone of exactly that period has the same phasor
    everywhere, one of frequency f turns by 2 pi (f - 1/period) a sample.

    Args:
        signal: (B, T).
        periods: (B,) in samples, at most ``window``.
        window, hop: samples in a stretch, and between the beginnings of two.

    Returns:
        (B, W) complex, W = (T - window) // hop + 1.

    Raises:
        ValueError: a window longer than the signal, or shorter than a period.
    """
    if not periods.max() <= window <= signal.shape[-1]:
        raise ValueError(
            f"window must hold a period ({periods.max():g}) and fit the signal ({signal.shape[-1]}), got {window}"
        )
    omega = 2 * math.pi / periods.to(signal)
    angles = omega[:, None] * torch.arange(window).to(signal)  # (B, window)
    basis = torch.stack([angles.sin(), angles.cos(), torch.ones_like(angles)], dim=-1)
    sine, cosine, _ = (signal.unfold(-1, window, hop) @ torch.linalg.pinv(basis).mT).unbind(-1)  # (B, W) each
    starts = hop * torch.arange(sine.shape[1]).to(signal)
    turned_back = torch.polar(torch.ones_like(sine), -omega[:, None] * starts)
    return torch.complex(sine, cosine) * turned_back
