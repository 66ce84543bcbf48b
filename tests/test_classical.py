"""Forecasters that need no training."""

import math

import pytest
import torch

from harmonics_lib import dft_extrapolation, persistence

FORECASTERS = {"persistence": persistence(), "dft": dft_extrapolation(), "tapered dft": dft_extrapolation("hann")}


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


@pytest.mark.parametrize("forecast", FORECASTERS.values(), ids=FORECASTERS)
def test_shape_and_dtype_are_those_of_the_lookback(forecast):
    for dtype in (torch.float32, torch.float64):
        ahead = forecast(tones(9, 50).to(dtype), 7)
        assert ahead.shape == (3, 7) and ahead.dtype == dtype


@pytest.mark.parametrize("forecast", FORECASTERS.values(), ids=FORECASTERS)
@pytest.mark.parametrize("lookback", [torch.zeros(100), torch.full((1, 9), math.nan), torch.zeros(1, 0)])
def test_bad_input_is_refused(forecast, lookback):
    with pytest.raises(ValueError, match="lookback must"):
        forecast(lookback, 5)


def test_an_unknown_taper_is_refused_at_once():
    with pytest.raises(ValueError, match="taper must be one of"):
        dft_extrapolation("hanning")
