"""The real DFT as a sum of cosines, tapers and their measures, and estimators of frequencies between bins."""

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

    The ``phases`` of a ``SignalBatch``, in contrast, are those of sines.

    Attributes:
        frequencies: (K,) in cycles per sample.
        amplitudes: (..., K), non-negative, in units of the signal.
        phases: (..., K) in radians.
    """

    frequencies: Tensor
    amplitudes: Tensor
    phases: Tensor

    def synthesise(self, length: int, start: int = 0) -> Tensor:
        """(..., length) samples of the sum at t = start, start + 1, …"""
        time = torch.arange(start, start + length, dtype=self.amplitudes.dtype, device=self.amplitudes.device)
        angles = 2 * math.pi * self.frequencies[:, None] * time  # (K, length)
        cosine = self.amplitudes * self.phases.cos()
        sine = self.amplitudes * self.phases.sin()
        return cosine @ angles.cos() - sine @ angles.sin()


def harmonics(signal: Tensor) -> Harmonics:
    """The real DFT of ``signal`` (..., N) as floor(N/2) + 1 cosines that sum to it exactly.

    Amplitudes are doubled for every bin that represents a pair of conjugate frequencies. These are
    all bins but bin 0 and, for even N, the Nyquist bin N/2.

    Raises:
        ValueError: the signal is empty or not floating-point.
    """
    if not signal.is_floating_point() or signal.shape[-1] < 1:
        raise ValueError(
            f"signal must be floating-point with at least one sample, got {signal.dtype} {tuple(signal.shape)}"
        )
    length = signal.shape[-1]
    spectrum = torch.fft.rfft(signal) / length
    frequencies = torch.arange(length // 2 + 1, dtype=signal.dtype, device=signal.device) / length
    multiplicity = torch.full_like(frequencies, 2.0)
    multiplicity[0] = 1.0
    if length % 2 == 0:
        multiplicity[-1] = 1.0
    return Harmonics(frequencies, spectrum.abs() * multiplicity, spectrum.angle())


def dft_matrix(length: int) -> Tensor:
    """(floor(N/2) + 1, N) complex matrix whose product with a real signal is its real DFT."""
    bins = torch.arange(length // 2 + 1)[:, None]
    turns = bins * torch.arange(length) % length  # exact: the exponent modulo one turn
    return torch.polar(torch.ones_like(turns, dtype=torch.float64), -2 * math.pi * turns.double() / length)


def taper(name: str, length: int) -> Tensor:
    """(length,) samples of a taper in double precision, in its periodic (DFT-even) form.

    Raises:
        ValueError: the name is not in ``TAPERS``.
    """
    check_choice("taper", name, TAPERS)
    from scipy.signal.windows import get_window  # imported late, because scipy.signal is slow to import

    return torch.from_numpy(get_window(name, length, fftbins=True))


def dirichlet_kernel(frequency: Tensor, length: int) -> Tensor:
    """Complex transform of ``length`` ones at ``frequency`` (cycles per sample): sin(pi f N) / sin(pi f) and phase.

    The DFT of a tone between bins is this kernel, centred on the tone and sampled at the bins.
    At whole-number frequencies its value is N.
    """
    frequency = frequency.double()
    denominator = torch.sin(math.pi * frequency)
    whole = denominator.abs() < 1e-12
    ratio = torch.sin(math.pi * frequency * length) / torch.where(whole, 1.0, denominator)
    magnitude = torch.where(whole, float(length), ratio)
    return magnitude * torch.polar(torch.ones_like(frequency), -math.pi * frequency * (length - 1) * ~whole)


@dataclass(frozen=True)
class TaperMeasures:
    """Figures of merit of a taper (Harris 1978, table 1).

    Attributes:
        main_lobe_bins: width of the main lobe from null to null, in bins of 1/N.
        side_lobe_db: highest side lobe relative to the peak, in dB.
        coherent_gain: mean of the taper: the factor by which it scales the amplitude of a tone.
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
    """Leakage: the fraction of the energy of ``signal`` (N,) more than ``bins`` bins away from ``frequency``."""
    energy = torch.fft.fft(signal.double()).abs().square()
    distance = (torch.fft.fftfreq(len(energy)).abs() - frequency).abs() * len(energy)
    return float(energy[distance > bins].sum() / energy.sum())


def peak_bin(signal: Tensor) -> Tensor:
    """(...,) frequency of the largest bin of the periodogram of ``signal`` (..., N), without bin 0."""
    bins = torch.fft.rfft(signal).abs()[..., 1:].argmax(dim=-1) + 1
    return bins.to(signal.dtype) / signal.shape[-1]


