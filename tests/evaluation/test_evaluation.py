"""Frozen test sets stay frozen, and scores are what they say."""

import hashlib
import io
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from scipy.integrate import quad
from scipy.stats import bootstrap, norm
from torch.distributions import Normal

from harmonics_lib import (
    FROZEN_SETS,
    FrozenSet,
    Grid,
    HarmonicProcess,
    bootstrap_interval,
    conformal,
    evaluate,
    linear_prediction,
    load_table,
    network_forecaster,
    over_horizon,
    persistence,
    score,
    window_forecaster,
)
from harmonics_lib.evaluation.grid import single_steps
from harmonics_lib.evaluation.measured import relative_errors
from harmonics_lib.evaluation.scores import calibration, normal_crps
from harmonics_lib.forecasters.base import DistributionForecaster
from harmonics_lib.networks.recurrent import SmallLSTM

# Periods and component counts are whole numbers: their digest is the same on every machine.
DIGESTS = {
    "mixtures_3_6": "6c32911c7c01170d",
    "mixtures_1_45": "f5822c01aa367131",
    "mixtures_1_45_short_periods": "0f1dee53c7553a04",
}
FIRST_SAMPLES = {
    "mixtures_3_6": [-0.5793341204571993, 0.18318974829161644, 0.6595548331214209],
    "mixtures_1_45": [0.27170631344937907, 0.12972557681414634, -0.02390063415356298],
    "mixtures_1_45_short_periods": [0.43227147768629864, 0.5514402662871166, 0.6011222714862682],
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
    assert nothing.mse == pytest.approx(nothing.power.mean())
    assert nothing.nmse_db == pytest.approx(0)


def test_who_writes_into_a_batch_changes_no_other():
    before = score(persistence(), SMALL, 5).mse
    for tensor in vars(SMALL.batch()).values():
        if isinstance(tensor, torch.Tensor):
            tensor.mul_(2)
    assert score(persistence(), SMALL, 5).mse == before
    assert SMALL.batch().clean[:, :100].abs().amax(dim=1).max() == pytest.approx(1)


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


@pytest.mark.parametrize("truth, std", [(0.3, 1.0), (-4.0, 0.5), (10.0, 2.0), (0.0, 0.01)])
def test_the_ranked_probability_score_is_its_integral(truth, std):
    """Of the squared difference between the distribution function of the forecast and that of the truth."""
    below = quad(lambda x: norm.cdf(x, scale=std) ** 2, min(truth, -9 * std), truth, points=[-std], epsabs=1e-12)[0]
    above = quad(lambda x: norm.sf(x, scale=std) ** 2, truth, max(truth, 9 * std), points=[std], epsabs=1e-12)[0]
    zero, there = torch.zeros(1, dtype=torch.float64), torch.tensor([truth], dtype=torch.float64)
    assert normal_crps(Normal(zero, std), there).item() == pytest.approx(below + above, rel=1e-8)
    assert normal_crps(Normal(zero, 1e-12), there).item() == pytest.approx(abs(truth), abs=1e-12)


def test_who_states_his_belief_scores_best():
    truth = torch.randn(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores = [normal_crps(Normal(torch.full_like(truth, m), s), truth).mean() for m in (0.0, 0.1) for s in (1.0, 1.2)]
    assert scores[0] == min(scores)
    assert scores[0].item() == pytest.approx(1 / np.sqrt(np.pi), rel=0.01)  # of a standard normal


def test_calibration_tells_the_honest_from_the_boastful():
    truth = torch.randn(1000, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    levels = [0.5, 0.8, 0.95]
    assert calibration(Normal(torch.zeros_like(truth), 1.0), truth, levels) == pytest.approx(levels, abs=0.005)
    boastful = 2 * norm.cdf(0.5 * norm.ppf([0.75, 0.9, 0.975])) - 1  # a standard deviation of half the true one
    assert calibration(Normal(torch.zeros_like(truth), 0.5), truth, levels) == pytest.approx(boastful, abs=0.005)


@dataclass(frozen=True)
class told(DistributionForecaster):
    """Zero, with a distribution of the given standard deviation."""

    std: float

    def _distribution(self, window, horizon):
        x = window.x
        zero = x.new_zeros(len(x), horizon)
        return zero, (zero + self.std) / window.unit, x.new_ones(len(x), 1)


def test_a_forecaster_that_knows_its_error_is_scored_by_its_distribution_and_others_by_their_distance():
    power = SMALL.batch().future[:, :5].square().mean().sqrt().item()
    point, honest, vague = (score(forecaster, SMALL, 5) for forecaster in (told(1e-9), told(power), told(10 * power)))
    assert point.mse == honest.mse == vague.mse
    assert point.crps == pytest.approx(SMALL.batch().future[:, :5].abs().mean().item())
    assert honest.crps < point.crps < vague.crps
    zero = window_forecaster(lambda x, horizon: x.new_zeros(len(x), horizon))
    assert score(zero, SMALL, 5).crps == pytest.approx(point.crps)


@pytest.mark.parametrize("horizon", [0, 51])
def test_a_horizon_beyond_the_set_is_refused(horizon):
    with pytest.raises(ValueError, match=r"horizon must be a whole number of at (least 1|most 50), got"):
        score(persistence(), SMALL, horizon)


def test_a_forecast_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"of shape \(200, 5\), got .*\(200, 100\)"):
        score(lambda lookback, horizon: lookback, SMALL, 5)


@pytest.mark.parametrize("shape, resamples", [((120,), 1000), ((70, 3, 2), 130)])
def test_bootstrap_intervals_are_those_of_scipy(shape, resamples):
    samples = np.random.default_rng(1).exponential(size=shape)
    theirs = bootstrap(
        (samples,), np.mean, n_resamples=resamples, batch=50, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert np.allclose(bootstrap_interval(samples, resamples=resamples), theirs, rtol=1e-12, atol=0)


def test_blocks_keep_what_neighbours_share():
    """For a moving average of q + 1 samples, independent draws promise an interval sqrt(q + 1) times too narrow."""
    noise = np.random.default_rng(0).standard_normal(4000 + 9)
    samples = np.lib.stride_tricks.sliding_window_view(noise, 10).mean(axis=1)
    widths = [np.subtract(*bootstrap_interval(samples, block=block)[::-1]) for block in (1, 200)]
    assert 0.75 < widths[1] / widths[0] / np.sqrt(10) < 1.25


def test_bootstrap_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.exponential(size=200)) for _ in range(200)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.89 <= covered <= 0.99


TINY = Grid(components=(1, 5), noise_std=(0.0, 0.1), integer_periods=(True,), size=20)


def test_cells_of_the_published_grid_never_change():
    cells = Grid().cells()
    assert len(cells) == 96
    batch = cells[5, 0.1, "whole"].batch()
    assert (len(batch), *batch.past.shape[1:], *batch.future.shape[1:]) == (1000, 100, 50)
    assert hashlib.sha256(batch.periods.to(torch.int64).numpy().tobytes()).hexdigest()[:16] == "8be51acb5b4b8eb1"
    assert cells[5, 0.1, "any"].batch().periods[0].tolist() == pytest.approx(
        [87.43241714971457, 77.91877422760933, 84.56958437908249, 56.8936386143209, 69.30985282784648], rel=1e-9
    )


def test_cells_that_differ_in_noise_hold_the_same_clean_signals():
    cells = Grid(size=30).cells()
    for kind in ("whole", "any"):
        quiet, loud = cells[10, 0.01, kind].batch(), cells[10, 0.3, kind].batch()
        assert torch.equal(quiet.clean, loud.clean)
        assert (loud.observed - loud.clean).std().item() == pytest.approx(0.3, rel=0.05)


def test_the_grid_has_the_scores_of_its_cells():
    table = evaluate({"persistence": persistence()}, TINY)
    test = TINY.cells()[5, 0.1, "whole"]
    cell = table.query("components == 5 and noise_std == 0.1").set_index(["step_from", "step_to"])
    alone = score(persistence(), test, 50)
    assert cell.loc[(1, 50), "mse"] == pytest.approx(alone.mse, rel=1e-3)
    assert cell.loc[(1, 50), "nmse_db"] == pytest.approx(alone.nmse_db, abs=0.01)
    assert cell.loc[(7, 7), "mse"] == pytest.approx(alone.by_step[6], rel=1e-3)
    assert cell.loc[(1, 10), ["low", "high"]].tolist() == pytest.approx(
        score(persistence(), test, 10).interval(), rel=1e-3
    )
    assert cell.loc[(1, 5), "median_mse"] == pytest.approx(np.median(score(persistence(), test, 5).by_signal), rel=1e-3)


def test_the_published_grid_has_the_columns_of_a_method_of_your_own():
    table = evaluate({"mine": persistence()}, TINY)
    assert list(table) == list(load_table("grid"))
    both = pd.concat([load_table("grid"), table])
    ten = over_horizon(both, 10, components=5, noise_std=0.1, periods="whole")
    assert {"mine", "auto"} <= set(ten.method)


def test_columns_are_not_shadowed_by_what_a_data_frame_has():
    assert not set(evaluate({"persistence": persistence()}, TINY).columns) & set(dir(pd.DataFrame))


def test_rows_are_selected_by_horizon_or_step_and_by_cell():
    table = evaluate({"persistence": persistence()}, TINY)
    ten = over_horizon(table, 10, components=(1, 5), noise_std=0.1)
    assert ten[["components", "step_from", "step_to"]].values.tolist() == [[1, 1, 10], [5, 1, 10]]
    steps = single_steps(table, components=5, noise_std=0.0)
    assert steps.step_to.tolist() == [1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50]
    with pytest.raises(ValueError, match="horizon must be one of 5, 10, 20, 50, got 7"):
        over_horizon(table, 7)


@contextmanager
def two_workers(backend):
    """joblib's ``backend`` with two workers; that of dask, with a cluster on this machine."""
    if backend != "dask":
        with parallel_config(backend, n_jobs=2):
            yield
        return
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster), parallel_config(backend):
        yield


@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_two_workers_make_the_table_of_one(backend):
    methods = {
        "network": network_forecaster(SmallLSTM(4)),
        "unstable": linear_prediction(ridge=0),
        "mine": lambda lookback, horizon: lookback[:, -1:] * torch.ones(horizon),
    }
    oracles = {"truth": lambda batch: lambda lookback, horizon: batch.future[:, :horizon]}
    alone = evaluate(methods, TINY, oracles=oracles)
    with two_workers(backend):
        pd.testing.assert_frame_equal(evaluate(methods, TINY, oracles=oracles), alone, check_exact=True)


def test_a_table_is_the_same_after_it_was_saved():
    table = evaluate({"mine": persistence()}, TINY)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(table.to_csv(index=False))), table)


