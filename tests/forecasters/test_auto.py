"""One forecaster for every window: exact where that can be enumerated, never far from the best method."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch

from harmonics_lib import (
    HarmonicProcess,
    UnstableForecast,
    auto_forecaster,
    linear_prediction,
    matrix_pencil,
    random_stream,
    sparse_bayesian,
)
from harmonics_lib.forecasters.auto import Odds, _Regression, few_and_many
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.window import Window

WHOLE = HarmonicProcess((1, 45), (2, 99))
ANY = HarmonicProcess((1, 45), (2, 99), integer_periods=False)


def drawn(components, noise, integer=True, count=40, periods=(2, 99), length=110):
    process = HarmonicProcess(components, periods, integer, noise)
    return process.sample(count, length, 100, generator=random_stream(0, "auto"), dtype=torch.float64)


def error(forecast, batch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)
        horizon = batch.future.shape[1]
        return (forecast(batch.past, horizon) - batch.future).square().mean().item()


def rivals(process):
    return sparse_bayesian(process), nonlinear_least_squares(), matrix_pencil(), linear_prediction(ridge=0)


@pytest.mark.parametrize("told", [True, False], ids=["told the process", "told nothing"])
@pytest.mark.parametrize("process", [WHOLE, ANY], ids=["whole", "any"])
@pytest.mark.parametrize("components", [1, 2, 5, 45])
def test_clean_windows_go_on_exactly(process, told, components):
    batch = drawn(components, 0.0, process.integer_periods)
    assert error(auto_forecaster(process if told else None), batch) < 1e-9


@pytest.mark.parametrize("process", [WHOLE, ANY], ids=["whole", "any"])
@pytest.mark.parametrize("components", [5, 45])
def test_clean_windows_go_on_exactly_without_exception(process, components):
    batch = drawn(components, 0.0, process.integer_periods, count=200)
    assert (auto_forecaster(process)(batch.past, 10) - batch.future).square().mean(dim=1).max() < 1e-9


@pytest.mark.parametrize("rounded", [False, True])
def test_a_clean_window_goes_on_beside_a_line(rounded):
    """Its differences have a recurrence; single precision is noise, and more of it in differences: no longer clean."""
    batch = drawn((1, 5), 0.0, integer=False, length=120)
    line = 50 + 3 * torch.arange(120, dtype=torch.float64) / 100
    past, future = batch.past + line[:100], batch.future + line[100:]
    past = past.float().double() if rounded else past
    error = (auto_forecaster()(past, 20) - future).square().mean(dim=1)
    assert error.median() < (1e-6 if rounded else 1e-20)
    assert error.mean() < 1e-3


def test_the_highest_frequency_goes_on_exactly_beside_a_line():
    """Its second differences have four times its peak, which is above the limit of a forecast."""
    signal = (-1.0) ** torch.arange(110, dtype=torch.float64)[None] + 0.1
    assert torch.allclose(auto_forecaster()(signal[:, :100], 10), signal[:, 100:], atol=1e-9)


@pytest.mark.parametrize("process", [WHOLE, ANY], ids=["whole", "any"])
@pytest.mark.parametrize("components, noise", [(1, 0.01), (1, 0.3), (2, 0.03), (5, 0.1), (20, 0.1)])
def test_no_method_is_much_better(process, components, noise):
    batch = drawn(components, noise, process.integer_periods)
    best = min(error(rival, batch) for rival in rivals(process))
    assert error(auto_forecaster(process), batch) < 1.1 * best


@pytest.mark.parametrize("components", [1, 2])
def test_few_whole_periods_are_forecast_better_than_by_any_other_method(components):
    batch = drawn(components, 0.1, count=100)
    assert error(auto_forecaster(WHOLE), batch) < 0.95 * min(error(rival, batch) for rival in rivals(WHOLE))


def test_periods_far_longer_than_the_window():
    batch = drawn(1, 0.01, integer=False, periods=(300, 600))
    assert error(auto_forecaster(), batch) < error(auto_forecaster(ANY), batch) / 3


def test_the_posterior_over_pairs_is_that_of_bayesian_linear_regression():
    """Against normal-inverse-gamma formulas with inverted N by N covariances, choice by choice."""
    batch, periods, count = drawn(2, 0.2, count=2, periods=(5, 9)), np.arange(5, 10), 2
    noise = torch.full((2,), 0.04, dtype=torch.float64)
    mean, _, evidence, best, best_evidence = _Regression(batch.past, noise, 5, 9).over_choices(count)
    angles = 2 * np.pi * np.arange(100)[:, None] / periods
    for row, window in enumerate(batch.past.numpy()):
        ratio = count * 100 * 0.04 / (window @ window)
        logs, means = [], []
        for choice in itertools.combinations(range(5), count):
            basis = np.stack([np.cos(angles[:, choice]), np.sin(angles[:, choice])], axis=2).reshape(100, -1)
            covariance = np.eye(100) + basis @ basis.T / ratio
            logs.append(
                -0.5 * (np.linalg.slogdet(covariance)[1] + 100 * np.log(window @ np.linalg.solve(covariance, window)))
            )
            amplitudes = np.zeros((5, 2))
            amplitudes[list(choice)] = (basis.T @ np.linalg.solve(covariance, window) / ratio).reshape(count, 2)
            means.append(amplitudes)
        weights = np.exp(logs - np.logaddexp.reduce(logs))
        assert mean[row].numpy() == pytest.approx(np.tensordot(weights, means, 1))
        assert evidence[row].item() == pytest.approx(np.logaddexp.reduce(logs) - math.log(10))
        assert best_evidence[row].item() == pytest.approx(max(logs))
        assert tuple(best[row].tolist()) == list(itertools.combinations(range(5), count))[int(np.argmax(logs))]


def test_one_more_period_is_what_the_enumeration_says_of_it():
    batch, noise = drawn(1, 0.2, count=2, periods=(5, 9)), torch.full((2,), 0.04, dtype=torch.float64)
    regression = _Regression(batch.past, noise, 5, 9)
    one_more = [regression.with_one_more(torch.full((2, 1), place)) for place in range(5)]
    pairs = regression.over_choices(2)[2]  # each pair is met from both its ends
    assert torch.allclose(torch.stack(one_more).logsumexp(dim=0) - math.log(5), pairs)


@pytest.mark.parametrize("components, probable", [(1, True), (2, True), (10, False)])
def test_few_are_told_from_many(components, probable):
    batch = drawn(components, 0.03)
    few, _ = few_and_many(Window.of(batch.past), 10, WHOLE)
    assert ((Odds().probability(few) > 0.5) == probable).double().mean() > 0.7


def test_it_tells_how_far_it_may_be_off():
    batch = drawn((1, 10), 0.1, count=200)
    prediction = auto_forecaster(WHOLE).distribution(batch.past, 10)
    off = ((prediction.mean - batch.future) / prediction.std).square().mean().item()
    assert 0.4 < off < 2.5
    assert torch.equal(prediction.mean, auto_forecaster(WHOLE)(batch.past, 10))


@pytest.mark.parametrize(
    "process", [None, WHOLE, HarmonicProcess(3, (2, 99)), HarmonicProcess(1, 17), HarmonicProcess((1, 9), (2, 400))]
)
def test_odd_windows_get_a_finite_forecast(process):
    noise = torch.randn(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for lookback in (noise, 1e-30 * noise, torch.eye(40)[[0, 20, 39]], torch.zeros(3, 40), torch.ones(3, 40)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnstableForecast)
            assert torch.isfinite(auto_forecaster(process)(lookback, 20)).all()


def test_the_unit_of_a_window_is_of_no_consequence():
    past = drawn((1, 5), 0.1, count=20).past
    for process in (WHOLE, None):
        forecast = auto_forecaster(process)
        assert torch.allclose(forecast(1e-6 * past, 10), 1e-6 * forecast(past, 10), rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("process", [None, ANY], ids=["nothing", "any period"])
def test_little_noise_is_no_certainty(process):
    """Noise of 1e-4 counts as clean; the errors are then of the size of the standard deviation, which is above 0."""
    batch = HarmonicProcess((1, 3), (5, 30), False, 1e-4).sample(
        50, 120, lookback=100, generator=random_stream(0, "little")
    )
    prediction = auto_forecaster(process).distribution(batch.past.double(), 20)
    ratio = (prediction.mean - batch.future).abs() / prediction.std
    assert (ratio < 3).double().mean() > 0.7
    assert prediction.std.median() < 1e-3


def test_given_nothing_coloured_noise_is_not_taken_for_waves():
    x = torch.randn(40, 300, generator=random_stream(0, "noise"), dtype=torch.float64)
    for n in range(1, 300):
        x[:, n] += 0.9 * x[:, n - 1]
    past, future = x[:, -124:-24], x[:, -24:]
    waves = sparse_bayesian(HarmonicProcess((1, 45), (2, 1000), integer_periods=False), trend="line")
    error, of_waves = ((method(past, 24) - future).square().mean() for method in (auto_forecaster(), waves))
    assert error < 0.9 * of_waves
