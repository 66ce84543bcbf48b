"""Forecasters that need no training."""

import math
import warnings

import numpy as np
import pytest
import torch

from harmonics_lib import (
    HarmonicProcess,
    UnstableForecast,
    autoregression,
    dft_extrapolation,
    linear_mmse,
    linear_prediction,
    matrix_pencil,
    persistence,
    random_stream,
    sparse_bayesian,
)
from harmonics_lib.forecasters.estimates import noise_level, signal_rank
from harmonics_lib.forecasters.linear import known_period_oracle
from harmonics_lib.forecasters.recurrence import (
    burg,
    burg_weights,
    cadzow,
    continue_clean,
    project_rank,
    tufts_kumaresan,
)
from harmonics_lib.forecasters.window import Window

WHOLE = HarmonicProcess((1, 45), (2, 99))
ANY = HarmonicProcess((1, 45), (2, 99), integer_periods=False)
EXACT = {
    "forward": linear_prediction(30, ridge=0, backward=False),
    "forward and backward": linear_prediction(ridge=0),
    "truncated": tufts_kumaresan(),
    "ridge by the noise": linear_prediction(),
    "matrix pencil": matrix_pencil(),
    "matrix pencil on the unit circle": matrix_pencil(unit_circle=True),
    "matrix pencil of given order": matrix_pencil(order=8),
    "cadzow": cadzow(),
}
FORECASTERS = EXACT | {
    "persistence": persistence(),
    "dft": dft_extrapolation(),
    "tapered dft": dft_extrapolation("hann"),
    "burg": burg(),
    "autoregression": autoregression(),
    "linear mmse": linear_mmse(WHOLE),
    "sparse bayesian": sparse_bayesian(WHOLE),
    "sparse bayesian of any period": sparse_bayesian(ANY),
}


def tones(period, length, batch=3):
    phases = torch.arange(batch, dtype=torch.float64)[:, None]
    return torch.sin(2 * math.pi * torch.arange(length, dtype=torch.float64) / period + phases)


def test_persistence_repeats_the_last_sample():
    lookback = tones(7, 30)
    assert torch.equal(persistence()(lookback, 4), lookback[:, -1:].repeat(1, 4))


@pytest.mark.parametrize("length, period", [(100, 20), (99, 11), (100, 2)])
def test_dft_continues_whole_cycles_exactly(length, period):
    signal = tones(period, 2 * length)
    assert torch.allclose(dft_extrapolation()(signal[:, :length], length), signal[:, length:], atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 99, 100])