def test_an_oracle_is_shown_the_truth_of_its_cell():
    table = evaluate({}, TINY, oracles={"truth": lambda batch: lambda lookback, horizon: batch.future[:, :horizon]})
    assert (table.mse == 0).all()


def test_unstable_forecasts_are_counted_and_other_warnings_pass():
    table = evaluate({"plain": linear_prediction(ridge=0)}, TINY)
    assert table.query("noise_std == 0").unstable.max() == 0 < table.query("noise_std == 0.1").unstable.min()

    def doubtful(lookback, horizon):
        warnings.warn("doubtful", stacklevel=1)
        return persistence()(lookback, horizon)

    with pytest.warns(UserWarning, match="doubtful"):
        evaluate({"doubtful": doubtful}, TINY)


def repeat_last(lookback, horizon):
    return lookback[:, -1:].repeat(1, horizon)


def test_joblib_may_share_cells_among_processes_that_it_forks():
    with parallel_config(backend="multiprocessing", n_jobs=2):
        table = evaluate({"mine": repeat_last}, TINY)
    pd.testing.assert_frame_equal(table, evaluate({"mine": repeat_last}, TINY))


@pytest.mark.parametrize("ranges", [{"noise_std": ((0.1, 0.3),)}, {"components": ((1, 45),)}])
def test_a_cell_has_one_number_of_components_and_one_noise(ranges):
    with pytest.raises(ValueError, match="must be numbers, one for each cell"):
        Grid(**ranges)


