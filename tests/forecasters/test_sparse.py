"""Sparse Bayesian forecasting is the mean of the posterior, where that can be enumerated, and knows its error."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import ARDRegression

from harmonics_lib import HarmonicProcess, linear_mmse, random_stream, sparse_bayesian
from harmonics_lib.forecasters.base import central_interval
from harmonics_lib.forecasters.linear import known_period_oracle
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.sparse import (
    _gaussian,
    _predictive_std,
    _prior_belief,
    _propagate,
    _slopes,
    powers_of_time,
)
from harmonics_lib.forecasters.toeplitz import toeplitz
from harmonics_lib.signals.waves import exponentials

WHOLE = HarmonicProcess((1, 45), (2, 99))
ANY = HarmonicProcess((1, 45), (2, 99), integer_periods=False)


def tones(periods, length=150):
    phases = 2 * math.pi * torch.rand(8, len(periods), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    time = torch.arange(length, dtype=torch.float64)[:, None]
    angles = 2 * math.pi * time / torch.tensor(periods, dtype=torch.float64) + phases[:, None]
    return angles.sin().mean(dim=2)


@pytest.mark.parametrize("lookback", [100, 99])
@pytest.mark.parametrize(
    "process, periods, least",
    [(WHOLE, [20], 1e-6), (WHOLE, [7, 16, 50], 1e-6), (ANY, [20.4], 1e-6), (ANY, [4.1, 8.3, 31.4], 0.05)],
    ids=["one whole", "three whole", "one off the grid", "three off the grid"],
)
def test_few_clean_tones_go_on_nearly_exactly(process, periods, least, lookback):
    signal = tones(periods)
    ahead = sparse_bayesian(process)(signal[:, :lookback], 50)
    assert (ahead - signal[:, lookback : lookback + 50]).square().mean().sqrt() < least


def test_frequencies_that_move_beat_the_grid_they_start_from(monkeypatch):
    batch = HarmonicProcess(2, (3, 40), False, 0.01).sample(
        60, 150, 100, generator=random_stream(0, "off the grid"), dtype=torch.float64
    )
    moved = (sparse_bayesian(ANY)(batch.past, 50) - batch.future).square().mean()
    monkeypatch.setattr("harmonics_lib.forecasters.sparse._MOVES", 0)
    assert moved < (sparse_bayesian(ANY)(batch.past, 50) - batch.future).square().mean() / 1.5


def test_one_tone_of_any_period_is_forecast_as_well_as_by_nonlinear_least_squares():
    batch = HarmonicProcess(1, (3, 99), False, 0.01).sample(
        100, 110, 100, generator=random_stream(0, "one tone"), dtype=torch.float64
    )
    errors = [
        (forecast(batch.past, 10) - batch.future).square().mean().item()
        for forecast in (sparse_bayesian(ANY), nonlinear_least_squares())
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


@pytest.mark.parametrize("prior", [WHOLE, ANY], ids=["whole", "any"])
def test_many_components_are_not_continued_exactly_without_noise_either(prior):
    """It is expectation propagation and nothing else; what continues such a window exactly is its recurrence."""
    process = HarmonicProcess(20, (2, 99), prior.integer_periods)
    batch = process.sample(20, 110, 100, generator=random_stream(0, "clean"), dtype=torch.float64)
    errors = (sparse_bayesian(prior)(batch.past, 10) - batch.future).square().mean(dim=1)
    assert 1e-9 < errors.median() < 0.03 * batch.future.square().mean()


def test_a_known_frequency_stays_where_it_is():
    batch = HarmonicProcess(1, 10.5, False, 0.1).sample(
        100, 120, 100, generator=random_stream(0, "one frequency"), dtype=torch.float64
    )
    ours, floor = sparse_bayesian(HarmonicProcess(1, 10.5, False)), known_period_oracle(batch)
    errors = [(forecast(batch.past, 20) - batch.future).square().mean().item() for forecast in (ours, floor)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


def test_the_sum_of_two_tones_in_one_cell_is_forecast():
    signal = tones([40, 43])
    assert (sparse_bayesian(ANY)(signal[:, :100], 50) - signal[:, 100:]).square().mean() < 1e-3


def small_problem(count):
    """Windows of 24 samples, six periods that overlap, noise of 0.2 that is known."""
    process = HarmonicProcess((1, 2), (6, 11), noise_std=0.2)
    batch = process.sample(count, 30, 24, generator=random_stream(0, "small problem"), dtype=torch.float64)
    frequencies, mass = process.prior(0.01)
    return process, batch, frequencies, mass


def test_posterior_under_gaussian_factors_is_that_of_linear_regression():
    process, batch, frequencies, mass = small_problem(1)
    belief = _prior_belief(
        batch.past,
        powers_of_time(batch.past.shape[1], 0, 0),
        mass,
        process.components,
        torch.tensor([0.04], dtype=torch.float64),
    )
    posterior = _gaussian(belief, exponentials(frequencies, torch.arange(24)))
    angles = 2 * np.pi * np.arange(24)[:, None] * frequencies.numpy()
    basis = np.hstack([np.cos(angles), np.sin(angles)])
    covariance = np.linalg.inv(basis.T @ basis / 0.04 + np.diag(np.tile(belief.precision[0].numpy(), 2)))
    mean = covariance @ basis.T @ batch.past[0].numpy() / 0.04
    assert posterior.mean[0].numpy() == pytest.approx(mean[:6] + 1j * mean[6:])
    assert posterior.variance[0].numpy() == pytest.approx(np.diag(covariance).reshape(2, 6).mean(axis=0))


def test_forecast_is_the_mean_over_all_choices_of_periods():
    """Expectation propagation against the sum over 2^6 models, given the same prior."""
    process, batch, frequencies, mass = small_problem(40)
    belief = _prior_belief(
        batch.past, powers_of_time(batch.past.shape[1], 0, 0), mass, process.components, batch.noise_std.square()
    )
    waves = exponentials(frequencies, torch.arange(24))
    for step in range(60):
        belief = _propagate(belief, waves, first=step == 0)
    mean = _gaussian(belief, waves).mean.numpy()
    present, slab = (array.numpy() for array in belief.slab())
    angles = 2 * np.pi * np.arange(24)[:, None] * frequencies.numpy()
    gains, flat = [], []
    for row, window in enumerate(batch.past.numpy()):
        exact, total = np.zeros(6, dtype=complex), 0.0
        for chosen in itertools.product([False, True], repeat=6):
            chosen = np.array(chosen)
            basis = np.hstack([np.cos(angles[:, chosen]), np.sin(angles[:, chosen])])
            variance = np.tile(slab[row, chosen], 2)
            covariance = 0.04 * np.eye(24) + (basis * variance) @ basis.T
            solved = np.linalg.solve(covariance, window)
            evidence = -0.5 * (window @ solved + np.linalg.slogdet(covariance)[1])
            weight = np.exp(evidence) * np.prod(np.where(chosen, present[row], 1 - present[row]))
            amplitudes = variance * (basis.T @ solved)
            exact[chosen] += weight * (amplitudes[: chosen.sum()] + 1j * amplitudes[chosen.sum() :])
            total += weight
        gains.append(np.linalg.norm(mean[row] - exact / total))
        flat.append(np.linalg.norm(exact / total))
    assert np.median(gains) < 0.02 * np.median(flat)
    assert np.mean(gains) < 0.1 * np.mean(flat)


def test_agrees_with_automatic_relevance_determination_where_the_choice_is_clear():
    """Well separated tones in noise: averaging and the evidence maximum of scikit-learn say the same."""
    noise = torch.randn(8, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    signal = tones([7, 16, 50])
    past = signal[:, :100] + 0.05 * noise
    angles = 2 * np.pi * np.arange(150)[:, None] / np.arange(2, 100)
    basis = np.hstack([np.sin(angles), np.cos(angles)])
    ours = sparse_bayesian(WHOLE)(past, 50).numpy()
    theirs = [ARDRegression(fit_intercept=False).fit(basis[:100], w).predict(basis[100:]) for w in past.numpy()]
    apart = np.sqrt(np.mean((ours - theirs) ** 2))
    assert apart < 0.05
    assert np.mean((ours - signal[:, 100:].numpy()) ** 2) < np.mean((theirs - signal[:, 100:].numpy()) ** 2)


def test_noise_need_not_be_known():
    batch = HarmonicProcess(5, (2, 99), noise_std=0.1).sample(
        200, 110, 100, generator=random_stream(0, "unknown noise"), dtype=torch.float64
    )
    known, unknown = (
        (sparse_bayesian(WHOLE, noise_std=noise)(batch.past, 10) - batch.future).square().mean()
        for noise in (0.1, None)
    )
    assert unknown < 1.15 * known


def test_it_stands_between_the_linear_predictor_and_the_oracle():
    batch = HarmonicProcess(10, (2, 99), noise_std=0.1).sample(
        200, 110, 100, generator=random_stream(0, "between"), dtype=torch.float64
    )
    sparse, linear, oracle = (
        (forecast(batch.past, 10) - batch.future).square().mean()
        for forecast in (sparse_bayesian(WHOLE), linear_mmse(WHOLE), known_period_oracle(batch))
    )
    assert oracle < sparse < linear / 2


def test_the_unit_of_a_window_is_of_no_consequence():
    noise = torch.randn(8, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    past = tones([7, 16, 50])[:, :100] + 0.1 * noise
    for forecast in (sparse_bayesian(WHOLE), sparse_bayesian(ANY)):
        assert torch.allclose(forecast(1e-6 * past, 10), 1e-6 * forecast(past, 10), rtol=1e-4, atol=1e-12)


def test_windows_do_not_touch_each_other():
    batch = HarmonicProcess(5, (2, 99), noise_std=0.1).sample(
        300, 110, 100, generator=random_stream(0, "apart"), dtype=torch.float64
    )
    together = sparse_bayesian(WHOLE)(batch.past, 10)
    assert torch.allclose(together[250:260], sparse_bayesian(WHOLE)(batch.past[250:260], 10), atol=1e-9)


@pytest.mark.parametrize("count", [0, 2], ids=["no trend", "line"])
@pytest.mark.parametrize("process", [WHOLE, ANY], ids=["whole", "any"])
def test_the_spread_of_the_future_is_that_of_a_regression_on_waves(process, count):
    """Sines, cosines, powers of time and, off the grid, displacements as columns: the textbook's posterior."""
    x = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    grid, mass = process.prior(spacing=1 / 80)
    cell = 0.0 if process is WHOLE else 0.01
    powers = powers_of_time(20, 10, count)
    belief = _prior_belief(x, powers[:20], mass, (1, 5), torch.full((3,), 0.1, dtype=torch.float64))
    waves = exponentials(grid, torch.arange(30))
    posterior = _gaussian(belief, waves[:20])
    columns = [waves.real.expand(3, -1, -1), waves.imag.expand(3, -1, -1), _slopes(waves, posterior.mean, 20)]
    precision = torch.cat([belief.precision, belief.precision], dim=1)
    if cell:
        precision = torch.cat([precision, torch.full_like(belief.precision, 12 / cell**2)], dim=1)
    design = torch.cat([*(columns if cell else columns[:2]), powers.expand(3, -1, -1)], dim=2)
    precision = torch.cat([precision, belief.trend.precision], dim=1)
    covariance = torch.linalg.inv(design[:, :20].mT @ design[:, :20] / 0.1 + torch.diag_embed(precision))
    variance = (design[:, 20:] @ covariance @ design[:, 20:].mT).diagonal(dim1=1, dim2=2)
    assert torch.allclose(_predictive_std(belief, posterior, waves, powers[20:], cell).square(), variance, rtol=1e-8)


