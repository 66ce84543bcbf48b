"""The network that reads a spectrum and leaves the rest to linear algebra."""

import pytest
import torch

from harmonics_lib import HarmonicProcess, Run, Stage, TrainingConfig, network_forecaster, random_stream, train
from harmonics_lib.networks.recurrent import initialise
from harmonics_lib.networks.wiener import WienerNetwork

PROCESSES = tuple(HarmonicProcess((1, 45), (2, 99), whole, noise_std=(0.003, 0.4)) for whole in (True, False))


def network(**settings):
    made = WienerNetwork(hidden=16, **settings)
    initialise(made, random_stream(0, "wiener test"))
    return made.double()


def noisy(count=6, noise_std=0.1, components=3):
    process = HarmonicProcess(components, (2, 99), noise_std=noise_std)
    return process.sample(count, 150, 100, generator=random_stream(3, "wiener test"), dtype=torch.float64)


def test_before_training_it_is_the_linear_predictor_of_its_prior():
    """With all updates at zero the spectrum is the prior's, and a forecast is linear in the window."""
    untrained, x = network(refinements=0), noisy().past
    scale = x.square().mean(dim=1, keepdim=True).sqrt()
    ahead = untrained.forecast(x, 10) / scale
    single = untrained.forecast((x / scale)[:1] + (x / scale)[1:2], 10)
    torch.testing.assert_close(single, ahead[:1] + ahead[1:2])


def test_forecast_is_that_of_a_gaussian_with_the_stated_spectrum():
    """Conditioning the joint Gaussian of window and future by dense matrices gives the same forecast."""
    trained, x = network(), noisy().past
    with torch.no_grad():
        for parameter in trained.parameters():  # anything but zero
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random_stream(4, "wiener test")))
    _, spectrum, scale = trained(x)
    time, frequencies = torch.arange(107.0).double(), trained.frequencies
    cosines = (2 * torch.pi * frequencies * (time[:, None] - time)[..., None]).cos()  # (107, 107, G)
    covariance = (cosines * spectrum[0, :-1].exp()).sum(dim=2)
    window = covariance[:100, :100] + spectrum[0, -1].exp() * torch.eye(100, dtype=torch.float64)
    expected = covariance[100:, :100] @ torch.linalg.solve(window, x[0] / scale[0])
    torch.testing.assert_close(trained.forecast(x, 7)[0], scale[0] * expected, rtol=1e-9, atol=1e-11)


def test_unit_and_order_of_windows_do_not_matter():
    made, x = network(), noisy().past
    torch.testing.assert_close(made.forecast(1e-6 * x.flip(0), 5), 1e-6 * made.forecast(x, 5).flip(0))


def test_silence_is_continued_by_silence():
    assert (network().forecast(torch.zeros(2, 100).double(), 5) == 0).all()


def test_its_distribution_has_the_forecast_as_mean_and_any_horizon():
    forecaster, x = network_forecaster(network()), noisy().past
    prediction = forecaster.distribution(x, 60)
    torch.testing.assert_close(prediction.mean, forecaster(x, 60))
    assert (prediction.std > 0).all()
    assert prediction.noise_std.shape == (6, 1)
    assert (prediction.std[:, 50:] == prediction.std[:, 49:50]).all()  # it has learned fifty steps


def test_a_short_training_beats_the_prior(tmp_path):
    config = TrainingConfig(0, 64, learning_rate=0.002, warmup_steps=10, report_every=60, validation_size=200)
    run = Run(WienerNetwork, (Stage(PROCESSES, 60, horizon=50),), config, {"hidden": 32})
    batch = noisy(200)
    before = (network(refinements=2).forecast(batch.past, 10) - batch.future[:, :10]).square().mean()
    trained = train(run, tmp_path, progress=False)
    after = (trained.forecast(batch.past.float(), 10) - batch.future[:, :10]).square().mean()
    assert after < 0.5 * before


def test_a_window_too_short_is_refused():
    with pytest.raises(ValueError, match="at least 100 samples, got 99"):
        network().forecast(torch.ones(1, 99).double(), 5)