WINDOWS = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
USES = {
    "score": lambda forecaster: score(forecaster, SMALL, 5),
    "evaluate": lambda forecaster: evaluate({"mine": forecaster}, TINY),
    "conformal": lambda forecaster: conformal(forecaster, WINDOWS, WINDOWS[:, :5]),
    "relative_errors": lambda forecaster: relative_errors(forecaster, WINDOWS, WINDOWS[:, :5]),
}
ANSWERS = {
    "nothing": lambda x, h: None,
    "a list": lambda x, h: [[0.0] * h] * len(x),
    "one number": lambda x, h: torch.tensor(0.0),
    "a column": lambda x, h: x[:, :1],
    "a row": lambda x, h: x[0, :h],
    "one window": lambda x, h: x[:1, :h],
    "another shape": lambda x, h: torch.zeros(len(x), h + 1),
    "complex numbers": lambda x, h: torch.zeros(len(x), h, dtype=torch.complex128),
    "truth values": lambda x, h: torch.zeros(len(x), h, dtype=torch.bool),
    "a sparse tensor": lambda x, h: torch.zeros(len(x), h).to_sparse(),
    "a tensor without values": lambda x, h: torch.zeros(len(x), h, device="meta"),
    "not numbers": lambda x, h: torch.full((len(x), h), np.nan),
    "a forecaster": lambda x, h: persistence(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_foreign_forecaster_must_return_a_finite_real_tensor_of_the_right_shape(use, answer):
    with pytest.raises(ValueError, match=r"expected a (finite )?forecast.*, got"):
        USES[use](ANSWERS[answer])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("given", [persistence, SmallLSTM(4), SmallLSTM, len])
def test_what_is_no_forecaster_is_told_how_to_become_one(use, given):
    with pytest.raises(ValueError, match=r"must be a forecaster.*, got"):
        USES[use](given)


@pytest.mark.parametrize("use", ["score", "evaluate", "conformal"])
@pytest.mark.parametrize("answer", [None, (1, 2), Normal(0.0, 1.0)])
def test_a_foreign_distribution_must_be_a_prediction(use, answer):
    class Foreign:
        def __call__(self, lookback, horizon):
            return lookback[:, :horizon]

        def distribution(self, lookback, horizon):
            return answer

    with pytest.raises(ValueError, match="forecaster's distribution to be a Prediction, got"):
        USES[use](Foreign())


def test_a_forecast_with_a_gradient_is_scored_without_it():
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    assert score(lambda x, h: weight * x[:, -1:].expand(-1, h), SMALL, 5).mse == score(persistence(), SMALL, 5).mse


def test_batches_and_predictions_can_be_compared():
    one, other = SMALL.batch(), SMALL.batch()
    assert one == one and one != other


def test_masked_samples_are_not_counted_silently():
    with pytest.raises(ValueError, match="must be an array without a mask"):
        bootstrap_interval(np.ma.masked_array([1.0, 1e9], mask=[False, True]))


@pytest.mark.parametrize(
    "forecast, message",
    [
        (lambda lookback, horizon: lookback[:, :horizon], r"of shape \(20, 50\), got .* \(20, 20\)"),
        (
            lambda lookback, horizon: torch.full((len(lookback), horizon), np.nan),
            "expected a finite forecast, got NaN or infinity for 20 of 20",
        ),
    ],
    ids=["shape", "nan"],
)
def test_a_forecast_that_cannot_be_scored_is_refused(forecast, message):
    with pytest.raises(ValueError, match=message):
        evaluate({"mine": forecast}, Grid(components=(1,), noise_std=(0.0,), lookback=20, size=20))