@pytest.mark.parametrize("process, too_sure", [(WHOLE, 0.1), (ANY, 0.3)], ids=["whole", "any"])
def test_it_knows_its_error(process, too_sure):
    """Nearly, for whole periods; off the grid it is too sure of the frequencies that it chose."""
    batch = HarmonicProcess(5, (2, 99), process.integer_periods, 0.1).sample(
        100, 110, 100, generator=random_stream(0, "spread"), dtype=torch.float64
    )
    forecaster = sparse_bayesian(process)
    prediction = forecaster.distribution(batch.past, 10)
    assert torch.equal(prediction.mean, forecaster(batch.past, 10))
    assert prediction.noise_std.median().item() == pytest.approx(0.1, rel=0.1)
    clean, observed = (prediction.clean, batch.future, too_sure), (prediction.observed, batch.observed[:, 100:], 0.1)
    for distribution, target, least in (clean, observed):
        low, high = central_interval(distribution, 0.8)
        inside = ((low <= target) & (target <= high)).double().mean().item()
        assert 0.8 - least < inside < 0.85


def test_it_knows_when_it_is_sure():
    batch = HarmonicProcess(5, (2, 99), noise_std=0.1).sample(
        100, 110, 100, generator=random_stream(0, "spread"), dtype=torch.float64
    )
    prediction = sparse_bayesian(WHOLE).distribution(batch.past, 10)
    errors, spread = (prediction.mean - batch.future).square().mean(dim=1), prediction.std.mean(dim=1)
    sure = spread < spread.median()
    assert errors[sure].mean() < errors[~sure].mean() / 2