def parabolic_peak(signal: Tensor) -> Tensor:
    """(...,) frequency at the vertex of a parabola through the log magnitudes around the largest bin.

    The signal is first tapered by a Hann window, whose main lobe is nearly a parabola in dB.

    Source: Smith and Serra (1987).
    """
    left, centre, right, peak = _bins_around_peak(signal * taper("hann", signal.shape[-1]).to(signal))
    left, centre, right = left.abs().log(), centre.abs().log(), right.abs().log()
    return (peak + 0.5 * (left - right) / (left - 2 * centre + right)) / signal.shape[-1]


def jacobsen_peak(signal: Tensor) -> Tensor:
    """(...,) frequency from the three complex bins around the largest one.

    Source: Jacobsen and Kootsookos (2007), with the bias correction tan(pi/N) / (pi/N) of Candan (2011).
    """
    length = signal.shape[-1]
    left, centre, right, peak = _bins_around_peak(signal)
    offset = ((left - right) / (2 * centre - left - right)).real
    return (peak + offset * math.tan(math.pi / length) / (math.pi / length)) / length


def _bins_around_peak(signal: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    spectrum = torch.fft.rfft(signal)
    peak = spectrum.abs()[..., 1:-1].argmax(dim=-1, keepdim=True) + 1
    left, centre, right = (spectrum.gather(-1, peak + k).squeeze(-1) for k in (-1, 0, 1))
    return left, centre, right, peak.squeeze(-1)


def least_squares_peak(signal: Tensor, oversampling: int = 8) -> float:
    """Frequency of the single sinusoid that fits ``signal`` (N,) best: maximum likelihood in white noise.

    Both quadratures are fitted, so that a tone near 0 or 1/2 is not biased by its mirror image.
    A coarse grid brackets the maximum, and Brent's method refines it.

    Source: Rife and Boorstyn (1974).
    """
    from scipy.optimize import brentq  # imported late, as in ``taper``

    samples = signal.double().numpy()
    length = len(samples)
    step = 1e-4 / length
    start = float(peak_bin(torch.from_numpy(samples)))
    # At 0 and 1/2 one quadrature and the slope vanish, so the search excludes them.
    lowest, highest = 2 * step, 0.5 - 2 * step
    grid = np.linspace(max(start - 1 / length, lowest), min(start + 1 / length, highest), 2 * oversampling + 1)
    best = int(np.argmax([_energy_at(samples, f) for f in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]

    def slope(frequency):
        return _energy_at(samples, frequency + step) - _energy_at(samples, frequency - step)

    if slope(low) <= 0 or slope(high) >= 0:
        return float(grid[best])
    return float(brentq(slope, low, high, xtol=1e-13))


def _energy_at(samples: np.ndarray, frequency: float) -> float:
    """Energy of ``samples`` in the span of the sine and cosine of ``frequency``."""
    angles = 2 * np.pi * frequency * np.arange(len(samples))
    basis = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    coefficients, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    return float(np.sum((basis @ coefficients) ** 2))


def local_phasors(signal: Tensor, periods: Tensor, window: int, hop: int = 1) -> Tensor:
    """Phasors a exp(i phase) of a tone of known period in overlapping segments of a signal.

    Each segment is fitted by least squares with an offset and a sin(2 pi t / period + phase), where t
    counts from the first sample of the signal. A tone of exactly that period has the same phasor in
    all segments. The phasor of a tone of frequency f turns by 2 pi (f - 1/period) a sample.

    Args:
        signal: (B, T).
        periods: (B,) in samples, at most ``window``.
        window: samples in a segment.
        hop: samples between the starts of consecutive segments.

    Returns:
        (B, W) complex, W = (T - window) // hop + 1.

    Raises:
        ValueError: the window is longer than the signal, or shorter than a period.
    """
    if not periods.max() <= window <= signal.shape[-1]:
        raise ValueError(
            f"window must be from a period ({periods.max():g}) to the signal ({signal.shape[-1]} samples), got {window}"
        )
    omega = 2 * math.pi / periods.to(signal)
    angles = omega[:, None] * torch.arange(window).to(signal)  # (B, window)
    basis = torch.stack([angles.sin(), angles.cos(), torch.ones_like(angles)], dim=-1)
    sine, cosine, _ = (signal.unfold(-1, window, hop) @ torch.linalg.pinv(basis).mT).unbind(-1)  # (B, W) each
    starts = hop * torch.arange(sine.shape[1]).to(signal)
    rotation = torch.polar(torch.ones_like(sine), -omega[:, None] * starts)
    return torch.complex(sine, cosine) * rotation
