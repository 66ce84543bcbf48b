"""One boundary around every forecaster, classical or neural."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch
from torch import nn

from harmonics_lib import (
    HarmonicProcess,
    UnstableForecast,
    auto_forecaster,
    autoregression,
    check_forecaster,
    conformal,
    dft_extrapolation,
    linear_mmse,
    linear_prediction,
    matrix_pencil,
    network_forecaster,
    persistence,
    sparse_bayesian,
    window_forecaster,
)
from harmonics_lib.forecasters.base import LIMIT, Forecaster, ProbabilisticForecaster, central_interval
from harmonics_lib.forecasters.baselines import seasonal_naive, window_mean
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import burg, cadzow, tufts_kumaresan
from harmonics_lib.forecasters.wrappers import differenced, linear_detrending
from harmonics_lib.networks.recurrent import CurriculumGRU, Seq2SeqGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork


class Growing(nn.Module):
    """A network whose forecast is ten times the last sample."""

    def forecast(self, lookback, horizon):
        return 10 * lookback[:, -1:].expand(-1, horizon)


def growing(x, horizon):
    return Growing().forecast(x, horizon)


@pytest.mark.parametrize("forecaster", [window_forecaster(growing), network_forecaster(Growing())])
def test_classical_and_neural_forecasts_are_held_at_one_limit_and_counted(forecaster):
    """Three lookback peaks, in any unit: a network has no more freedom than a recurrence."""
    lookback = torch.tensor([[0.0, -2.0, 2.0], [4.0, 0.0, 0.1]])
    with pytest.warns(UnstableForecast, match="1 of 2 forecasts exceeded 3 lookback peaks") as caught:
        ahead = forecaster(lookback, 2)
    assert torch.allclose(ahead, torch.tensor([[LIMIT * 2] * 2, [1.0] * 2]))
    assert caught[0].message.count == 1
    assert caught[0].filename == __file__  # the line that asked for the forecast


class Doubtful(Growing):
    """… and knows that it may be wrong by half a peak, in noise of a quarter."""

    def distribution(self, lookback, horizon):
        mean = self.forecast(lookback, horizon)
        return mean, torch.full_like(mean, 0.5), mean.new_full((len(mean), 1), 0.25)


def doubtful(x, horizon):
    return Doubtful().distribution(x, horizon)


@pytest.mark.parametrize(
    "forecaster", [window_forecaster(growing, distribution=doubtful), network_forecaster(Doubtful())]
)
def test_a_distribution_has_the_unit_the_limit_and_the_mean_of_the_forecast(forecaster):
    lookback = torch.tensor([[0.0, -2.0, 2.0], [4.0, 0.0, 0.1]])
    with pytest.warns(UnstableForecast, match="1 of 2") as caught:
        prediction = forecaster.distribution(lookback, 2)
    assert caught[0].filename == __file__
    assert prediction.mean.tolist() == [[LIMIT * 2] * 2, [1.0] * 2]
    assert prediction.std.tolist() == [[1.0] * 2, [2.0] * 2]
    assert prediction.noise_std.tolist() == [[0.5], [1.0]]
    assert torch.allclose(prediction.observed.variance, torch.tensor([[1.25] * 2, [5.0] * 2]))
    assert isinstance(forecaster, ProbabilisticForecaster)


def test_who_knows_no_error_offers_no_distribution():
    assert not isinstance(persistence(), ProbabilisticForecaster)
    assert not isinstance(network_forecaster(SmallLSTM(4)), ProbabilisticForecaster)


WHOLE = HarmonicProcess((1, 10))
METHODS = [
    persistence(),
    window_mean(),
    seasonal_naive(7),
    dft_extrapolation("hann"),
    linear_mmse(WHOLE, noise_std=0.1),
    linear_prediction(10, ridge=1, backward=False),
    tufts_kumaresan(10, 4),
    autoregression("bic"),
    burg(10),
    cadzow(4),
    matrix_pencil(6, True),
    nonlinear_least_squares(3),
    sparse_bayesian(WHOLE, trend="level"),
    auto_forecaster(),
    differenced(burg(10)),
    linear_detrending(linear_mmse(WHOLE)),
    linear_detrending(auto_forecaster(WHOLE)),
    window_forecaster(growing, minimum=3),
]


@pytest.mark.parametrize("forecaster", METHODS, ids=[type(method).__name__ for method in METHODS])
def test_a_forecaster_prints_its_settings_compares_copies_and_pickles(forecaster):
    lookback = torch.randn(2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for again in (copy.deepcopy(forecaster), pickle.loads(pickle.dumps(forecaster))):
        assert again == forecaster and hash(again) == hash(forecaster) and repr(again) == repr(forecaster)
        assert again.minimum == forecaster.minimum and again.maximum == forecaster.maximum
        assert hasattr(again, "distribution") == hasattr(forecaster, "distribution")
        assert torch.allclose(again(lookback, 3), forecaster(lookback, 3), rtol=0, atol=1e-9)
    assert " at 0x" not in repr(forecaster).replace(repr(growing), "") and "\n" not in repr(forecaster)


def test_settings_tell_forecasters_apart():
    assert len(set(METHODS)) == len(METHODS)
    assert linear_prediction(8) == linear_prediction(np.int64(8)) != linear_prediction(9) != burg(9)
    assert repr(linear_prediction(8)) == "linear_prediction(order=8, ridge=None, backward=True)"
    with pytest.raises(FrozenInstanceError):
        linear_prediction(8).order = 9


@pytest.mark.parametrize("forecaster", METHODS, ids=[type(method).__name__ for method in METHODS])
def test_a_forecaster_knows_how_long_its_windows_must_be(forecaster):
    least = torch.randn(1, forecaster.minimum, generator=torch.Generator().manual_seed(0))
    assert forecaster(least, 2).shape == (1, 2)
    if forecaster.minimum > 1:
        with pytest.raises(ValueError, match=f"lookback must have at least {forecaster.minimum} samples"):
            forecaster(least[:, 1:], 2)


@pytest.mark.parametrize("kind", [SmallLSTM, WienerNetwork])
def test_a_network_forecaster_copies_and_pickles(kind):
    forecaster, lookback = network_forecaster(kind(8)), torch.ones(1, 100)
    for again in (copy.deepcopy(forecaster), pickle.loads(pickle.dumps(forecaster))):
        assert torch.equal(again(lookback, 3), forecaster(lookback, 3))
        assert hasattr(again, "distribution") == hasattr(forecaster, "distribution") == (kind is WienerNetwork)


@dataclass(frozen=True)
class drift(Forecaster):
    """A method of one's own."""

    def _estimate(self, window, horizon):
        slope = (window.x[:, -1:] - window.x[:, :1]) / (window.x.shape[1] - 1)
        return window.x[:, -1:] + slope * torch.arange(1, horizon + 1)


