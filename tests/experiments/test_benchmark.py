"""The benchmark of the world: scores by their definitions, halves that share nothing, published scores that agree."""

import numpy as np
import pandas as pd
import pytest

from experiments.benchmark import series
from experiments.benchmark.methods import METHODS, seasonal_naive
from experiments.benchmark.scoring import confidence_set, interval_score, naive_scale, ratio, relative_mase, score
from experiments.benchmark.series import Series
from experiments.benchmark.tables import score_window
from harmonics_lib.paths import build_dir

LIST = pd.read_csv(series.LIST, keep_default_na=False, dtype=str)
RISING = pd.Series(np.arange(40.0) + 5 * (np.arange(40) % 4))  # a season of 4, and 4 more every season


def one(values: pd.Series) -> Series:
    return Series("one", "quarterly", values, (4,), 8, series.origins(values, 8))


def test_the_seasonal_naive_forecast_has_a_relative_mase_of_one():
    noisy = RISING + np.random.default_rng(0).normal(size=40)
    scored = relative_mase(lambda past, horizon: seasonal_naive(past, horizon, (4,)), {"one": one(noisy)})
    assert scored["relative"].item() == 1
    twice = relative_mase(lambda past, horizon: np.full(horizon, 1e6), {"one": one(noisy)})
    assert twice["relative"].item() > 1000


def test_mase_is_in_units_of_the_change_from_season_to_season():
    past, future = RISING[:32], RISING[32:]
    assert naive_scale(past.to_numpy(), 4) == 4
    naive = score(past, future, (4,), seasonal_naive(past, 8, (4,)))
    assert naive["mase"] == pytest.approx((4 + 8) / 2 / 4)  # it misses by 4, then by 8
    drift = score(past, future, (4,), seasonal_naive(past, 8, (4,), drift=True))
    assert drift["mase"] == 0 and drift["cover90"] == 1 and drift["msis"] == 0


def test_the_interval_score_is_the_width_and_twenty_times_what_is_missed():
    future = np.array([1.0, 2.0, 4.0])
    assert interval_score(future, np.zeros(3), np.full(3, 3.0), 0.9) == pytest.approx(3 + 20 * 1 / 3)


def test_naive_intervals_hold_what_they_say_on_a_random_walk():
    walks = np.random.default_rng(1).normal(size=(400, 120)).cumsum(axis=1)
    scores = [score(pd.Series(w[:100]), pd.Series(w[100:]), (1,), seasonal_naive(pd.Series(w[:100]), 20, (1,)))
              for w in walks]  # fmt: skip
    covered = pd.DataFrame(scores)[["cover80", "cover90", "cover95"]].mean()
    assert covered.tolist() == pytest.approx([0.8, 0.9, 0.95], abs=0.03)


def test_a_ratio_is_a_geometric_mean_inside_its_interval():
    assert ratio(np.array([2.0, 8.0]), np.ones(2))[0] == pytest.approx(4)
    errors = np.random.default_rng(2).lognormal(size=50)
    middle, low, high = ratio(errors, np.ones(50))
    assert low < middle < high and ratio(errors, errors) == (1, 1, 1)


def test_a_model_confidence_set_keeps_the_best_and_drops_what_is_clearly_worse():
    pytest.importorskip("arch")
    common = np.random.default_rng(3).normal(size=(67, 1))
    losses = pd.DataFrame(common + 0.2 * np.random.default_rng(4).normal(size=(67, 3)), columns=["a", "b", "worse"])
    values = confidence_set(losses.add([0, 0.01, 0.3]))
    assert values[["a", "b"]].min() > 0.1 > 0.01 > values["worse"]


def test_what_a_library_gives_up_is_scored_as_seasonal_naive_and_counted(monkeypatch):
    past, future = RISING[:32], RISING[32:]
    monkeypatch.setitem(METHODS, "broken", METHODS["seasonal naive"].__class__("x", "season", "", lambda *_: 1 / 0))
    broken, naive = (score_window(name, past, future, (4,)) for name in ("broken", "seasonal naive"))
    assert (broken.pop("failed"), naive.pop("failed")) == (1, 0)
    assert {**broken, "seconds": 0} == {**naive, "seconds": 0}


def test_origins_leave_a_horizon_and_are_a_tenth_or_a_horizon_apart():
    assert series.origins(pd.Series(np.zeros(1000)), 24) == (673, 774, 875, 976)
    assert series.origins(pd.Series(np.zeros(120)), 24) == (72, 96)
    assert series.origins(pd.Series(np.zeros(72)), 12) == (60,)


def test_the_halves_share_no_table_and_all_classes():
    tables = {half: set(rows["package"] + "/" + rows["file"]) for half, rows in LIST.groupby("half")}
    assert not tables["development"] & tables["test"] and LIST["name"].is_unique
    counts = LIST.groupby(["half", "kind"]).size().unstack(level="half")
    assert counts["development"].sum() == 67 and counts["test"].sum() >= 30 and (counts["test"] >= 3).all()


def passages(known: Series, length: int = 12) -> set[bytes]:
    """All passages of 12 samples, most of which change."""
    values = known.values.to_numpy().round(6)
    changes = np.convolve(np.diff(values) != 0, np.ones(length - 1), "valid")
    return {values[start : start + length].tobytes() for start in np.flatnonzero(changes > 6)}


def test_series_have_the_values_that_were_scored_and_no_test_series_holds_a_passage_of_another():
    if not (build_dir() / "benchmark" / "packages").exists():
        pytest.skip("make benchmark fetches the packages that hold the series")
    development, test = series.development(), series.test()
    assert len(development) == 67 and sum(len(known.origins) for known in development.values()) == 211
    seen = set().union(*map(passages, development.values()))
    assert {name for name, known in test.items() if passages(known) & seen} == set()
    assert passages(development["a10"]) <= seen


def test_values_that_differ_from_the_list_are_refused():
    row = next(LIST[LIST["package"] == "data"].itertuples(index=False))
    assert series._series(row).name == row.name
    with pytest.raises(ValueError, match=f"{row.name} must have the values of the benchmark"):
        series._series(row._replace(checksum="0" * 16))
