"""Conformal intervals keep their promise whatever the forecaster."""

import pickle

import numpy as np
import pytest
import torch

from harmonics_lib import (
    HarmonicProcess,
    conformal,
    linear_mmse,
    persistence,
    random_stream,
    sparse_bayesian,
    window_forecaster,
)
from harmonics_lib.forecasters.base import ProbabilisticForecaster
from harmonics_lib.forecasters.baselines import seasonal_naive, window_mean
from harmonics_lib.forecasters.wrappers import conformal_rank, differenced, linear_detrending


def bad(x, horizon):
    return 0.3 * x[:, :1].expand(-1, horizon) + 0.2


def boastful(x, horizon):
    """Certain of a bad forecast, the more the larger the window's last sample is."""
    return bad(x, horizon), 1e-3 / (0.1 + x[:, -1:].abs()).expand(-1, horizon), x.new_zeros(len(x), 1)


FORECASTERS = {"point": window_forecaster(bad), "distribution": window_forecaster(bad, distribution=boastful)}


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_sample_to_come_falls_inside_as_often_as_the_ranks_say(name):
    """k of n + 1 exchangeable errors are at most the k-th of the n others: an identity, here with n = 19."""
    windows = torch.randn(20_000, 4, dtype=torch.float64, generator=random_stream(0, "exchangeable")).exp()
    inside = []
    for group in windows.split(20):
        intervals = conformal(FORECASTERS[name], group[1:, :2], group[1:, 2:])
        for coverage in (0.5, 0.95):
            low, high = intervals(group[:1, :2], 2, coverage)
            inside.append((low <= group[:1, 2:]) & (group[:1, 2:] <= high))
    halves, most = torch.stack(inside).reshape(-1, 2, 2).double().mean(dim=(0, 2))
    assert halves.item() == pytest.approx(0.5, abs=0.03)
    assert most.item() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("target", ["clean", "observed"])
def test_intervals_cover_fresh_windows_of_the_process(target):
    """Within 2 points, nearly three times the standard deviation that 10,000 + 10,000 windows leave."""
    process = HarmonicProcess(5, (2, 99), noise_std=0.1)
    batch = process.sample(20_000, 110, 100, generator=random_stream(0, "conformal"), dtype=torch.float64)
    truth = getattr(batch, target)[:, 100:]
    intervals = conformal(linear_mmse(process, 0.1), batch.past[:10_000], truth[:10_000])
    for coverage in (0.5, 0.8, 0.95):
        low, high = intervals(batch.past[10_000:], 10, coverage)
        inside = (low <= truth[10_000:]) & (truth[10_000:] <= high)
        assert inside.double().mean().item() == pytest.approx(coverage, abs=0.02)
        first, last = (high - low).mean(dim=0)[[0, -1]]
        assert first < last  # what is further ahead is less certain


def test_who_is_in_doubt_has_the_wider_interval():
    past = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    low, high = conformal(FORECASTERS["distribution"], past.repeat(20, 1), past.repeat(20, 1))(past, 2, 0.9)
    width = high - low
    assert torch.allclose(width[0] / width[1], torch.full((2,), 11.0, dtype=torch.float64))


def test_intervals_have_the_unit_and_dtype_of_the_lookback():
    batch = HarmonicProcess().sample(100, 110, 100, generator=random_stream(0, "units"), dtype=torch.float64)
    intervals = conformal(persistence(), batch.past, batch.future)
    low, high = intervals(batch.past, 5, 0.9)
    assert torch.allclose(torch.stack(intervals(1e-3 * batch.past, 5, 0.9)), 1e-3 * torch.stack([low, high]))
    assert intervals(batch.past.float(), 5, 0.9)[0].dtype == torch.float32
    assert all(torch.isfinite(end).all() for end in intervals(torch.zeros(1, 100), 5, 0.9))


@pytest.mark.parametrize("count, coverage", [(19, 0.95), (99, 0.9), (1000, 0.5), (7, 0.123)])
def test_ranks_are_the_quantile_of_the_errors_with_one_that_is_infinite(count, coverage):
    errors = np.append(np.arange(1, count + 1), np.inf)
    assert conformal_rank(count, coverage) == np.quantile(errors, coverage, method="inverted_cdf")


def test_what_cannot_be_promised_is_refused():
    past, future = torch.randn(9, 4), torch.randn(9, 2)
    intervals = conformal(persistence(), past, future)
    with pytest.raises(ValueError, match=r"coverage of 0.95 needs at least 19 windows for calibration, got 9"):
        intervals(past, 2, 0.95)
    with pytest.raises(ValueError, match="coverage must be a number between 0 and 1"):
        intervals(past, 2, 95)
    with pytest.raises(ValueError, match="horizon must be at most 2, that of the calibration, got 3"):
        intervals(past, 3, 0.9)
    with pytest.raises(ValueError, match="lookback and future must have as many windows, got 9 and 8"):
        conformal(persistence(), past, future[:8])


def test_a_season_longer_than_the_window_is_refused():
    with pytest.raises(ValueError, match="lookback must have at least 200 samples, got 30"):
        seasonal_naive(200)(torch.ones(2, 30), 100)
    assert seasonal_naive(7)(torch.arange(30.0)[None], 100).shape == (1, 100)


def test_linear_detrending_keeps_the_distribution_of_the_rest_about_another_mean():
    process = HarmonicProcess(2, (2, 40), noise_std=0.1)
    batch = process.sample(5, 120, 100, generator=random_stream(0, "line"), dtype=torch.float64)
    line = 3 + 0.02 * torch.arange(120, dtype=torch.float64)
    forecaster = linear_detrending(sparse_bayesian(process))
    prediction = forecaster.distribution(batch.past + line[:100], 20)
    assert torch.equal(prediction.mean, forecaster(batch.past + line[:100], 20))
    assert prediction.noise_std.mean().item() == pytest.approx(0.1, rel=0.2)
    assert (prediction.mean - batch.future - line[100:]).square().mean() < 0.1
    assert repr(forecaster).startswith(
        "DistributionLinearDetrending(forecaster=sparse_bayesian(process=HarmonicProcess("
    )


def test_the_deviation_of_a_sum_does_not_follow_from_that_of_its_steps_but_conformal_intervals_do():
    """Steps of one sign all wrong, or of alternating ones: a distribution of the changes is the same, their sum not."""
    walks = torch.randn(2000, 40, dtype=torch.float64, generator=random_stream(0, "walks")).cumsum(dim=1)
    forecaster = differenced(sparse_bayesian(HarmonicProcess((1, 3), (2, 20))))
    assert not isinstance(forecaster, ProbabilisticForecaster)
    intervals = conformal(differenced(window_mean()), walks[:1000, :30], walks[:1000, 30:])
    low, high = intervals(walks[1000:, :30], 10, 0.8)
    inside = (low <= walks[1000:, 30:]) & (walks[1000:, 30:] <= high)
    assert inside.double().mean().item() == pytest.approx(0.8, abs=0.04)


def test_conformal_prints_what_it_is_around_and_pickles():
    past, future = torch.randn(30, 20), torch.randn(30, 3)
    intervals = conformal(persistence(), past, future)
    assert repr(intervals) == "conformal(forecaster=persistence())"
    again = pickle.loads(pickle.dumps(intervals))
    assert torch.equal(again(past, 3, 0.9)[0], intervals(past, 3, 0.9)[0])
