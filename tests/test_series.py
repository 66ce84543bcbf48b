"""A plain series goes on: its index, its mean, its trend, and an interval that covers."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from harmonics_lib import HarmonicProcess, forecast, random_stream, series, sparse_bayesian

HOURS = np.arange(160)
TIDE = 12 + 5 * np.sin(2 * np.pi * HOURS / 24) + np.sin(2 * np.pi * HOURS / 7.3)


@pytest.fixture
def quick(monkeypatch):
    """A forecaster ten times as fast."""
    fast = sparse_bayesian(HarmonicProcess((1, 10), (2, 99)), iterations=10, trend="level")
    monkeypatch.setattr(series, "auto_forecaster", lambda: fast)


def test_a_tide_goes_on_about_its_mean():
    noise = 0.2 * np.random.default_rng(0).standard_normal(160)
    ahead = forecast((TIDE + noise)[:150], 10)
    assert list(ahead.columns) == ["mean", "low", "high"]
    assert ahead.index.tolist() == list(range(150, 160))
    assert np.abs(ahead["mean"] - TIDE[150:]).max() < 0.2
    assert ((ahead.low < ahead["mean"]) & (ahead["mean"] < ahead.high)).all()
    assert 0.5 < (ahead.high - ahead.low).mean() / (2 * 1.645 * 0.2) < 2


INDEXES = {  # of 53 samples, of which 50 are seen
    "hours": pd.date_range("2024-03-30", periods=53, freq="h", name="hour"),
    "business days": pd.bdate_range("2024-01-01", periods=53),
    "months": pd.date_range("2020-01-01", periods=53, freq="MS"),
    "summer time begins": pd.date_range("2024-03-29", periods=53, freq="h", tz="Europe/Berlin"),
    "frequency not told": pd.DatetimeIndex(list(pd.date_range("2024-01-01", periods=53))),
    "periods": pd.period_range("2020-01", periods=53, freq="M"),
    "lags": pd.timedelta_range("0s", periods=53, freq="10s"),
    "numbers": pd.Index(range(1900, 2006, 2), name="year"),
    "backwards": pd.RangeIndex(53, 0, -1),
    "tenths": pd.Index(np.arange(53) / 10),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_the_answer_carries_the_index_on(kind, quick):
    index = INDEXES[kind]
    ahead = forecast(pd.Series(TIDE[:50], index[:50]), 3)
    index = pd.DatetimeIndex(index, freq="infer") if kind == "frequency not told" else index
    pd.testing.assert_index_equal(ahead.index, index[50:], exact=False, check_exact=False)
    assert ahead.to_numpy() == pytest.approx(forecast(TIDE[:50], 3).to_numpy())


def test_labels_go_on_as_positions(quick):
    named = pd.Series(TIDE[:50], [f"run {number}" for number in range(50)])
    assert forecast(named, 3).index.tolist() == [50, 51, 52]


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, lambda x: pd.Series(x, dtype="Float64")])
def test_every_kind_of_series_has_the_same_forecast(kind, quick):
    assert forecast(kind(TIDE[:50]), 5).to_numpy() == pytest.approx(forecast(TIDE[:50], 5).to_numpy())


@pytest.mark.parametrize("scale, shift", [(1000, 0), (-1e-3, 7), (1, 1e6)])
def test_unit_and_origin_are_of_no_consequence(scale, shift, quick):
    noisy = TIDE[:50] + np.random.default_rng(1).standard_normal(50)
    ours, theirs = forecast(scale * noisy + shift, 5), scale * forecast(noisy, 5) + shift
    ends = (np.sort(ends[["low", "high"]], axis=1) for ends in (ours, theirs))  # a negative unit turns them round
    assert next(ends) == pytest.approx(next(ends), rel=1e-4)


def drawn(count, length, components, periods, noise_std, name):
    """(count, length) observed and clean signals of mean 0 and no trend, after a lookback of all but 10 samples."""
    process = HarmonicProcess(components, periods, False, noise_std)
    stream = random_stream(0, f"series, {name}")
    return process.sample(count, length, length - 10, generator=stream, dtype=torch.float64)


def test_a_line_alone_runs_on():
    ahead = forecast(0.5 * np.arange(60) + 3 + 1e-3 * np.random.default_rng(0).standard_normal(60), 5)
    assert ahead["mean"].to_numpy() == pytest.approx(0.5 * np.arange(60, 65) + 3, abs=5e-3)


def test_intervals_cover_the_samples_that_will_be_observed():
    batch = drawn(12, 100, (1, 10), (2, 99), 0.1, "coverage")
    inside = []
    for observed in batch.observed.numpy():
        ahead = forecast(2 + observed[:90], 10, coverage=0.8)
        inside.append((ahead.low <= 2 + observed[90:]) & (2 + observed[90:] <= ahead.high))
    assert 0.75 < np.mean(inside) < 0.98  # learned from shorter windows: rather too wide than too narrow


def test_a_series_too_short_for_rolling_origins_has_the_interval_of_the_model():
    ahead = forecast(TIDE[:24] + 0.3 * np.random.default_rng(0).standard_normal(24), 12)
    assert ((ahead.high - ahead.low) > 0.1).all()


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.ones((30, 2)), r"series must have one dimension, got ndarray of shape \(30, 2\)"),
        (pd.DataFrame({"a": TIDE}), r"one dimension, got DataFrame of shape \(160, 1\)"),
        (3.0, r"one dimension, got float of shape \(\)"),
        (["1"] * 30, "series must hold real numbers, got values of dtype"),
        ([True, False] * 30, "must hold real numbers, got values of dtype bool"),
        (TIDE + 0j, "must hold real numbers, got values of dtype complex128"),
        (pd.date_range("2024", periods=50), "must hold real numbers, got values of dtype datetime64"),
        ([*TIDE[:40], None, math.inf], "no missing or infinite values, got 2, the first at position 40"),
        (pd.Series([*range(30), None], dtype="Int64"), "missing or infinite values, got 1, the first at position 30"),
        (TIDE[:23], "series must have at least 24 samples, got 23"),
        ([], "series must have at least 24 samples, got 0|must hold real numbers"),
        (np.full(50, 3.5), "series must vary, got 50 samples that are all 3.5"),
        (pd.Series(TIDE, pd.date_range("2024", periods=320)[np.r_[:100, 110:170]]), "index of equal steps, without"),
        (pd.Series(TIDE[:50], pd.DatetimeIndex(["2024", "2023"] * 25)), "index of equal steps, without gaps"),
        (pd.Series(TIDE[:50], np.r_[:49, 60]), "index of equal steps, without gaps"),
        (pd.Series(TIDE[:50], np.zeros(50)), "index of equal steps, without gaps"),
        (pd.Series(TIDE[:50], pd.period_range("2024", periods=51, freq="D").delete(7)), "equal steps, without gaps"),
    ],
)  # fmt: skip
def test_what_cannot_be_forecast_is_refused_in_words(bad, message):
    with pytest.raises(ValueError, match=message):
        forecast(bad, 5)


def test_horizon_and_coverage_are_checked():
    with pytest.raises(ValueError, match="horizon must be a whole number of at least 1, got 0"):
        forecast(TIDE, 0)
    with pytest.raises(ValueError, match=r"coverage must be a number between 0 and 1, such as 0\.9, got 90"):
        forecast(TIDE, 5, coverage=90)
