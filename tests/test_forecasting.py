"""One boundary around every forecaster, classical or neural."""

import pytest
import torch
from torch import nn

from harmonics_lib import (
    CurriculumGRU,
    Seq2SeqGRU,
    SmallLSTM,
    UnstableForecast,
    network_forecaster,
    persistence,
    window_forecaster,
)
from harmonics_lib.forecasting import LIMIT


class Growing(nn.Module):
    """A network whose forecast is ten times the last sample."""

    def forecast(self, lookback, horizon):
        return 10 * lookback[:, -1:].expand(-1, horizon)


def growing(x, horizon, unit):
    return Growing().forecast(x, horizon)


@pytest.mark.parametrize("forecaster", [window_forecaster(growing), network_forecaster(Growing())])
def test_classical_and_neural_forecasts_are_held_at_one_limit_and_counted(forecaster):
    """Three lookback peaks, in any unit: a network has no more freedom than a recurrence."""
    lookback = torch.tensor([[0.0, -2.0, 2.0], [4.0, 0.0, 0.1]])
    with pytest.warns(UnstableForecast, match="1 of 2 forecasts went beyond 3 lookback peaks") as caught:
        ahead = forecaster(lookback, 2)
    assert torch.allclose(ahead, torch.tensor([[LIMIT * 2] * 2, [1.0] * 2]))
    assert caught[0].message.count == 1
    assert caught[0].filename == __file__  # the line that asked for the forecast


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
