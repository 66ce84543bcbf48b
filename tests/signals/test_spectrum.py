"""Facts of the DFT, of tapers and of frequency estimation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import dft

from harmonics_lib.signals import spectrum


def noise(length, seed=0):
    return torch.randn(length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 200), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_harmonics_give_the_signal_back_for_odd_and_even_lengths(length, seed):
    signal = noise(length, seed)
    assert torch.allclose(spectrum.harmonics(signal).synthesise(length), signal, atol=1e-10)


@pytest.mark.parametrize("length", [15, 16])
def test_beyond_the_window_the_harmonics_repeat_it(length):
    signal = noise(length)
    ahead = spectrum.harmonics(signal).synthesise(2 * length + 3, start=length)
    assert torch.allclose(ahead, signal.repeat(4)[: 2 * length + 3], atol=1e-10)


@given(st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_parseval(length):
    signal = noise(length, length)
    h = spectrum.harmonics(signal)
    weight = torch.where((h.frequencies == 0) | (h.frequencies == 0.5), 1.0, 0.5)
    assert (weight * h.amplitudes**2).sum().item() == pytest.approx(signal.square().mean().item(), rel=1e-10)


@pytest.mark.parametrize("length, bin_, amplitude", [(16, 3, 0.7), (15, 3, 0.7), (16, 8, 0.7), (16, 0, 0.7)])
def test_a_cosine_on_a_bin_has_its_own_amplitude_there_and_nowhere_else(length, bin_, amplitude):
    signal = amplitude * torch.cos(2 * math.pi * bin_ * torch.arange(length, dtype=torch.float64) / length)
    expected = torch.zeros(length // 2 + 1, dtype=torch.float64)
    expected[bin_] = amplitude
    assert torch.allclose(spectrum.harmonics(signal).amplitudes, expected, atol=1e-12)


def test_a_batch_is_treated_row_by_row():
    signals = torch.stack([noise(20, 1), noise(20, 2)])
    assert torch.allclose(spectrum.harmonics(signals).amplitudes[1], spectrum.harmonics(signals[1]).amplitudes)


@pytest.mark.parametrize("signal", [torch.zeros(0), torch.arange(4)])
def test_signals_without_a_spectrum_are_refused(signal):
    with pytest.raises(ValueError, match="floating-point"):
        spectrum.harmonics(signal)


@pytest.mark.parametrize("length", [1, 2, 15, 16])
def test_dft_matrix_is_the_upper_half_of_scipys(length):
    assert np.allclose(spectrum.dft_matrix(length).numpy(), dft(length)[: length // 2 + 1], atol=1e-12)


@pytest.mark.parametrize("length", [1, 7, 10])
def test_dirichlet_kernel_is_the_transform_of_ones(length):
    frequency = torch.tensor([-1.0, -0.5, -0.13, 0.0, 0.1, 0.25, 0.5, 0.97, 1.0, 2.0], dtype=torch.float64)
    angles = -2 * math.pi * frequency[:, None] * torch.arange(length)
    direct = torch.polar(torch.ones_like(angles), angles).sum(1)
    assert torch.allclose(spectrum.dirichlet_kernel(frequency, length), direct, atol=1e-10)


# Main lobe in bins, highest side lobe in dB, coherent gain, scalloping in dB, noise bandwidth in bins (Harris 1978).
HARRIS = {
    "boxcar": (2, -13.3, 1.00, -3.92, 1.00),
    "bartlett": (4, -26.5, 0.50, -1.82, 1.33),
    "hann": (4, -31.5, 0.50, -1.42, 1.50),
    "hamming": (4, -42.7, 0.54, -1.75, 1.36),
    "blackman": (6, -58.1, 0.42, -1.10, 1.73),
    "blackmanharris": (8, -92.0, 0.36, -0.83, 2.00),
}


@pytest.mark.parametrize("name", HARRIS)
def test_taper_measures_are_those_of_harris(name):
    lobe, side, gain, scalloping, bandwidth = HARRIS[name]
    m = spectrum.measure_taper(spectrum.taper(name, 1024))
    assert m.main_lobe_bins == pytest.approx(lobe, abs=0.05)
    assert m.side_lobe_db == pytest.approx(side, abs=0.3)
    assert m.coherent_gain == pytest.approx(gain, abs=0.005)
    assert m.scalloping_db == pytest.approx(scalloping, abs=0.02)
    assert m.noise_bandwidth_bins == pytest.approx(bandwidth, abs=0.01)


def test_a_flat_top_loses_next_to_nothing_between_bins():
    assert abs(spectrum.measure_taper(spectrum.taper("flattop", 1024)).scalloping_db) < 0.02


def tone(frequency, phase=0.4, length=100):
    return torch.sin(2 * math.pi * frequency * torch.arange(length, dtype=torch.float64) + phase)


def test_energy_stays_on_a_bin_and_leaks_from_between():
    assert spectrum.energy_outside(tone(0.05), 0.05) < 1e-20
    assert spectrum.energy_outside(tone(0.055), 0.055) > 0.05


@pytest.mark.parametrize("frequency", [0.003, 0.0123, 0.1, 0.1234, 0.31, 0.487, 0.499])
@pytest.mark.parametrize("length", [99, 100])
def test_least_squares_finds_a_tone_between_bins(frequency, length):
    assert spectrum.least_squares_peak(tone(frequency, length=length)) == pytest.approx(frequency, abs=1e-8)


@pytest.mark.parametrize("bins", [0.02, 0.3, 9.7, 9.98])
@pytest.mark.parametrize("phase", [0.3, 1.3, 2.5])
def test_least_squares_finds_a_tone_next_to_its_mirror_image(bins, phase):
    signal = tone(bins / 20, phase, length=20)
    assert spectrum.least_squares_peak(signal) == pytest.approx(bins / 20, abs=1e-7)


@pytest.mark.parametrize(
    "estimate, bins", [(spectrum.peak_bin, 0.5), (spectrum.parabolic_peak, 0.03), (spectrum.jacobsen_peak, 0.01)]
)
def test_estimates_between_bins_keep_their_bias(estimate, bins):
    frequencies = torch.linspace(0.1, 0.4, 61, dtype=torch.float64)
    signals = torch.stack([tone(f) for f in frequencies])
    assert ((estimate(signals) - frequencies).abs() * 100).max() <= bins + 1e-9


def test_a_tone_has_one_phasor_everywhere_and_a_neighbour_turns():
    time, periods = torch.arange(700, dtype=torch.float64), torch.tensor([25.3, 111.1], dtype=torch.float64)
    detuned = 1 / periods + 1e-5
    tone = 3 + 0.7 * torch.sin(2 * math.pi * time / periods[:, None] + 0.4)
    neighbour = torch.sin(2 * math.pi * detuned[:, None] * time)
    phasors = spectrum.local_phasors(tone, periods, 130, 50)
    assert phasors.shape == (2, 12)
    assert torch.allclose(phasors, torch.polar(torch.tensor(0.7).double(), torch.tensor(0.4).double()).expand(2, 12))
    turning = spectrum.local_phasors(neighbour, periods, 130, 50).angle().diff(dim=1)
    assert torch.allclose(turning, torch.full_like(turning, 2 * math.pi * 1e-5 * 50), rtol=0.05)


@pytest.mark.parametrize("window", [99, 301])
def test_a_stretch_that_cannot_hold_a_period_is_refused(window):
    with pytest.raises(ValueError, match=f"got {window}"):
        spectrum.local_phasors(noise(300)[None], torch.tensor([100.0]), window)
