"""One convention for sinusoids, whoever uses them."""

import numpy as np
import torch

from harmonics_lib.signals.waves import exponentials


def test_they_are_cosines_and_sines_at_any_time_and_of_any_batch():
    frequencies = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    times = torch.arange(-20, 200, dtype=torch.float64) + 0.5
    waves = exponentials(frequencies, times)
    angles = 2 * np.pi * times.numpy()[:, None] * frequencies.numpy()[:, None]
    assert waves.shape == (3, 220, 5)
    np.testing.assert_allclose(waves.real, np.cos(angles), rtol=0, atol=1e-12)
    np.testing.assert_allclose(waves.imag, np.sin(angles), rtol=0, atol=1e-12)


def test_a_conjugate_amplitude_multiplies_the_cosine_and_the_sine():
    times = torch.arange(50)
    amplitude = torch.tensor([2 - 3j], dtype=torch.complex128)
    signal = (exponentials(torch.tensor([0.1], dtype=torch.float64), times) @ amplitude.conj()).real
    angles = 0.2 * np.pi * times.numpy()
    np.testing.assert_allclose(signal, 2 * np.cos(angles) - 3 * np.sin(angles), rtol=0, atol=1e-12)
