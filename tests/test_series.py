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
    "periods of 15 minutes": pd.period_range("2024-01-01", periods=53, freq="15min"),
    "every 15th minute": pd.date_range("2024-01-01", periods=53, freq="15min").to_period("min"),
    "a midnight that the clock skips": pd.DatetimeIndex(
        [
            *pd.date_range("2018-09-15", periods=50),
            pd.Timestamp("2018-11-04 01:00"),
            *pd.date_range("2018-11-05", periods=2),
        ]
    ).tz_localize("America/Sao_Paulo"),
    "a time that comes twice": pd.date_range("2024-09-07 02:30", periods=53).tz_localize(
        "Europe/Berlin", ambiguous=np.ones(53, dtype=bool)
    ),
    "lags": pd.timedelta_range("0s", periods=53, freq="10s"),
    "numbers": pd.Index(range(1900, 2006, 2), name="year"),
    "backwards": pd.RangeIndex(53, 0, -1),
    "tenths": pd.Index(np.arange(53) / 10),
    "seconds since 1970 at 1 kHz": pd.Index(1.7e9 + np.arange(53) / 1000),
    "years of months, four digits": pd.Index(np.round(1958 + np.arange(53) / 12, 4)),
    "nanoseconds at 44.1 kHz": pd.Index(np.rint(np.arange(53) * 1e9 / 44_100).astype(np.int64)),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_the_answer_carries_the_index_on(kind, quick):
    index = INDEXES[kind]
    ahead = forecast(pd.Series(TIDE[:50], index[:50]), 3)
    pd.testing.assert_index_equal(ahead.index, index[50:], exact=False, check_exact=False, check_freq=False)
    assert ahead.to_numpy() == pytest.approx(forecast(TIDE[:50], 3).to_numpy())


def test_labels_go_on_as_positions(quick):
    named = pd.Series(TIDE[:50], [f"run {number}" for number in range(50)])
    assert forecast(named, 3).index.tolist() == [50, 51, 52]


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, pd.Series, lambda x: pd.Series(x, dtype="Float64"), lambda x: pd.Series(x, dtype=object)],
)
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


def test_dates_that_fall_are_answered_with_a_warning(quick):
    falling = pd.Series(TIDE[:50], pd.date_range("2024-01-01", periods=50)[::-1])
    with pytest.warns(UserWarning, match="into the past"):
        ahead = forecast(falling, 2)
    assert ahead.index.tolist() == [pd.Timestamp("2023-12-31"), pd.Timestamp("2023-12-30")]


@pytest.mark.parametrize("number", [np.array, torch.tensor, np.float32])
def test_horizon_and_coverage_may_be_numbers_of_any_type(number, quick):
    whole = torch.tensor if number is torch.tensor else np.array
    pd.testing.assert_frame_equal(forecast(TIDE[:50], whole(3), number(0.75)), forecast(TIDE[:50], 3, 0.75))


GAPS = {
    "in time": pd.date_range("2024", periods=70)[np.r_[:30, 40:60]],
    "in no order": pd.DatetimeIndex(["2024", "2023"] * 25),
    "before the last number": np.r_[:49, 60],
    "after the first number": np.r_[-1.0, 1:50],
    "numbers too coarse for their steps": (1.7e9 + np.arange(50) / 10).astype(np.float32),
    "one number": np.zeros(50),
    "in periods": pd.period_range("2024", periods=51, freq="D").delete(7),
    "the last periods": pd.PeriodIndex.from_ordinals(np.arange(2**63 - 52, 2**63 - 2), freq="D"),
}


@pytest.mark.parametrize("kind", GAPS)
def test_an_index_with_a_gap_or_an_end_is_refused(kind):
    with pytest.raises(ValueError, match="index of equal steps without gaps"):
        forecast(pd.Series(TIDE[:50], GAPS[kind]), 5)


@pytest.mark.parametrize(
    "bad, message",
    [
        ([*TIDE[:40], None, math.inf], "no missing or infinite values, got 2, the first at position 40"),
        (pd.Series([*range(30), None], dtype="Int64"), "missing or infinite values, got 1, the first at position 30"),
        ([], "series must have at least 24 samples, got 0"),
        (np.zeros(30, dtype=[("height", float), ("error", float)]), "real numbers, got records with the fields height"),
        (pd.Series, "series must have one dimension, got type of shape"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_words(bad, message):
    with pytest.raises(ValueError, match=message):
        forecast(bad, 5)
