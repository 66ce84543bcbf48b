"""The Bayes limit: the sampler against sums over all periods, its own error bar, and the table."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments import limit
from experiments.bayes_limit import bayes_limit, exact_one_component
from harmonics_lib import HarmonicProcess, load_table, random_stream, sparse_bayesian
from harmonics_lib.forecasters.linear import known_period_oracle

HORIZON = 10


def signals(count, noise, size, lookback=100, periods=(2, 99)):
    process = HarmonicProcess(count, periods, noise_std=noise)
    generator = random_stream(0, "Bayes limit")
    return process.sample(size, lookback + HORIZON, lookback, generator=generator, dtype=torch.float64)


def mse(forecast, batch):
    return np.square(forecast - batch.future.numpy()).mean()


def enumerate_periods(batch, periods):
    """(B, H) posterior means and (B,) expected errors by a sum over all choices of periods, in the plainest way."""
    length, total = batch.lookback, batch.observed.shape[1]
    period, time = np.arange(periods[0], periods[1] + 1), np.arange(total)
    kernels = np.cos(2 * np.pi * (time[:, None] - time) / period[:, None, None])  # (P, N + H, N + H)
    choices = list(itertools.product(range(len(period)), repeat=batch.amplitudes.shape[1]))
    covariance = sum(kernels[list(slot)] for slot in zip(*choices, strict=True))  # (choices, N + H, N + H)
    means, expected = [], []
    for x, noise, amplitudes in zip(batch.past.numpy(), batch.noise_std.numpy(), batch.amplitudes.numpy(), strict=True):
        signal = np.square(amplitudes).mean() / 2 * covariance
        seen, cross = signal[:, :length, :length] + noise**2 * np.eye(length), signal[:, length:, :length]
        solved = np.linalg.solve(seen, np.broadcast_to(x[:, None], (len(seen), length, 1)))
        log_evidence = -(x @ solved)[:, 0] / 2 - np.linalg.slogdet(seen)[1] / 2
        weights = np.exp(log_evidence - log_evidence.max())
        weights /= weights.sum()
        forecasts = (cross @ solved)[..., 0]
        given = signal[:, length:, length:] - cross @ np.linalg.solve(seen, cross.transpose(0, 2, 1))
        means.append(weights @ forecasts)
        spread = np.square(forecasts - means[-1]).mean(axis=1) + np.trace(given, axis1=1, axis2=2) / HORIZON
        expected.append(weights @ spread)
    return np.array(means), np.array(expected)


@pytest.mark.parametrize(
    "count, periods, lookback", [(1, (2, 99), 20), (2, (2, 99), 20), (2, (30, 49), 60), (3, (2, 13), 16)]
)
def test_the_chains_average_what_a_sum_over_all_periods_gives(count, periods, lookback):
    """Within the error of 4,000 draws, on windows where several choices of periods are probable."""
    batch = signals(count, 0.3, 3, lookback, periods)
    mean, expected = enumerate_periods(batch, periods)
    found = bayes_limit(batch, HORIZON, 2000, periods)
    assert (np.square(found.mean - mean).mean(axis=1) < 0.005 * expected).all()
    assert np.allclose(found.expected, expected, rtol=0.05)
    assert found.converged.all()


def test_the_posterior_expects_the_error_that_it_makes():
    """On windows of the very model: Gaussian amplitudes, of which the variance is told."""
    batch = signals(3, 0.1, 200)
    generator = random_stream(0, "Gaussian amplitudes")
    sine, cosine = torch.randn(2, 200, 3, 1, dtype=torch.float64, generator=generator)
    angles = 2 * math.pi * torch.arange(110) / batch.periods[..., None]
    clean = (sine * angles.sin() + cosine * angles.cos()).sum(dim=1)
    observed = clean + 0.5 * torch.randn(clean.shape, dtype=torch.float64, generator=generator)
    told = torch.full_like(batch.amplitudes, math.sqrt(2))  # the power of a component of variance 1
    batch = replace(
        batch, clean=clean, observed=observed, amplitudes=told, noise_std=torch.full_like(batch.noise_std, 0.5)
    )
    found = bayes_limit(batch, HORIZON, 60)
    error = np.square(found.mean - batch.future.numpy()).mean(axis=1)
    surplus = error - found.expected
    assert abs(surplus.mean()) < 3 * surplus.std() / math.sqrt(len(batch))
    assert surplus.std() / math.sqrt(len(batch)) < 0.15 * error.mean()


def test_one_component_is_forecast_as_signals_like_it_go_on():
    """The exact posterior mean is the mean of all signals of the process, weighed by how well they fit the window."""
    batch, drawn = signals(1, 0.5, 4, 20, (2, 20)), signals(1, 0.5, 300_000, 20, (2, 20))
    exact = exact_one_component(batch, HORIZON, (2, 20))
    for x, forecast in zip(batch.past, exact, strict=True):
        misfit = (drawn.clean[:, :20] - x).square().sum(dim=1)
        weights = torch.softmax(-misfit / (2 * 0.5**2), dim=0)
        mean = (weights @ drawn.future).numpy()
        error = (weights.square() @ (drawn.future - weights @ drawn.future).square()).sqrt().numpy()
        assert np.square((forecast - mean) / error).mean() < 4


def test_who_is_told_less_errs_more():
    batch = signals(5, 0.03, 40)
    periods, nothing = known_period_oracle(batch), sparse_bayesian(HarmonicProcess((1, 45), (2, 99)))
    told = mse(periods(batch.past, HORIZON).numpy(), batch), mse(bayes_limit(batch, HORIZON, 60).mean, batch)
    assert told[0] < told[1] < mse(nothing(batch.past, HORIZON).numpy(), batch)


def test_the_true_law_of_one_amplitude_is_worth_more_than_a_gaussian():
    batch = signals(1, 0.1, 100)
    assert mse(exact_one_component(batch, HORIZON), batch) < mse(bayes_limit(batch, HORIZON, 200).mean, batch)


def test_chains_from_nothing_and_from_the_truth_agree_at_little_noise():
    assert bayes_limit(signals(5, 0.01, 10), HORIZON, 100).converged.mean() >= 0.9


def test_a_window_has_its_own_random_stream():
    batch = signals(2, 0.1, 3)
    assert np.array_equal(bayes_limit(batch, HORIZON, 10).mean[:2], bayes_limit(batch[:2], HORIZON, 10).mean)


def test_the_published_table_is_whole_and_is_what_the_library_measures(monkeypatch):
    """Windows of the table, drawn again with fewer sweeps, and what the others make of them."""
    table = load_table("bayes_limit").merge(load_table("bayes_limit_methods"))
    assert len(table) == len(limit.CELLS.cells()) * limit.WINDOWS
    monkeypatch.setattr(limit, "WINDOWS", 5)
    monkeypatch.setitem(limit.SWEEPS, 2, 500)
    rows = table.query("components == 2 and noise_std == 0.3 and window < 5")
    assert np.allclose(limit.limit_errors(2, 0.3).posterior_mean, rows.posterior_mean, rtol=0.1, atol=3e-4)
    again = limit.method_errors(2, 0.3)
    for name in ("sparse_bayesian", "linear_mmse", "known_periods"):
        assert np.allclose(again[name], rows[name], rtol=1e-3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bayes_limit(signals(1, 0.0, 2), HORIZON), "expected signals with noise"),
        (lambda: bayes_limit(signals(1, 0.1, 2), 0), "horizon must be a whole number"),
        (lambda: bayes_limit(signals(1, 0.1, 2), HORIZON, sweeps=0), "sweeps must be a whole number"),
        (lambda: bayes_limit(signals(1, 0.1, 2), HORIZON, periods=(2, 3)), "expected whole-number periods from 2 to 3"),
        (lambda: exact_one_component(signals(2, 0.1, 2), HORIZON), "expected signals of one component"),
    ],
)
def test_signals_that_have_no_limit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
