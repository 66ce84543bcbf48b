"""Frozen test sets stay frozen, and scores are what they say."""

import hashlib

import numpy as np
import pytest
import torch

from harmonics_lib import FROZEN_SETS, FrozenSet, HarmonicProcess, bootstrap_interval, persistence, score

# Periods and component counts are whole numbers: their digest is the same on every machine.
DIGESTS = {
    "mixtures_3_6": "c2679d8d68654464",
    "mixtures_1_45": "43094199be467010",
    "mixtures_1_45_short_periods": "8c14c099f52b1586",
}
FIRST_SAMPLES = {
    "mixtures_3_6": [-0.4052322471467288, -0.3420012431138795, -0.2789467392567502],
    "mixtures_1_45": [0.17990709281927045, 0.2773943500906901, 0.38369814708076394],
    "mixtures_1_45_short_periods": [-0.0636927948209662, -0.013336008242603888, 0.03588593496781323],
}


@pytest.mark.parametrize("name", FROZEN_SETS)
def test_published_sets_never_change(name):
    batch = FROZEN_SETS[name].batch()
    drawn = torch.cat([batch.periods, batch.amplitudes > 0], dim=1).to(torch.int64)
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16] == DIGESTS[name]
    assert batch.clean[0, :3].tolist() == pytest.approx(FIRST_SAMPLES[name], rel=1e-9)
    assert batch.clean.dtype == torch.float64


SMALL = FrozenSet("a test's own", HarmonicProcess(), size=200)


def test_a_perfect_forecast_scores_zero_and_zero_scores_the_power():
    future = SMALL.batch().future
    assert score(lambda lookback, horizon: future[:, :horizon], SMALL, 5).mse == 0
    nothing = score(lambda lookback, horizon: torch.zeros(len(lookback), horizon), SMALL, 5)
    assert nothing.mse == pytest.approx(nothing.power)
    assert nothing.nmse_db == pytest.approx(0)


def test_scores_are_against_the_clean_continuation():
    noisy = FrozenSet("a noisy one", HarmonicProcess(noise_std=0.3), size=50)
    future = noisy.batch().future
    assert score(lambda lookback, horizon: future[:, :horizon], noisy, 50).mse == 0


def test_by_step_averages_to_the_mse():
    result = score(persistence(), SMALL, 7)
    assert result.by_step.shape == (7,)
    assert result.by_step.mean() == pytest.approx(result.mse)
    low, high = result.interval()
    assert low < result.mse < high
    assert np.shape(result.interval(by_step=True)) == (2, 7)


def test_a_forecaster_that_writes_into_its_lookback_harms_nobody():
    before = score(persistence(), SMALL, 5).mse
    score(lambda lookback, horizon: lookback.zero_()[:, :horizon], SMALL, 5)
    assert score(persistence(), SMALL, 5).mse == before


@pytest.mark.parametrize("horizon", [0, 51])
def test_a_horizon_beyond_the_set_is_refused(horizon):
    with pytest.raises(ValueError, match="horizon must be between 1 and 50"):
        score(persistence(), SMALL, horizon)


def test_a_forecast_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(200, 5\), got \(200, 100\)"):
        score(lambda lookback, horizon: lookback, SMALL, 5)


def test_bootstrap_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.exponential(size=200)) for _ in range(200)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.89 <= covered <= 0.99