def test_it_is_almost_sure_of_few_tones_without_noise():
    prediction = sparse_bayesian(WHOLE).distribution(tones([7, 16, 50])[:, :100], 10)
    assert prediction.observed.stddev.max() < 1e-3


def test_a_long_window_is_read_in_its_last_2000_samples():
    process = HarmonicProcess((2, 3), noise_std=0.1)
    batch = process.sample(1, 5020, 5000, generator=random_stream(0, "long"), dtype=torch.float64)
    forecaster = sparse_bayesian(process)
    ahead = forecaster(batch.past, 20)
    assert (ahead - batch.future).square().mean() < 0.01 * batch.future.square().mean()
    assert torch.allclose(ahead, forecaster(batch.past[:, -2000:], 20), atol=1e-6)


def trended(noise_std: float, slope: float):
    """100 samples of sinusoids on a level of 50 and a slope, and what follows: (40, 100) and (40, 20), clean."""
    process = HarmonicProcess((1, 5), (2, 99), False, noise_std)
    batch = process.sample(40, 120, 100, generator=random_stream(0, "sinusoids on a line"), dtype=torch.float64)
    line = 50 + slope * torch.arange(120, dtype=torch.float64) / 100
    return batch.past + line[:100], batch.future + line[100:]


@pytest.mark.parametrize("slope", [0.0, 3.0, -30.0])
def test_sinusoids_are_continued_beside_a_level_and_a_slope(slope):
    past, future = trended(0.1, slope)
    mean = past.mean(dim=1, keepdim=True)
    beside = (sparse_bayesian(ANY, trend="line")(past, 20) - future).square().mean(dim=1)
    without = (sparse_bayesian(ANY)(past - mean, 20) + mean - future).square().mean(dim=1)
    assert beside.median() < 0.03 < without.median()


