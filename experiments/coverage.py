"""Coverage: empirical against nominal coverage of intervals, in the cells of the grid.

10,000 windows a cell make differences of two points significant. It takes ten minutes of one core.
"""

import pandas as pd
import torch
from torch import Tensor

from experiments.grid import ANY, WHOLE
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.grid import CELL
from harmonics_lib.evaluation.scores import calibration
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import conformal
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import random_stream

CELLS = Grid(noise_std=(0.01, 0.03, 0.1, 0.3))
LESS_NOISE = Grid(noise_std=(0.0, 1e-4, 1e-3, 0.01, 0.1))  # for ``auto``
PROMISED = (0.5, 0.8, 0.95)
WINDOWS = 10_000  # for calibration, and as many for the evaluation
FEW = 200  # of the windows, for methods that are slower
HORIZON = 10
AUTO = ("auto", "auto, given nothing")
INTERVALS = ("conformal", "noise network", "sparse Bayesian", *AUTO)


def tables() -> list[tuple]:
    """The table ``coverage``, the keys of its parts, and the function that computes a part.

    A row for each nominal coverage (``promised``) has the share of observed samples in intervals over ten steps
    (``covered``). ``noise network``, ``sparse Bayesian`` and ``auto`` are intervals of the forecaster's own
    distribution. ``conformal`` are intervals of the noise network by split conformal prediction, calibrated on as
    many other windows of the cell. Rows of ``auto`` also have the share of clean samples in the intervals for these
    (``clean``), and the mean squared error against them (``mse``, the same in all rows of a cell).
    """
    settings, network = (PROMISED, WINDOWS, HORIZON), load_forecaster("noise_network")
    keys = {
        "conformal": key(conformal, network, *settings),
        "noise network": key(calibration, network, *settings),
        "sparse Bayesian": key(calibration, sparse_bayesian(WHOLE), sparse_bayesian(ANY), *settings, FEW),
        "auto": key(calibration, auto_forecaster(WHOLE), auto_forecaster(ANY), *settings, FEW),
        "auto, given nothing": key(calibration, auto_forecaster(), *settings, FEW),
    }
    parts = {
        (intervals, *cell): keys[intervals]
        for intervals in INTERVALS
        for cell in (LESS_NOISE if intervals in AUTO else CELLS).cells()
    }
    return [(Table("coverage", ["intervals", *CELL]), parts, shares)]


def shares(intervals: str, *cell: int | float | str) -> pd.DataFrame:
    """Empirical coverages of intervals in a cell, a row for each nominal coverage."""
    if intervals in AUTO:
        return auto_shares(intervals, *cell)
    past, future, _ = windows(*cell, "coverage")
    if intervals == "conformal":
        ends = conformal(load_forecaster("noise_network"), *windows(*cell, "calibration")[:2])
        reach = [ends(past, HORIZON, promised) for promised in PROMISED]
        covered = [((low <= future) & (future <= high)).double().mean().item() for low, high in reach]
    elif intervals == "noise network":
        covered = calibration(load_forecaster("noise_network").distribution(past, HORIZON).observed, future, PROMISED)
    else:
        inference = sparse_bayesian(WHOLE if cell[-1] == "whole" else ANY)
        covered = calibration(inference.distribution(past[:FEW], HORIZON).observed, future[:FEW], PROMISED)
    return pd.DataFrame({"promised": PROMISED, "covered": covered})


def auto_shares(intervals: str, *cell: int | float | str) -> pd.DataFrame:
    """``shares`` of ``auto_forecaster``, with the columns ``clean`` and ``mse``."""
    process = WHOLE if cell[-1] == "whole" else ANY
    # In single precision, rounding would be noise of 1e-8 in windows without noise.
    past, future, clean = (part[:FEW] for part in windows(*cell, "coverage", torch.float64))
    prediction = auto_forecaster(process if intervals == "auto" else None).distribution(past, HORIZON)
    covered, of_clean = (
        calibration(distribution, truth, PROMISED)
        for distribution, truth in ((prediction.observed, future), (prediction.clean, clean))
    )
    error = (prediction.mean - clean).square().mean().item()
    return pd.DataFrame({"promised": PROMISED, "covered": covered, "clean": of_clean, "mse": error})


def windows(
    count: int, noise: float, periods: str, purpose: str, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows (B, N) of a cell, their observed and their clean continuations (B, H), from their own random stream."""
    test = Grid().cells()[count, noise, periods]
    stream = random_stream(0, f"{purpose} {test.name} {test.process.noise_std}")
    batch = test.process.sample(WINDOWS, test.lookback + HORIZON, test.lookback, generator=stream, dtype=dtype)
    return batch.past, batch.observed[:, test.lookback :], batch.future