def test_a_subclass_with_an_estimate_is_a_forecaster():
    assert drift()(torch.tensor([[0.0, 10.0, 20.0]]), 2).tolist() == [[30.0, 40.0]]
    check_forecaster(drift(), length=20)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, n: x[:, :1],
        lambda x, n: None,
        lambda x, n: x[:, :n].cdouble(),
        lambda x, n: x[:, :n] > 0,
        lambda x, n: x[:, :n].to_sparse(),
        lambda x, n: x[:, :n].to("meta"),
        lambda x, n: x[:, :n] / 0,
        lambda x, n: torch.nested.nested_tensor([x[0]], layout=torch.jagged),
    ],
)
def test_what_is_no_forecast_is_refused_wherever_it_comes_from(answer):
    for forecaster in (window_forecaster(answer), linear_detrending(answer), differenced(answer)):
        with pytest.raises(ValueError, match=r"expected a (finite )?forecast"):
            forecaster(torch.randn(3, 20, generator=torch.Generator().manual_seed(0)), 5)


@pytest.mark.parametrize("answer", [None, (1, 2), torch.distributions.Normal(torch.zeros(3, 5), 1.0)])
def test_a_distribution_of_someone_elses_has_to_be_a_prediction(answer):
    class Odd:
        def __call__(self, lookback, horizon):
            return lookback[:, :horizon]

        def distribution(self, lookback, horizon):
            return answer

    with pytest.raises(ValueError, match="distribution to be a Prediction, got"):
        conformal(Odd(), torch.ones(3, 20), torch.ones(3, 5))


@pytest.mark.parametrize("odd", [persistence, linear_prediction, SmallLSTM(4), None])
def test_a_class_or_a_network_is_no_forecaster_yet(odd):
    for wrapper in (linear_detrending, differenced):
        with pytest.raises(ValueError, match="forecaster must be a f"):
            wrapper(odd)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_forecaster_that_is_certain_has_a_distribution_all_the_same(dtype):
    def certain(x, horizon):
        ahead = growing(0.1 * x, horizon)
        return ahead, torch.zeros_like(ahead), x.new_zeros(len(x), 1)

    prediction = window_forecaster(growing, distribution=certain).distribution(torch.ones(1, 3, dtype=dtype), 2)
    low, high = central_interval(prediction.observed, 0.9)
    assert low.dtype == dtype and (high - low).max() < 1e-3