def test_dft_repeats_its_window(length):
    lookback = torch.randn(2, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(dft_extrapolation()(lookback, 250), lookback.repeat(1, 250)[:, :250], atol=1e-9)


def test_a_tapered_window_is_repeated_tapered():
    lookback = torch.ones(1, 64, dtype=torch.float64)
    hann = torch.hann_window(64, periodic=True, dtype=torch.float64)
    assert torch.allclose(dft_extrapolation("hann")(lookback, 64)[0], hann, atol=1e-12)


def mixture(periods, length=150):
    """(4, length) sums of tones of these periods, amplitudes from 1 down, random phases."""
    phases = 2 * math.pi * torch.rand(4, len(periods), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    time = torch.arange(length, dtype=torch.float64)[:, None]
    waves = torch.sin(2 * math.pi * time / torch.tensor(periods, dtype=torch.float64) + phases[:, None])
    return waves @ (1 / torch.arange(1, len(periods) + 1, dtype=torch.float64))


@pytest.mark.parametrize("forecast", EXACT.values(), ids=EXACT)
@pytest.mark.parametrize("lookback", [100, 99])
@pytest.mark.parametrize("periods", [[20], [7, 16, 50], [4, 8.3, 13.77, 31.4]], ids=["one", "whole", "any"])
def test_clean_tones_go_on_exactly(forecast, lookback, periods):
    if forecast is EXACT["matrix pencil of given order"] and len(periods) < 4:
        forecast = matrix_pencil(order=2 * len(periods))
    signal = mixture(periods)
    assert torch.allclose(forecast(signal[:, :lookback], 50), signal[:, lookback : lookback + 50], atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", ["forward", "forward and backward", "truncated", "matrix pencil"])
def test_a_constant_goes_on(name):
    lookback = torch.full((2, 100), -3.0, dtype=torch.float64)
    assert torch.allclose(EXACT[name](lookback, 50), torch.full((2, 50), -3.0, dtype=torch.float64), atol=1e-8)


def noisy_windows(count, noise=0.1, components=3, length=100):
    return HarmonicProcess(components, (5, 60), noise_std=noise).sample(
        count, length + 20, length, generator=random_stream(0, "noisy windows"), dtype=torch.float64
    )


def test_modified_covariance_is_that_of_the_spectrum_package():
    spectrum = pytest.importorskip("spectrum", reason="needs a C compiler to install")
    past = noisy_windows(4).past
    weights = torch.tensor(np.stack([-spectrum.modcovar(window, 20)[0] for window in past.numpy()]))
    ours = linear_prediction(20, ridge=0)(past, 1)[:, 0]
    assert torch.allclose(ours, (past.flip(1)[:, :20] * weights).sum(1), atol=1e-9)


def test_burg_is_that_of_the_spectrum_package():
    spectrum = pytest.importorskip("spectrum", reason="needs a C compiler to install")
    past = noisy_windows(4).past
    weights = torch.tensor(np.stack([-spectrum.arburg(window, 20)[0].real for window in past.numpy()]))
    assert torch.allclose(burg_weights(past, 20), weights, atol=1e-10)


def test_burg_is_always_stable():
    for weights in burg_weights(noisy_windows(20).past, 40).numpy():
        assert np.abs(np.roots([1, *-weights])).max() < 1


@pytest.mark.parametrize("criterion", ["aicc", "bic"])
def test_the_order_of_an_autoregression_is_what_the_criterion_says_of_the_spectrum_packages_fits(criterion):
    spectrum = pytest.importorskip("spectrum", reason="needs a C compiler to install")
    past, length = noisy_windows(6, noise=0.3).past, 100
    for window, ahead in zip(past.numpy(), autoregression(criterion, most=40)(past, 1)[:, 0].tolist(), strict=True):
        fits = [spectrum.arburg(window, order)[:2] for order in range(1, 41)]
        values = [
            length * math.log(power)
            + (order * math.log(length) if criterion == "bic" else 2 * (order + 1) * length / (length - order - 2))
            for order, (_, power) in enumerate(fits, start=1)
        ]
        weights = -fits[int(np.argmin(values))][0].real
        assert ahead == pytest.approx(window[: -len(weights) - 1 : -1] @ weights, abs=1e-9)


def test_bic_finds_the_order_of_an_autoregressive_process():
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(600, 200, dtype=torch.float64, generator=generator).unbind()
    series = [torch.zeros_like(steps[0])] * 2
    for step in steps:
        series.append(1.2 * series[-1] - 0.8 * series[-2] + step)
    past = torch.stack(series[-500:], dim=1)
    exact = past[:, -1:] * 1.2 - past[:, -2:-1] * 0.8
    errors = [(autoregression("bic", most)(past, 1) - exact).square().mean() for most in (1, 2, 40)]
    assert errors[2] < 1.3 * errors[1] < errors[0] / 30


def test_cadzow_takes_noise_out_of_one_tone():
    """Of N samples, 4 parameters' worth of noise stays at the least, in a matrix of rank 2."""
    batch = noisy_windows(100, components=1)
    cleaned = batch.past
    for _ in range(5):
        cleaned = project_rank(cleaned, torch.full((100,), 2))
    singular = torch.linalg.svdvals(cleaned.unfold(1, 51, 1))
    assert (singular[:, 2] < 1e-3 * singular[:, 0]).all()
    left = (cleaned - batch.clean[:, :100]).square().mean().item()
    assert 0.02 < left / 0.1**2 < 0.06


def test_the_rank_of_a_window_is_kept_by_antidiagonal_means():
    signal = mixture([7, 16], 60)
    assert torch.allclose(project_rank(signal, torch.full((4,), 4)), signal, atol=1e-12)


@pytest.mark.parametrize("length", [40, 99, 100])
def test_noise_is_not_taken_for_a_clean_window(length):
    noise = torch.randn(200, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert not continue_clean(Window.of(mixture([7, 16], length).repeat(50, 1) + 1e-2 * noise), 5)[1].any()
    assert continue_clean(Window.of(mixture([7, 16], length)), 5)[1].all()


def test_a_short_window_of_noise_is_not_clean():
    noise = torch.randn(1000, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert not continue_clean(Window.of(noise), 5)[1].any()


def test_ridge_solves_the_normal_equations():
    past = noisy_windows(1).past
    rows = past[0].unfold(0, 11, 1).numpy()
    equations, target = np.vstack([rows[:, -2::-1], rows[:, 1:]]), np.concatenate([rows[:, -1], rows[:, 0]])
    weights = np.linalg.solve(equations.T @ equations + 0.7 * np.eye(10), equations.T @ target)
    ridge = 0.7 / past.abs().max().item() ** 2  # in squared peaks
    assert linear_prediction(10, ridge=ridge)(past, 1).item() == pytest.approx(past[0].numpy()[:-11:-1] @ weights)


def test_truncation_to_the_rank_of_one_tone_takes_out_the_noise():
    batch = noisy_windows(100, components=1)
    errors = {rank: (tufts_kumaresan(rank=rank)(batch.past, 20) - batch.future).square().mean() for rank in (2, None)}
    with pytest.warns(UnstableForecast):
        plain = (linear_prediction(ridge=0)(batch.past, 20) - batch.future).square().mean()
    assert errors[2] < plain / 100 and errors[None] < 1.2 * errors[2]


def test_a_growing_window_is_held_at_the_limit_and_said_to_be_unstable():
    lookback = torch.tensor(1.2, dtype=torch.float64) ** torch.arange(40)[None]
    with pytest.warns(UnstableForecast, match="1 of 1 forecasts exceeded 3 lookback peaks") as caught:
        ahead = linear_prediction(1, ridge=0, backward=False)(lookback, 30)
    assert ahead.max().item() == pytest.approx(3 * lookback.max().item())
    assert ahead[0, 0].item() == pytest.approx(1.2 * lookback[0, -1].item())
    assert caught[0].message.count == 1


def test_the_rank_of_tones_in_noise_is_two_for_each():
    for periods in ([20], [7, 16, 45]):
        signal = mixture(periods, 100) + 0.05 * torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
        singular = torch.linalg.svdvals(signal.unfold(1, 34, 1))
        assert signal_rank(singular, 67).tolist() == [2 * len(periods)] * 4


@pytest.mark.parametrize("periods, bias", [([], 0.03), ([20], 0.05), ([7, 16, 45], 0.1)])
def test_noise_is_measured_beside_few_tones(periods, bias):
    noise = torch.randn(400, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    signal = mixture(periods, 100).repeat(100, 1) if periods else 0
    assert noise_level(signal + 0.2 * noise).mean().item() == pytest.approx(0.2, rel=bias)


def test_noise_of_a_clean_tone_is_zero():
    assert noise_level(mixture([20], 100)).max() < 1e-10


@pytest.mark.parametrize("process", [WHOLE, HarmonicProcess(3, 17), ANY], ids=["whole", "single", "any"])
def test_linear_mmse_is_the_textbooks(process):
    batch = process.sample(3, 110, 100, generator=random_stream(0, "mmse"), dtype=torch.float64)
    past = batch.past + 0.2 * torch.randn(3, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    low, high = process.periods
    periods = np.arange(low, high + 1) if process.integer_periods else np.linspace(low, high, 200001)
    lags = np.abs(np.arange(110)[:, None] - np.arange(100))
    covariance = np.array([np.cos(2 * np.pi * lag / periods).mean() for lag in range(110)])[lags]
    for window, ahead in zip(past.numpy(), linear_mmse(process, noise_std=0.2)(past, 10).numpy(), strict=True):
        power = (window**2).mean() - 0.04
        textbook = power * covariance[100:] @ np.linalg.solve(power * covariance[:100] + 0.04 * np.eye(100), window)
        assert ahead == pytest.approx(textbook, abs=2e-3 if process is ANY else 1e-9)


def test_the_oracle_is_exact_on_clean_windows_of_any_period():
    for process in (HarmonicProcess(5, (2, 99)), HarmonicProcess(5, (2, 99), integer_periods=False)):
        batch = process.sample(50, 150, 100, generator=random_stream(0, "oracle"), dtype=torch.float64)
        assert torch.allclose(known_period_oracle(batch)(batch.past, 50), batch.future, atol=1e-8)


def test_the_oracle_is_the_mean_of_a_gaussian_process():
    batch = noisy_windows(1, noise=0.3, components=4)
    time = np.arange(120)
    power = (batch.amplitudes.numpy() ** 2).mean() / 2
    lags = 2 * np.pi * (time[:, None] - time)[..., None] / batch.periods[0].numpy()
    covariance = power * np.cos(lags).sum(axis=2)
    textbook = covariance[100:, :100] @ np.linalg.solve(
        covariance[:100, :100] + 0.09 * np.eye(100), batch.past[0].numpy()
    )
    assert known_period_oracle(batch)(batch.past, 20)[0].numpy() == pytest.approx(textbook, abs=1e-9)


def test_no_method_passes_the_oracle():
    batch = noisy_windows(200, noise=0.1, components=5)
    floor = (known_period_oracle(batch)(batch.past, 20) - batch.future).square().mean()
    for name in ("truncated", "matrix pencil", "linear mmse", "sparse bayesian", "burg"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnstableForecast)
            assert (FORECASTERS[name](batch.past, 20) - batch.future).square().mean() > floor


def test_the_noise_of_long_windows_is_measured_in_pieces():
    """… from pieces of 300 samples, in a second: what N samples at once cost grows with the cube."""
    process = HarmonicProcess((3, 6), noise_std=0.1)
    batch = process.sample(4, 5000, 5000, generator=random_stream(0, "long noise"), dtype=torch.float64)
    assert noise_level(batch.past).numpy() == pytest.approx(0.1, rel=0.1)


def test_the_oracle_serves_its_own_batch_only():
    batch = noisy_windows(3)
    with pytest.raises(ValueError, match=r"serves the batch's windows \(3, 100\), got \(2, 100\)"):
        known_period_oracle(batch)(batch.past[:2], 5)
    with pytest.raises(ValueError, match="serves the windows of its batch, in their order, got 2 others"):
        known_period_oracle(batch)(batch.past[[0, 2, 1]], 5)
    with pytest.raises(ValueError, match="batch must be the SignalBatch whose windows are forecast, got NoneType"):
        known_period_oracle(None)
