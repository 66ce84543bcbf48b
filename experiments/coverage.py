"""Coverage: empirical against nominal coverage of intervals, in every cell of the grid with noise.

10,000 windows a cell make differences of two points significant. It takes three minutes of one core.
"""

import pandas as pd
from torch import Tensor

from experiments.grid import ANY, WHOLE
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.grid import CELL
from harmonics_lib.evaluation.scores import calibration
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import conformal
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import SignalBatch, random_stream

CELLS = Grid(noise_std=(0.01, 0.03, 0.1, 0.3))
PROMISED = (0.5, 0.8, 0.95)
WINDOWS = 10_000  # for calibration, and as many for the evaluation
FEW = 200  # of the windows, for sparse Bayesian inference, which is slower
HORIZON = 10
INTERVALS = ("conformal", "noise network", "sparse Bayesian")


def tables() -> list[tuple]:
    """The table ``coverage``, the keys of its parts, and the function that computes a part.

    The intervals are for observed samples over ten steps. ``noise network`` and ``sparse Bayesian`` are
    intervals of the forecaster's own distribution. ``conformal`` are intervals of the noise network by
    split conformal prediction, calibrated on as many other windows of the cell.
    """
    settings, network = (CELLS, PROMISED, WINDOWS, HORIZON), load_forecaster("noise_network")
    keys = {
        "conformal": key(conformal, network, *settings),
        "noise network": key(calibration, network, *settings),
        "sparse Bayesian": key(calibration, sparse_bayesian(WHOLE), sparse_bayesian(ANY), *settings, FEW),
    }
    parts = {(intervals, *cell): keys[intervals] for cell in CELLS.cells() for intervals in INTERVALS}
    return [(Table("coverage", ["intervals", *CELL]), parts, shares)]


def shares(intervals: str, *cell: int | float | str) -> pd.DataFrame:
    """Empirical coverages (``covered``) of intervals in a cell, a row for each nominal coverage (``promised``)."""
    past, future = windows(*cell, "coverage")
    if intervals == "conformal":
        ends = conformal(load_forecaster("noise_network"), *windows(*cell, "calibration"))
        reach = [ends(past, HORIZON, promised) for promised in PROMISED]
        covered = [((low <= future) & (future <= high)).double().mean().item() for low, high in reach]
    elif intervals == "noise network":
        covered = calibration(load_forecaster("noise_network").distribution(past, HORIZON).observed, future, PROMISED)
    else:
        inference = sparse_bayesian(WHOLE if cell[-1] == "whole" else ANY)
        covered = calibration(inference.distribution(past[:FEW], HORIZON).observed, future[:FEW], PROMISED)
    return pd.DataFrame({"promised": PROMISED, "covered": covered})


def windows(count: int, noise: float, periods: str, purpose: str) -> tuple[Tensor, Tensor]:
    """Windows (B, N) of a cell and their observed continuations (B, H), from their own random stream."""
    test = CELLS.cells()[count, noise, periods]
    stream = random_stream(0, f"{purpose} {test.name} {test.process.noise_std}")
    batch: SignalBatch = test.process.sample(WINDOWS, test.lookback + HORIZON, test.lookback, generator=stream)
    return batch.past, batch.observed[:, test.lookback :]