@pytest.mark.parametrize("trend", ["level", "line"])
def test_where_the_origin_lies_is_of_no_consequence(trend):
    past, _ = trended(0.1, 3.0)
    forecaster = sparse_bayesian(WHOLE, trend=trend)
    assert torch.allclose(forecaster(past + 1e4, 20) - 1e4, forecaster(past, 20), atol=1e-4)


def test_a_slope_is_there_or_not():
    """The predicted deviation of 20 samples to come grows by a slope of which nothing is known, where there is one."""
    forecaster = sparse_bayesian(ANY, trend="line")
    without, with_one = (forecaster.distribution(trended(0.1, slope)[0], 20).std[:, -1].median() for slope in (0, 3))
    level = sparse_bayesian(ANY, trend="level").distribution(trended(0.1, 0)[0], 20).std[:, -1].median()
    assert without < 1.3 * level
    assert with_one > 1.5 * without


def test_a_trend_is_conditioned_on_as_a_gaussian_of_great_variance_is():
    past, _ = trended(0.1, 3.0)
    x, powers = past[:4] - past[:4].mean(dim=1, keepdim=True), powers_of_time(100, 0, 2)
    grid, mass = ANY.prior(spacing=1 / 400)
    belief = _prior_belief(x, powers, mass, (1, 5), x.new_full((4,), 0.1))
    belief = replace(belief, trend=replace(belief.trend, precision=torch.full((4, 2), 1e-6, dtype=torch.float64)))
    posterior = _gaussian(belief, exponentials(grid, torch.arange(100)))
    solved = torch.linalg.solve(toeplitz(posterior.lags) + 1e6 * powers @ powers.T, x[..., None])
    assert torch.allclose(posterior.trend, 1e6 * (powers.T @ solved)[..., 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [np.array, np.float32, torch.tensor])
def test_a_noise_level_of_any_type_is_kept_as_a_float(number):
    forecaster = sparse_bayesian(HarmonicProcess(2, (5, 9)), noise_std=number(0.5))
    assert hash(forecaster) == hash(sparse_bayesian(HarmonicProcess(2, (5, 9)), noise_std=0.5))
