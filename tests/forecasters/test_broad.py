"""Lines with width: identities of Gaussian processes, and signals whose best forecast is known."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from harmonics_lib import HarmonicProcess, broad_lines, check_forecaster, random_stream, sparse_bayesian
from harmonics_lib.forecasters.broad import _log_densities, _start
from harmonics_lib.forecasters.toeplitz import toeplitz

LENGTH, HORIZON = 40, 5


@pytest.fixture
def model():
    """The model after three updates for three windows of noise of mean 0 and variance 1."""
    x = torch.randn(3, LENGTH, generator=random_stream(0, "windows"), dtype=torch.float64).cumsum(dim=1)
    x = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True, correction=0)
    model = _start(x, HORIZON)
    for _ in range(3):
        model = model.updated()
    return model


def covariance(model) -> torch.Tensor:
    """(B, N + H, N + H) of window and continuation, without the level."""
    return toeplitz(model.lags) + model.white[..., None] * torch.eye(LENGTH + HORIZON)


def log_likelihood(model, log_weights) -> torch.Tensor:
    """The restricted log likelihood of the windows, from dense matrices (Harville 1974)."""
    lags = model.atoms.autocovariance(log_weights.exp())[:, :LENGTH]
    dense = toeplitz(lags) + model.white[..., None] * torch.eye(LENGTH)
    ones = torch.ones(LENGTH, 1, dtype=torch.float64)
    inverse = torch.linalg.inv(dense)
    precision = (ones.T @ inverse @ ones)[:, 0, 0]
    level = (ones.T @ inverse @ model.x[..., None])[:, 0] / precision[:, None]
    y = model.x - level
    square = torch.einsum("bn,bnm,bm->b", y, inverse, y)
    return -0.5 * (torch.logdet(dense) + precision.log() + square).sum()


def test_the_update_follows_the_gradient_of_the_restricted_likelihood(model):
    """d log p / d log w = w (v - u) / 2, so the ratio of new to old weight is 1 + 2 d / (w u)."""
    log_weights = model.weights.clamp_min(1e-300).log().requires_grad_()
    (gradient,) = torch.autograd.grad(log_likelihood(model, log_weights), log_weights)
    new = model.updated().weights
    up, down = gradient > 1e-6, gradient < -1e-6
    assert up.any() and down.any()
    assert (new > model.weights)[up].all() and (new < model.weights)[down].all()


def test_updates_increase_the_likelihood():
    x = torch.sin(torch.arange(LENGTH) / 3.0).double()[None]
    model = _start((x - x.mean()) / x.std(correction=0), HORIZON)
    likelihoods = []
    for _ in range(10):
        likelihoods.append(log_likelihood(model, model.weights.clamp_min(1e-300).log()).item())
        model = model.updated()
    assert likelihoods == sorted(likelihoods)


def test_forecast_and_variance_are_those_of_a_gaussian_process(model):
    """With a level of a large variance, conditioned by dense matrices (Rasmussen and Williams 2006, eq. 2.19)."""
    dense = covariance(model) + 1e6
    past, ahead = dense[:, :LENGTH, :LENGTH], dense[:, LENGTH:, :LENGTH]
    gain = torch.linalg.solve(past, ahead.mT).mT
    torch.testing.assert_close(model.forecast(), (gain @ model.x[..., None])[..., 0], rtol=0, atol=1e-4)
    left = dense[:, LENGTH:, LENGTH:] - gain @ ahead.mT
    expected = left.diagonal(dim1=1, dim2=2) - model.white
    torch.testing.assert_close(model.variance(), expected, rtol=1e-3, atol=1e-4)


def test_the_density_of_what_follows_is_that_of_a_gaussian_process(model):
    """With a level of a large variance: log p(all) - log p(window), from dense matrices."""
    ahead = torch.randn(3, HORIZON, generator=random_stream(0, "ahead"), dtype=torch.float64)
    both, dense = torch.cat([model.x, ahead], dim=1), covariance(model) + 1e6
    every, window = (
        MultivariateNormal(torch.zeros(size, dtype=torch.float64), dense[:, :size, :size]).log_prob(both[:, :size])
        for size in (LENGTH + HORIZON, LENGTH)
    )
    expected = every - window + 0.5 * HORIZON * math.log(2 * math.pi)
    torch.testing.assert_close(_log_densities([model], both)[0], expected, rtol=0, atol=1e-3)


def test_a_line_is_found_at_its_frequency_with_its_power():
    time = torch.arange(100.0)
    frequency, power = broad_lines().spectrum(3 + 2 * torch.sin(2 * math.pi * time / 8)[None])
    assert frequency[power[0].argmax()] == pytest.approx(1 / 8, abs=1 / 400)
    assert power.sum().item() == pytest.approx(2, rel=0.1)


def test_coloured_noise_is_forecast_almost_as_well_as_by_its_own_law():
    """Noise x[t] = 0.9 x[t - 1] + e[t]: the best forecast is 0.9^h x; undamped waves turn it round."""
    x = torch.randn(200, 400, generator=random_stream(0, "noise"), dtype=torch.float64)
    for n in range(1, 400):
        x[:, n] += 0.9 * x[:, n - 1]
    past, future = x[:, -124:-24], x[:, -24:]
    best = past[:, -1:] * 0.9 ** torch.arange(1, 25)
    without = sparse_bayesian(HarmonicProcess((1, 45), (2, 1000), integer_periods=False), trend="level")
    least, with_width, without = (
        (forecast - future).square().mean() for forecast in (best, broad_lines()(past, 24), without(past, 24))
    )
    assert least < with_width < 1.35 * least
    assert with_width < 0.9 * without


def test_what_it_says_of_a_window_does_not_depend_on_the_others():
    """Noise and a sinusoid want early and late updates; each has its own, alone and together."""
    noise = torch.randn(1, 60, generator=random_stream(0, "alone"), dtype=torch.float64)
    both = torch.cat([noise, torch.sin(torch.arange(60.0, dtype=torch.float64)) + 0.1 * noise])
    together = broad_lines().distribution(both, 5)
    for row in range(2):
        alone = broad_lines().distribution(both[row : row + 1], 5)
        for name in ("mean", "std", "noise_std"):
            torch.testing.assert_close(
                getattr(together, name)[row : row + 1], getattr(alone, name), rtol=1e-4, atol=1e-5
            )


def test_it_is_a_forecaster():
    check_forecaster(broad_lines())
