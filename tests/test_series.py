"""A plain series goes on: its index, its mean, its trend, its gaps, and intervals that cover."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config

from harmonics_lib import HarmonicProcess, autoregression, forecast, linear_prediction, random_stream
from harmonics_lib.evaluation.measured import load_measured
from harmonics_lib.series.recurrence import burg_weights, linear_prediction_weights, predict

HOURS = np.arange(160)
TIDE = 12 + 5 * np.sin(2 * np.pi * HOURS / 24) + np.sin(2 * np.pi * HOURS / 7.3)


def test_a_tide_goes_on_about_its_mean():
    noise = 0.2 * np.random.default_rng(0).standard_normal(160)
    ahead = forecast((TIDE + noise)[:150], 10)
    assert list(ahead.columns) == ["mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert ahead.index.tolist() == list(range(150, 160))
    assert np.abs(ahead["mean"] - TIDE[150:]).max() < 0.3
    assert ((ahead["lo-95"] < ahead["mean"]) & (ahead["mean"] < ahead["hi-95"])).all()
    assert 0.5 < (ahead["hi-80"] - ahead["lo-80"]).mean() / (2 * 1.282 * 0.2) < 2


@pytest.mark.parametrize("length", [50, 100, 650])
def test_sinusoids_without_noise_go_on_to_within_rounding(length):
    hours = np.arange(length + 48)
    wave = 5 * np.sin(2 * np.pi * hours / 24 + 1) + np.sin(2 * np.pi * hours / 7.3)
    for clean in (wave, 3 + 0.1 * hours + wave):
        assert np.abs(forecast(clean[:length], 48)["mean"] - clean[length:]).max() < 1e-10


def test_the_fast_recurrences_are_those_of_the_library():
    x = np.random.default_rng(0).standard_normal(120).cumsum()
    window, ends, peak = torch.from_numpy(x)[None], np.array([120]), np.abs(x).max()
    ridge = 0.3  # for each of 2 (N - p) equations; the library has the sum, in squared peaks
    ours = predict(x, linear_prediction_weights(x, 20, ridge), ends, 15)
    expected = linear_prediction(20, ridge=2 * (120 - 20) * ridge / peak**2)(window, 15)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-6)
    ours = predict(x, burg_weights(x, 30), ends, 15)
    np.testing.assert_allclose(ours, autoregression(most=30)(window, 15).numpy(), rtol=1e-6)


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
def test_the_answer_carries_the_index_on(kind):
    index = INDEXES[kind]
    ahead = forecast(pd.Series(TIDE[:50], index[:50]), 3)
    pd.testing.assert_index_equal(ahead.index, index[50:], exact=False, check_exact=False, check_freq=False)
    assert ahead.to_numpy() == pytest.approx(forecast(TIDE[:50], 3).to_numpy())


def test_labels_go_on_as_positions():
    named = pd.Series(TIDE[:50], [f"run {number}" for number in range(50)])
    assert forecast(named, 3).index.tolist() == [50, 51, 52]


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, pd.Series, lambda x: pd.Series(x, dtype="Float64"), lambda x: pd.Series(x, dtype=object)],
)
def test_every_kind_of_series_has_the_same_forecast(kind):
    assert forecast(kind(TIDE[:50]), 5).to_numpy() == pytest.approx(forecast(TIDE[:50], 5).to_numpy())


@pytest.mark.parametrize("scale, shift", [(1000, 0), (-1e-3, 7), (1, 1e6)])
def test_unit_and_origin_are_of_no_consequence(scale, shift):
    """The origin is where all samples are positive and vary much: then their logarithms are forecast, too."""
    noisy = TIDE[:50] - 12 + np.random.default_rng(1).standard_normal(50)
    ours, theirs = forecast(scale * noisy + shift, 5), scale * forecast(noisy, 5) + shift
    ours, theirs = (np.sort(ends[["lo-80", "hi-80"]], axis=1) for ends in (ours, theirs))  # a negative unit turns them
    assert ours == pytest.approx(theirs, abs=1e-6 * abs(scale))


def drawn(count, length, components, periods, noise_std, name):
    """(count, length) observed and clean signals of mean 0 and no trend, after a lookback of all but 10 samples."""
    process = HarmonicProcess(components, periods, False, noise_std)
    stream = random_stream(0, f"series, {name}")
    return process.sample(count, length, length - 10, generator=stream, dtype=torch.float64)


def test_a_line_alone_runs_on():
    ahead = forecast(0.5 * np.arange(60) + 3 + 1e-3 * np.random.default_rng(0).standard_normal(60), 5)
    assert ahead["mean"].to_numpy() == pytest.approx(0.5 * np.arange(60, 65) + 3, abs=5e-3)


def test_intervals_cover_the_samples_that_will_be_observed():
    batch = drawn(24, 160, (1, 10), (2, 99), 0.1, "coverage")
    inside: dict[int, list] = {80: [], 95: []}
    for observed in batch.observed.numpy():
        ahead = forecast(2 + observed[:150], 10)
        for level, known in inside.items():
            known.append(ahead[f"lo-{level}"].le(2 + observed[150:]) & ahead[f"hi-{level}"].ge(2 + observed[150:]))
    assert 0.72 < np.mean(inside[80]) < 0.88
    assert 0.9 < np.mean(inside[95]) < 0.995


@pytest.fixture(scope="module")
def walk():
    return np.random.default_rng(3).standard_normal(300).cumsum()


LEVELS = (50, 80, 90, 95, 97.5, 99, 99.9)


@pytest.mark.parametrize("length", [3, 10, 24, 60, 300])
@pytest.mark.filterwarnings("ignore:series has:UserWarning")
def test_intervals_nest_at_every_level(walk, length):
    ahead = forecast(walk[:length], 20, LEVELS)
    widths = np.array([ahead[f"hi-{level}"] - ahead[f"lo-{level}"] for level in LEVELS])
    assert (np.diff(widths, axis=0) >= 0).all() and (widths > 0).all()
    if length == 300:
        assert (widths[-1] > 1.05 * widths[-2]).all()  # no level falls back to another method


@pytest.mark.parametrize("length", [30, 300])
def test_a_longer_horizon_changes_no_earlier_step(walk, length):
    longer = forecast(walk[:length], 250)
    for horizon in (1, 7, 40):
        pd.testing.assert_frame_equal(forecast(walk[:length], horizon), longer.iloc[:horizon], rtol=1e-9, atol=1e-9)


def test_a_forecast_says_how_it_was_made(walk):
    made = forecast(walk, 5).attrs
    assert sum(made["weights"].values()) == pytest.approx(1, abs=0.1)
    assert made["samples"] == 300 and made["origins"] == 40 and "conformal" in made["interval"]


def test_points_alone_are_the_same_points(walk):
    assert forecast(walk, 5, level=None).columns.tolist() == ["mean"]
    assert forecast(walk, 5, None)["mean"].equals(forecast(walk, 5)["mean"])


def test_coverage_still_works_with_a_warning(walk):
    with pytest.warns(DeprecationWarning, match="use level=90"):
        ahead = forecast(walk, 5, coverage=0.9)
    assert ahead.columns.tolist() == ["mean", "low", "high"]
    assert ahead["low"].equals(forecast(walk, 5, 90)["lo-90"])


def test_a_season_that_is_given_is_tried():
    """Three courses of a season of 40 samples, each repeated: longer than what the autocorrelation reaches."""
    course = np.random.default_rng(4).standard_normal(40)
    noisy = np.tile(course, 4) + 0.05 * np.random.default_rng(5).standard_normal(160)
    told, ahead = forecast(noisy[:110], 40, seasons=40), noisy[110:150]
    assert any(name.startswith("season 40") for name in told.attrs["weights"])
    assert np.abs(told["mean"] - ahead).mean() < 0.15


def test_periods_that_are_given_help():
    """Two pairs of lines that 250 samples do not resolve, beside coloured noise: 24 hours, on average over series."""
    hours, periods = np.arange(274), [12.42, 12.0, 25.82, 23.93]
    errors = {"given": [], "nothing": []}
    for seed in range(8):
        stream = np.random.default_rng(seed)
        phases, noise = stream.uniform(0, 2 * np.pi, 4), stream.standard_normal(274)
        tide = np.cos(2 * np.pi * hours[:, None] / periods + phases) @ [1, 0.4, 0.3, 0.3]
        for hour in range(1, 274):
            noise[hour] += 0.9 * noise[hour - 1]
        series = tide + 0.1 * noise
        for known, told in (("given", periods), ("nothing", None)):
            ahead = forecast(series[:250], 24, level=None, periods=told)["mean"]
            errors[known].append(np.abs(ahead - series[250:]).mean())
    assert np.mean(errors["given"]) < 0.95 * np.mean(errors["nothing"])


ODD = {
    "zeros and a step": [0] * 30 + [1] * 30,
    "a fee that rises": [9.99] * 36 + [12.99] * 12,
    "a hump": list(1000 * np.exp(-0.5 * ((np.arange(60) - 20) / 3) ** 2)),
    "an epidemic": list(1e6 / (1 + np.exp(-(np.arange(60) - 30) / 2))),
    "an outlier at the end": [2] * 99 + [3],
    "an impulse": [1] + [0] * 59,
    "a fall": [7] * 95 + [2] * 5,
    "zeros, then counts": [0] * 50 + list(np.random.default_rng(0).poisson(40, 14)),
    "zeros, then prices": [0.0] * 50 + list(100 + np.random.default_rng(0).standard_normal(14).cumsum()),
    "impulses": ([0] * 9 + [1]) * 8,
    "a ramp that stops": list(range(50)) + [50] * 20,
    "large steps": list(1000 * np.repeat(np.arange(6), 10)),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_series_have_forecasts_of_their_size(what):
    series = np.array(ODD[what], dtype=float)
    ahead = forecast(series, 12, (50, 80, 95, 99))
    size = np.ptp(series)
    assert np.isfinite(ahead).all(axis=None)
    assert ahead["mean"].between(series.min() - size, series.max() + size).all()
    assert (ahead["hi-99"] - ahead["lo-99"]).max() <= 6 * size
    if np.ptp(series[-12:]) > 0 and what not in ("impulses", "large steps"):  # which repeat, without error
        assert (ahead["hi-80"] > ahead["lo-80"]).any()


@pytest.mark.parametrize("value", [0, 7.5, -1e6])
def test_a_constant_goes_on_with_a_warning(value):
    with pytest.warns(UserWarning, match="series is constant"):
        assert (forecast([value] * 40, 3) == value).all(axis=None)


def test_three_samples_have_a_forecast_and_a_warning():
    with pytest.warns(UserWarning, match="series has 3 samples, too few"):
        ahead = forecast([1.0, 2.0, 4.0], 5)
    assert (ahead["lo-80"] < ahead["mean"]).all() and (ahead["mean"] > 2).all()


def test_counts_do_not_become_negative():
    counts = np.random.default_rng(1).poisson(0.5, 100)
    ahead = forecast(counts, 10, 99)
    assert (ahead["lo-99"] == 0).all() and (forecast(counts - 1, 10, 99)["lo-99"] < -1).all()


def holes(count: int) -> np.ndarray:
    """Which of the first 150 hours are observed; the first and the last ones are."""
    seen = np.ones(150, dtype=bool)
    seen[np.random.default_rng(2).choice(np.arange(1, 149), count, replace=False)] = False
    return seen


@pytest.mark.parametrize("count, error", [(15, 0.05), (75, 0.3)])
def test_samples_may_be_missing(count, error):
    holed = np.where(holes(count), TIDE[:150], math.nan)
    with pytest.warns(UserWarning, match=f"{count} of 150 samples of series are missing"):
        ahead = forecast(holed, 10)
    assert np.abs(ahead["mean"] - TIDE[150:]).max() < error


@pytest.mark.parametrize("dtype", ["Float64", object])
def test_missing_samples_of_any_kind_are_missing(dtype):
    missing = pd.Series(TIDE[:50]).where(np.arange(50) % 7 != 3)
    nullable = missing.astype("Float64").astype(dtype)
    assert nullable.isna().sum() == 7 and nullable[3] is pd.NA
    with pytest.warns(UserWarning, match="7 of 50 samples of series are missing"):
        assert forecast(nullable, 3).to_numpy() == pytest.approx(forecast(missing, 3).to_numpy())


class Foreign:
    """A series or a table of another library."""

    def __init__(self, table):
        self.table = table

    def to_pandas(self):
        return self.table


def test_tables_of_other_libraries_are_converted():
    series = pd.Series(TIDE[:50], pd.period_range("2020-01", periods=50, freq="M"))
    pd.testing.assert_frame_equal(forecast(Foreign(series), 3), forecast(series, 3))
    with pytest.warns(UserWarning, match="short: its forecast is NaN"):
        pd.testing.assert_frame_equal(forecast(Foreign(long_table()), 3), forecast(long_table(), 3))


def test_rows_that_are_absent_are_missing_samples():
    hours, seen = pd.date_range("2024", periods=160, freq="h"), holes(40)
    holed = pd.Series(np.where(seen, TIDE[:150], math.nan), hours[:150])
    with pytest.warns(UserWarning, match="40 of 150 samples"):
        pd.testing.assert_frame_equal(forecast(holed[seen], 10), forecast(holed, 10), check_freq=False)


def test_samples_missing_at_the_end_are_forecast_as_well():
    late = np.r_[TIDE[:140], [math.nan] * 5]
    with pytest.warns(UserWarning, match="5 of 145 samples"):
        ahead = forecast(late, 4)
    assert ahead.to_numpy() == pytest.approx(forecast(TIDE[:140], 9).to_numpy()[5:])
    assert ahead.index.tolist() == [145, 146, 147, 148]


def test_trading_days_go_on_as_business_days():
    ahead = forecast(load_measured("oil"), 10)
    assert (ahead.index == pd.bdate_range(load_measured("oil").index[-1], periods=11)[1:]).all()


def test_seconds_rounded_to_a_millionth_go_on():
    chord = load_measured("guitar")
    ahead = forecast(chord.iloc[:-48], 48)
    assert ahead.index.to_numpy() == pytest.approx(chord.index[-48:].to_numpy(), abs=2e-5)
    assert np.abs(ahead["mean"].to_numpy() - chord.to_numpy()[-48:]).mean() < 0.3 * chord.std()


def long_table() -> pd.DataFrame:
    days = pd.date_range("2024", periods=60)
    good = pd.DataFrame({"unique_id": "tide", "ds": days, "y": TIDE[:60]})
    return pd.concat([good, pd.DataFrame({"unique_id": "short", "ds": days[:2], "y": 1.0})])


def test_a_bad_series_among_several_is_nan_with_a_warning():
    with pytest.warns(UserWarning, match="short: its forecast is NaN, because series must have at least 3 samples"):
        ahead = forecast(long_table(), 3)
    tide = ahead[ahead["unique_id"] == "tide"]
    alone = forecast(pd.Series(TIDE[:60], pd.date_range("2024", periods=60)), 3)
    assert tide["mean"].to_numpy() == pytest.approx(alone["mean"].to_numpy())
    assert (tide["ds"].to_numpy() == alone.index.to_numpy()).all()
    assert ahead.loc[ahead["unique_id"] == "short", "mean":].isna().all(axis=None)
    assert len(ahead) == 6


def test_columns_are_series_of_their_own():
    wide = pd.DataFrame({"tide": TIDE[:60], "names": "a", "constant": 1.0}, pd.date_range("2024", periods=60))
    with pytest.warns(UserWarning) as caught, parallel_config("threading", n_jobs=2):
        ahead = forecast(wide, 3, level=90)
    messages = [str(warning.message) for warning in caught]
    assert any("names: its forecast is NaN, because series must hold real numbers" in message for message in messages)
    assert ahead["tide", "mean"].notna().all() and ahead["names"].isna().all(axis=None)
    assert (ahead["constant", "mean"] == 1).all()


def test_a_forecast_draws_itself_after_its_series():
    plt = pytest.importorskip("matplotlib.pyplot")
    days = pd.date_range("2024", periods=60)
    for index in (days, days.to_period(), pd.RangeIndex(60)):
        _, other = plt.subplots()
        axes = forecast(pd.Series(TIDE[:60], index), 5).plot(samples=20)
        assert axes is not other
        series, line = axes.get_lines()
        assert series.get_ydata() == pytest.approx(TIDE[40:60])
        assert len(line.get_xdata()) == 5 and len(axes.collections) == 2
        assert line.get_xdata()[0] - series.get_xdata()[-1] == line.get_xdata()[1] - line.get_xdata()[0]
        plt.close("all")


def test_a_forecast_draws_the_spectrum_with_the_periods_of_its_peaks():
    plt = pytest.importorskip("matplotlib.pyplot")
    time = np.arange(300)
    waves = np.sin(2 * np.pi * time / 30) + 0.3 * np.sin(2 * np.pi * time / 8.6)
    waves += 0.1 * np.random.default_rng(0).normal(size=300)
    waves[100:110] = np.nan
    with pytest.warns(UserWarning, match="missing"):
        ahead = forecast(waves, 5)
    strongest = ahead.spectrum().nlargest(1).index[0]
    assert strongest == pytest.approx(30, rel=0.03)
    below = ahead.plot().figure.axes[1]
    periods = [float(text.get_text()) for text in below.texts]
    assert len(periods) == 3 and periods[:2] == pytest.approx([30, 8.6], rel=0.03)
    plt.close("all")


def test_dates_that_fall_are_answered_with_a_warning():
    falling = pd.Series(TIDE[:50], pd.date_range("2024-01-01", periods=50)[::-1])
    with pytest.warns(UserWarning, match="into the past"):
        ahead = forecast(falling, 2)
    assert ahead.index.tolist() == [pd.Timestamp("2023-12-31"), pd.Timestamp("2023-12-30")]


@pytest.mark.parametrize("number", [np.array, torch.tensor, np.float32])
def test_horizon_and_level_may_be_numbers_of_any_type(number):
    whole = torch.tensor if number is torch.tensor else np.array
    pd.testing.assert_frame_equal(forecast(TIDE[:50], whole(3), number(75)), forecast(TIDE[:50], 3, 75))


UNEQUAL = {
    "in no order": pd.DatetimeIndex(["2024", "2023"] * 25),
    "at times of no grid": pd.DatetimeIndex(np.random.default_rng(0).integers(0, 10**18, 50)).sort_values(),
    "numbers too coarse for their steps": (1.7e9 + np.arange(50) / 10).astype(np.float32),
    "one number": np.zeros(50),
    "the last periods": pd.PeriodIndex.from_ordinals(np.arange(2**63 - 52, 2**63 - 2), freq="D"),
}


@pytest.mark.parametrize("kind", UNEQUAL)
def test_an_index_without_equal_steps_or_with_an_end_is_refused(kind):
    with pytest.raises(ValueError, match="index of equal steps that can be continued"):
        forecast(pd.Series(TIDE[:50], UNEQUAL[kind]), 5)


GAPS = {  # of 50 samples, and how many are missing
    "in time": (pd.date_range("2024", periods=70)[np.r_[:30, 40:60]], 10),
    "before the last number": (np.r_[:49, 60], 11),
    "after the first number": (np.r_[-1.0, 1:50], 1),
    "in periods": (pd.period_range("2024", periods=51, freq="D").delete(7), 1),
    "in months": (pd.date_range("2020", periods=52, freq="MS").delete([5, 6]), 2),
    "in summer time": (pd.date_range("2024-03-30", periods=53, freq="h", tz="Europe/Berlin").delete([3, 30, 31]), 3),
}


@pytest.mark.parametrize("kind", GAPS)
def test_gaps_of_an_index_are_counted(kind):
    index, count = GAPS[kind]
    with pytest.warns(UserWarning, match=f"{count} of {50 + count} samples of series are missing"):
        ahead = forecast(pd.Series(TIDE[:50], index), 1)
    assert ahead.index[0] > index[-1]


@pytest.mark.parametrize(
    "bad, message",
    [
        ([*TIDE[:40], math.inf], "series must be finite, got inf at position 40"),
        ([1.0, 2.0, 3.0, *[None] * 4], "at least half of its samples, got 3 of 7"),
        ([], "series must have at least 3 samples, got 0"),
        ([1.0, 2.0], "series must have at least 3 samples, got 2"),
        ([None] * 9, "series must have at least 3 samples, got 0"),
        (np.zeros(30, dtype=[("height", float), ("error", float)]), "real numbers, got records with the fields height"),
        (pd.Series, "series must have one dimension, got type of shape"),
        (pd.DataFrame(), "a table of at least one series, got shape"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_words(bad, message):
    with pytest.raises(ValueError, match=message):
        forecast(bad, 5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"level": 0.9}, "in percent, from 1 to less than 100, such as 90, got 0.9"),
        ({"level": [80, "95"]}, "level must be None, a percentage or several"),
        ({"coverage": 90}, "coverage must be a number between 0 and 1"),
        ({"seasons": [24, 7.5]}, "seasons must be whole numbers of samples from 2 to 1,000,000, got 7.5"),
        ({"periods": "tides"}, "periods must be None or numbers of samples"),
    ],
)
@pytest.mark.filterwarnings("ignore:coverage is deprecated")
def test_arguments_out_of_range_are_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        forecast(TIDE[:50], 5, **arguments)