def test_a_central_interval_holds_its_share_of_the_samples():
    normal = torch.distributions.Normal(torch.tensor(3.0, dtype=torch.float64), 2.0)
    for coverage, deviations in ((0.6827, 1), (0.9545, 2), (0.95, 1.96)):
        low, high = central_interval(normal, coverage)
        assert [low.item(), high.item()] == pytest.approx([3 - 2 * deviations, 3 + 2 * deviations], abs=1e-3)
    for coverage in (0, 1, 95, None, True, float("nan")):
        with pytest.raises(ValueError, match=r"coverage must be a number between 0 and 1"):
            central_interval(normal, coverage)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "forecaster", [persistence(), *(network_forecaster(n) for n in (SmallLSTM(4), Seq2SeqGRU(), CurriculumGRU()))]
)
def test_every_dtype_is_served_and_kept(forecaster, dtype):
    lookback = torch.randn(3, 100, generator=torch.Generator().manual_seed(0)).to(dtype)
    ahead = forecaster(lookback, 4)
    assert ahead.dtype == dtype and ahead.shape == (3, 4)
    assert torch.allclose(ahead.double(), forecaster(lookback.double(), 4), rtol=torch.finfo(dtype).eps, atol=0.02)


def test_the_number_of_threads_is_the_same_after_a_forecast():
    before = torch.get_num_threads()
    network_forecaster(SmallLSTM(4))(torch.ones(1, 5), 2)
    persistence()(torch.ones(1, 5), 2)
    assert torch.get_num_threads() == before


def test_a_forecast_has_the_dtype_and_the_unit_of_its_lookback():
    forecast = network_forecaster(SmallLSTM(4))
    lookback = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ahead = forecast(lookback, 4)
    assert ahead.dtype == torch.float64 and forecast(lookback.float(), 4).dtype == torch.float32
    assert torch.allclose(forecast(1000 * lookback, 4), 1000 * ahead)
    assert torch.isfinite(forecast(torch.zeros(1, 20), 4)).all()


def test_many_windows_are_shared_among_the_processors_and_each_forecast_is_what_it_was():
    network = SmallLSTM(4)
    lookback = torch.randn(1201, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = network_forecaster(network)(lookback, 4)
    with torch.no_grad():
        alone = torch.cat([network.double().forecast(part, 4) for part in (lookback / peaks(lookback)).split(500)])
    assert torch.equal(together, alone * peaks(lookback)) and not together.requires_grad


def peaks(lookback):
    return lookback.abs().amax(dim=1, keepdim=True)


def test_a_network_that_is_trained_further_is_forecast_with_as_it_is_now():
    network, lookback = SmallLSTM(4), torch.ones(2, 20)
    forecast = network_forecaster(network)
    before = forecast(lookback, 3)
    with torch.no_grad():
        network.head.bias += 1
    assert torch.equal(forecast(lookback, 3), network_forecaster(network)(lookback, 3))
    assert not torch.equal(forecast(lookback, 3), before)


@pytest.mark.parametrize("horizon", [np.int64(3), np.uint8(3), torch.tensor(3)])
def test_a_whole_number_of_any_type_is_a_horizon(horizon):
    assert persistence()(torch.ones(1, 5), horizon).shape == (1, 3)
    assert network_forecaster(SmallLSTM(4))(torch.ones(1, 5), horizon).shape == (1, 3)


def test_infinity_is_no_answer():
    """Neither of a network with broken weights, nor where the unit leaves the range of numbers."""
    broken = SmallLSTM(4)
    torch.nn.init.constant_(broken.head.bias, torch.nan)
    with pytest.raises(ValueError, match=r"NaN or infinity for 2 of 2 windows.*weights of the network"):
        network_forecaster(broken)(torch.ones(2, 20), 3)
    lookback = torch.full((1, 20), 3e38)
    with pytest.warns(UnstableForecast), pytest.raises(ValueError, match=r"beyond the range of torch.float32"):
        window_forecaster(growing)(lookback, 2)


def test_a_network_says_which_dtype_it_computes_in():
    with pytest.raises(ValueError, match=r"torch.float32 and torch.float16; network_forecaster"):
        SmallLSTM(4).forecast(torch.ones(1, 20, dtype=torch.float16), 3)
    with pytest.raises(ValueError, match="must be a torch module with a method forecast, got NoneType"):
        network_forecaster(None)


def test_forecasting_leaves_the_network_as_it_was():
    network = SmallLSTM(4).train()
    lookback = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    forecast = network_forecaster(network)
    before = forecast(lookback, 4)
    forecast(lookback.bfloat16(), 4)
    assert torch.equal(forecast(lookback, 4), before)
    assert network.training and network.head.weight.dtype == torch.float32


def test_a_forecast_leaves_no_gradient_and_changes_no_input():
    lookback = torch.ones(1, 20)
    assert not network_forecaster(SmallLSTM(4))(lookback, 4).requires_grad
    assert torch.equal(lookback, torch.ones(1, 20))
