"""Sinusoids fitted one by one: as many as there are, as well as noise allows."""

import math

import pytest
import torch

from harmonics_lib import HarmonicProcess, random_stream
from harmonics_lib.forecasters.nonlinear import fit_sinusoids, nonlinear_least_squares

RANGE = (1 / 110, 0.5)


def tones(frequencies, noise=0.0, batch=50, length=100):
    """(batch, length) sums of tones of amplitude 1 and random phase, in white noise."""
    generator = random_stream(0, "tones")
    phases = 2 * math.pi * torch.rand(batch, len(frequencies), 1, dtype=torch.float64, generator=generator)
    angles = 2 * math.pi * torch.tensor(frequencies, dtype=torch.float64)[:, None] * torch.arange(length)
    signal = (angles + phases).sin().sum(dim=1)
    return signal + noise * torch.randn(signal.shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("frequencies", [[0.1234], [0.05, 0.21], [0.031, 0.12, 0.2, 0.333]])
def test_clean_tones_go_on_to_rounding(frequencies):
    signal = tones(frequencies, length=150)
    ahead = nonlinear_least_squares()(signal[:, :100], 50)
    assert torch.allclose(ahead, signal[:, 100:], atol=1e-8, rtol=0)


def test_frequencies_in_noise_are_as_good_as_the_cramer_rao_bound():
    """Rife and Boorstyn (1974): the variance of a frequency is 24 s^2 / ((2 pi)^2 A^2 N^3) at the least."""
    noise, length = 0.3, 100
    found, counts = fit_sinusoids(tones([0.1234], noise, batch=1000), 20, RANGE)
    assert (counts >= 1).all() and (counts == 1).double().mean() > 0.95
    variance = (found[counts == 1, 0] - 0.1234).square().mean().item()
    bound = 24 * noise**2 / ((2 * math.pi) ** 2 * length**3)
    assert 0.85 < variance / bound < 1.25


@pytest.mark.parametrize("frequencies", [[], [0.1], [0.05, 0.21], [0.031, 0.12, 0.2, 0.333]])
def test_the_criterion_counts_the_tones_in_noise(frequencies):
    signal = tones(frequencies, 0.3) if frequencies else noise_only()
    _, counts = fit_sinusoids(signal, 20, RANGE)
    assert (counts == len(frequencies)).double().mean() >= 0.9


def noise_only():
    return torch.randn(50, 100, dtype=torch.float64, generator=random_stream(0, "noise"))


def test_one_tone_of_any_period_is_forecast_as_well_as_the_bound_allows():
    """Not knowing the frequency costs 10 log10(1 + 6 D^2 / N^2) dB on average over ten steps: about 4.5 dB."""
    process = HarmonicProcess(1, (5, 60), integer_periods=False, noise_std=0.1)
    batch = process.sample(1000, 110, 100, generator=random_stream(0, "one tone"), dtype=torch.float64)
    error = (nonlinear_least_squares()(batch.past, 10) - batch.future).square().mean().item()
    distance = torch.arange(100, 110).double() - 49.5  # from the middle of the window
    bound = 0.1**2 * (2 / 100 + 12 * distance.square().mean().item() / 100**3)
    assert 0.85 < error / bound < 1.3


def test_windows_without_a_sinusoid_are_continued_by_zero():
    forecast = nonlinear_least_squares()
    assert torch.equal(forecast(torch.zeros(2, 50), 5), torch.zeros(2, 5))
