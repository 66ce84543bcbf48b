"""The measured series: what is known of each is seen in it, windows are followed by what followed."""

import numpy as np
import pytest
import torch

from experiments import tides
from experiments.measured import methods
from harmonics_lib import linear_prediction, load_table, persistence
from harmonics_lib.evaluation.measured import MEASURED, load_measured, measured_windows, relative_errors
from harmonics_lib.forecasters.wrappers import linear_detrending
from harmonics_lib.paths import data_dir


def test_every_file_is_a_series_and_says_where_it_is_from():
    described = (data_dir() / "README.md").read_text()
    files = sorted(data_dir().glob("*.csv"))
    assert {file.stem for file in files} == {*MEASURED, "tide"}
    assert all(f"`{file.name}`" in described for file in files)
    assert sum(file.stat().st_size for file in files) < 1e6


def test_the_tide_is_a_year_of_hours_whose_strongest_line_is_that_of_the_moon():
    hours = tides.level()
    assert len(hours) == 8784 and hours.notna().all() and (np.diff(hours.index) == np.timedelta64(1, "h")).all()
    power = np.abs(np.fft.rfft(hours - hours.mean()))
    assert len(hours) / power.argmax() == pytest.approx(
        min(tides.PERIODS, key=lambda period: abs(period - 12.42)), abs=0.02
    )


def test_every_method_has_forecast_the_tide_from_every_origin():
    counted = load_table("tides").groupby(["method", "days", "horizon"]).size()
    assert set(counted.index.get_level_values("method")) == set(tides.METHODS)
    for horizon, count in tides.HORIZONS.items():
        assert (counted.xs(horizon, level="horizon") == count).all()
        assert len(counted.xs(horizon, level="horizon")) == len(tides.METHODS) * len(tides.DAYS)


@pytest.mark.parametrize("name", MEASURED)
def test_samples_are_at_equal_distances_and_none_is_missing(name):
    series = load_measured(name)
    assert series.notna().all()
    if name == "oil":  # trading days
        assert series.index.is_monotonic_increasing and (np.diff(series.index) <= np.timedelta64(6, "D")).all()
    else:
        steps = np.diff(series.index)
        assert (steps > 0 * steps).all() and steps.max() - steps.min() <= abs(steps.min()) * 0.01


@pytest.mark.parametrize(
    ("name", "period"),
    [("guitar", 66.9), ("polar_motion", 14.4), ("carbon_dioxide", 13.04), ("electricity", 24), ("sunspots", 11)],
)
def test_what_repeats_is_where_it_is_known_to_be(name, period):
    """The strongest line of the spectrum, the trend taken out, within a bin: the chord's is one of its strings'."""
    values = np.diff(load_measured(name).to_numpy())
    power = np.abs(np.fft.rfft(values * np.hanning(len(values)))) ** 2
    around = slice(int(len(values) / period * 0.9), int(len(values) / period * 1.1) + 2)
    found = len(values) / (around.start + power[around].argmax())
    assert abs(1 / found - 1 / period) < 1.5 / len(values) + 0.02 / period
    assert power[around].max() > 30 * np.median(power)


@pytest.mark.parametrize("name", MEASURED)
def test_both_lookbacks_are_followed_by_the_same_samples(name):
    past, future = measured_windows(name)
    longer, same = measured_windows(name, MEASURED[name].long)
    assert torch.equal(future, same) and torch.equal(past, longer[:, -100:])
    values = load_measured(name).to_numpy()
    joined = torch.cat([past, future], dim=1)[-1].numpy()
    assert np.array_equal(joined, values[len(values) - len(joined) :])


def test_an_error_of_one_is_the_variance_of_the_window():
    past = torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=torch.float64) + 5
    errors = relative_errors(lambda x, horizon: torch.zeros(len(x), horizon, dtype=x.dtype), past, past[:, :2])
    assert torch.allclose(errors, torch.ones(1, 2, dtype=torch.float64))
    assert relative_errors(persistence(), past, past[:, :2])[0].tolist() == [4.0, 0.0]


def test_an_unknown_series_and_a_window_that_does_not_fit_are_refused():
    with pytest.raises(ValueError, match="name must be one of guitar"):
        load_measured("star")
    with pytest.raises(ValueError, match="must fit the 309 samples of sunspots"):
        measured_windows("sunspots", 300)


def test_a_line_that_is_taken_out_is_put_back():
    time = torch.arange(124, dtype=torch.float64)
    series = (3 + 0.5 * time + (2 * np.pi * time / 10).sin())[None]
    ahead = linear_detrending(linear_prediction(ridge=0))(series[:, :100], 24)
    assert torch.allclose(ahead, series[:, 100:], atol=1e-6)
    assert torch.allclose(linear_detrending(persistence())(3 + 0.5 * time[None, :100], 24), 3 + 0.5 * time[None, 100:])


def test_the_published_errors_are_those_of_every_method_on_every_series():
    table = load_table("measured")
    for (name, lookback), part in table.groupby(["series", "lookback"]):
        windows = len(measured_windows(name)[0])
        assert set(part.method) == set(methods(name, lookback))
        assert (part.groupby(["method", "horizon"]).size() == windows).all()
    assert set(table.series) == set(MEASURED) and np.isfinite(table.error).all()
    assert load_table("measured_one_step").groupby("series").size().to_dict() == dict.fromkeys(sorted(MEASURED), 100)
