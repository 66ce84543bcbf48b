"""The benchmark of the world: scores by their definitions, halves that share nothing, published scores that agree."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from experiments.benchmark import series
from experiments.benchmark.expected import QUANTITIES, expected
from experiments.benchmark.methods import METHODS, seasonal_naive
from experiments.benchmark.scoring import confidence_set, interval_score, naive_scale, ratio, relative_mase, score
from experiments.benchmark.series import Series
from experiments.benchmark.tables import score_window
from harmonics_lib.paths import build_dir
from harmonics_lib.published.tables import TABLES, load_table

LIST = pd.read_csv(series.LIST, keep_default_na=False, dtype=str)
HALVES = [half for half in ("development", "test") if f"benchmark_{half}_summary" in TABLES]
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


@pytest.mark.parametrize("half", HALVES)
def test_published_scores_are_those_of_every_method_on_every_series_of_a_half(half):
    rows, names = load_table(f"benchmark_{half}"), LIST.loc[LIST["half"] == half, "name"]
    assert sorted(zip(rows["method"], rows["series"], strict=True)) == sorted(product(METHODS, names))
    assert np.isfinite(rows["mase"]).all() and rows["failed"].between(0, 4).all()


@pytest.mark.parametrize("half", HALVES)
def test_published_summaries_follow_from_the_scores(half):
    rows, kinds = load_table(f"benchmark_{half}"), LIST.set_index("name")["kind"]
    logs = np.log(rows.pivot(index="series", columns="method", values="mase"))
    for kind, summary in load_table(f"benchmark_{half}_summary").set_index("method").groupby("kind"):
        part = logs if kind == "all" else logs[kinds[logs.index] == kind]
        assert set(summary.index) == set(METHODS) and (summary["series"] == len(part)).all()
        relative = np.exp(part.sub(part["seasonal naive"], axis=0).mean())[summary.index]
        assert np.allclose(summary["relative"], relative, rtol=2e-3)
        assert np.allclose(summary["of_ours"], relative["forecast"] / relative, rtol=2e-3)
        for name, (low, high) in {"relative": ("low", "high"), "of_ours": ("of_ours_low", "of_ours_high")}.items():
            assert summary[name].between(0.999 * summary[low], 1.001 * summary[high]).all()


def test_what_is_expected_of_other_series_is_sure_where_all_series_agree_and_vague_where_few_are_known():
    def scores(errors):
        rows = pd.DataFrame(product(METHODS, "ab", range(20)), columns=["method", "kind", "place"])
        own = rows["method"] == "forecast"
        return rows.assign(
            series=rows["kind"] + rows["place"].astype(str),
            mase=np.where(own, errors[rows["place"]], 1.0),
            **dict.fromkeys(("msis", "cover80", "cover90", "cover95"), 0.9),
        )

    same = expected(scores(np.full(20, 0.5)), {"a": 3, "b": 5}, draws=50)
    assert list(same.index) == QUANTITIES and np.allclose(same["low"], same["high"])
    assert same.loc[("of_ours", "best given the season"), "expected"] == pytest.approx(0.5)
    errors = np.random.default_rng(5).lognormal(size=20)
    few, many = (expected(scores(errors), {"a": count, "b": count}).loc[QUANTITIES[0]] for count in (2, 50))
    assert few["low"] < many["low"] < np.exp(np.log(errors).mean()) < many["high"] < few["high"]
