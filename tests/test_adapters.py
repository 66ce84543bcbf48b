"""Adapters: the hosts' own checks, and forecasts that are those of ``forecast``; run by make adapters."""

import pickle
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch

from harmonics_lib import check_forecaster, forecast
from harmonics_lib.adapters import host_of, model_forecaster
from harmonics_lib.adapters import sklearn as of_sklearn

DAYS = pd.date_range("2024-01-01", periods=96, freq="D")
SERIES = pd.Series(10 + np.sin(np.arange(96) / 3) + 0.1 * np.random.default_rng(0).normal(size=96), DAYS, name="y")
AHEAD = forecast(SERIES, 5, (80, 95))


def models() -> dict:
    """A model of each host that is installed."""
    made = {"sklearn": of_sklearn.HarmonicEstimator()}
    for host, name in {"sktime": "HarmonicForecaster", "statsforecast": "Harmonic", "darts": "HarmonicModel"}.items():
        if find_spec(host):
            module = import_module(f"harmonics_lib.adapters.{host}")
            made[host] = getattr(module, name)()
    return made


@pytest.mark.parametrize("host", ["sklearn", "sktime", "statsforecast", "darts"])
def test_check_forecaster_accepts_a_model_of_a_host_as_it_comes(host):
    model = models().get(host) or pytest.skip(f"{host} is not installed")
    assert host_of(model) == host
    check_forecaster(model, length=30, horizon=3)
    ahead = model_forecaster(model)(torch.from_numpy(SERIES.to_numpy())[None], 5)
    assert ahead[0].numpy() == pytest.approx(forecast(SERIES.to_numpy(), 5)["mean"].to_numpy())


def test_what_is_no_model_of_a_host_is_named():
    with pytest.raises(ValueError, match=r"one of darts, statsforecast, sktime.* sklearn, got 3"):
        model_forecaster(3)


def test_an_estimator_is_tuned_by_grid_search_over_time_cloned_and_pickled():
    selection = pytest.importorskip("sklearn.model_selection")
    search = selection.GridSearchCV(
        of_sklearn.HarmonicEstimator(),
        {"method": ["forecast", "persistence"]},
        cv=selection.TimeSeriesSplit(2, test_size=5),
        error_score="raise",
    ).fit(SERIES)
    best = pickle.loads(pickle.dumps(search.best_estimator_))
    assert best.method == "forecast" and (best.predict(5, (80, 95)) == AHEAD).all(axis=None)


def test_a_forecaster_of_windows_is_a_method_and_one_without_intervals_says_so():
    model = of_sklearn.HarmonicEstimator("lines with width").fit(SERIES)
    table = model.predict(5, 90)
    assert (table["lo-90"] < table["mean"]).all() and table.index.equals(AHEAD.index)
    with pytest.raises(ValueError, match="must have intervals where a level is asked for"):
        of_sklearn.HarmonicEstimator("persistence").fit(SERIES).predict(5, 90)
    with pytest.raises(ValueError, match="method must be"):
        of_sklearn.HarmonicEstimator("none").fit(SERIES).predict(5)


def test_sktime_passes_the_checks_of_its_host():
    checks = pytest.importorskip("sktime.utils.estimator_checks")
    from harmonics_lib.adapters.sktime import HarmonicForecaster

    results = checks.check_estimator(HarmonicForecaster, raise_exceptions=True, verbose=False)
    assert len(results) > 100 and set(results.values()) == {"PASSED"}


def test_sktime_gives_intervals_quantiles_and_the_steps_that_are_asked_for():
    pytest.importorskip("sktime")
    from harmonics_lib.adapters.sktime import HarmonicForecaster

    fitted = HarmonicForecaster().fit(SERIES.mask(np.arange(96) == 50))
    assert fitted.predict(fh=[2, 5]).index.tolist() == [DAYS[-1] + pd.Timedelta(f"{step}D") for step in (2, 5)]
    fitted = HarmonicForecaster().fit(SERIES)
    ends = fitted.predict_interval(fh=[1, 5], coverage=[0.8, 0.95])["y"]
    assert ends[0.95]["upper"].to_numpy() == pytest.approx(AHEAD["hi-95"].iloc[[0, 4]])
    assert fitted.predict_quantiles(fh=[1], alpha=[0.1, 0.5])["y"].to_numpy()[0] == pytest.approx(
        AHEAD[["lo-80", "mean"]].iloc[0]
    )
    with pytest.raises(NotImplementedError):
        fitted.predict(fh=[-1])


def test_statsforecast_cross_validates_two_hundred_series_in_parallel():
    statsforecast = pytest.importorskip("statsforecast")
    from statsforecast.models import SeasonalNaive

    from harmonics_lib.adapters.statsforecast import Harmonic

    parts = [pd.DataFrame({"unique_id": name, "ds": DAYS, "y": SERIES.to_numpy() + name}) for name in range(200)]
    host = statsforecast.StatsForecast([Harmonic(), SeasonalNaive(7)], freq="D", n_jobs=2)
    table = host.cross_validation(df=pd.concat(parts), h=5, level=[80])
    assert len(table) == 1000 and (table["Harmonic-lo-80"] < table["Harmonic"]).all()
    error = (table[["Harmonic", "SeasonalNaive"]].sub(table["y"], axis=0)).abs().mean()
    assert error["Harmonic"] < error["SeasonalNaive"]


def test_statsforecast_gets_levels_and_fitted_values():
    statsforecast = pytest.importorskip("statsforecast")
    from harmonics_lib.adapters.statsforecast import Harmonic

    frame = pd.DataFrame({"unique_id": "one", "ds": DAYS, "y": SERIES.to_numpy()})
    host = statsforecast.StatsForecast([Harmonic()], freq="D")
    ahead = host.forecast(df=frame, h=5, level=[80, 95], fitted=True)
    assert ahead["Harmonic-hi-95"].to_numpy() == pytest.approx(forecast(SERIES.to_numpy(), 5)["hi-95"].to_numpy())
    fitted = host.forecast_fitted_values()
    assert (fitted["Harmonic"] - fitted["y"]).abs().mean() < 0.2
    assert (host.fit(df=frame).predict(h=5)["Harmonic"] == ahead["Harmonic"]).all()


def test_darts_backtests_and_samples():
    darts = pytest.importorskip("darts")
    from harmonics_lib.adapters.darts import HarmonicModel

    series = darts.TimeSeries.from_series(SERIES)
    model = HarmonicModel()
    past = model.historical_forecasts(series, start=80, forecast_horizon=3)
    assert len(past) > 10 and model.backtest(series, start=80, forecast_horizon=3) < 5  # percent
    assert model.fit(series).predict(4, num_samples=20).all_values().shape == (4, 1, 20)
