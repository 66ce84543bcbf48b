"""The table of coverage: what intervals promise, they hold."""

import pandas as pd

from experiments import coverage


def test_the_shares_are_the_same_again_and_near_what_is_promised(monkeypatch):
    monkeypatch.setattr(coverage, "WINDOWS", 400)
    monkeypatch.setattr(coverage, "FEW", 10)
    for intervals in coverage.INTERVALS:
        shares, again = (coverage.shares(intervals, 5, 0.1, "whole") for _ in range(2))
        pd.testing.assert_frame_equal(shares, again, check_exact=True)
        if intervals == "conformal":
            assert (shares.covered - shares.promised).abs().max() < 0.06  # three standard errors of 400 windows


def test_intervals_of_auto_have_a_width_where_noise_is_too_weak_to_be_seen(monkeypatch):
    monkeypatch.setattr(coverage, "FEW", 40)
    for intervals in coverage.AUTO:
        shares = coverage.shares(intervals, 2, 1e-4, "any").set_index("promised")
        assert shares.covered[0.95] >= 0.85 and shares.clean[0.95] >= 0.85
