"""Tuning varies the constants that are used: its errors are those of the methods as one calls them."""

import pytest

from experiments import tuning
from experiments.grid import ANY, WHOLE
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.auto import Odds, auto_forecaster
from harmonics_lib.forecasters.sparse import sparse_bayesian


def error(forecaster, cell, cells, purpose):
    batch = tuning.windows(cells, cell, purpose)
    return (forecaster(batch.past, tuning.HORIZON) - batch.future).square().mean().item()


@pytest.mark.parametrize("whole", [True, False])
def test_the_first_row_is_the_error_of_the_method_as_it_is(whole, monkeypatch):
    cells = Grid((2,), (0.1,), (whole,), size=10)
    monkeypatch.setattr(tuning, "CHUNK", 6)  # two parts of them
    monkeypatch.setattr(tuning, "ODDS_CELLS", cells)
    monkeypatch.setattr(tuning, "SLACK_CELLS", cells)
    ((cell, process),) = ((cell, WHOLE if whole else ANY) for cell in cells.cells())
    odds, slack = tuning.tuning_errors("odds"), tuning.tuning_errors("slack")
    for column, check in (("error", ""), ("check", ", check")):
        of_auto = error(auto_forecaster(process), cell, cells, f"auto tuning{check}")
        assert odds[column][0] == pytest.approx(of_auto, rel=1e-9)
        of_sparse = error(sparse_bayesian(process), cell, cells, f"slack of the slab{check}")
        assert slack[column][0] == pytest.approx(of_sparse, rel=1e-9)
    assert (odds[["error", "check"]].nunique() > 100).all() and (slack[["error", "check"]].nunique() > 5).all()


def test_few_components_are_certain_at_extreme_odds():
    cells = Grid((1,), (0.1,), size=10)
    few = {}
    for cell in cells.cells():
        window = tuning.Window.of(tuning.windows(cells, cell, "odds").past)
        few[cell[-1]] = tuning.few_and_many(window, 10, WHOLE if cell[-1] == "whole" else ANY)[0]
    assert Odds(more=1e-300).probability(few["whole"]).min() > 0.999
    assert Odds(constant=1000.0).probability(few["any"]).min() > 0.999
    assert Odds(by_count=-1000.0).probability(few["any"]).max() < 1e-3


def test_expected_errors_stand_beside_those_of_the_loss(monkeypatch):
    monkeypatch.setattr(tuning, "EXPECTED_CELLS", Grid((1, 45), (0.1,), (True,), size=30))
    one, many = (tuning.expected_errors(count, 0.1, "whole").iloc[0] for count in (1, 45))
    assert (one.expected, many.expected) == pytest.approx((6e-4, 4.7e-2), rel=1e-5)
    assert one.low < one.mse < one.high and one.high < many.low
