"""The grid: errors of every method on every cell, three quarters of an hour of one core from nothing."""

from functools import cache

import pandas as pd

from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.grid import CELL, score_cell
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.linear import known_period_oracle
from harmonics_lib.forecasters.registry import Given, build
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch

WHOLE = HarmonicProcess((1, 45), (2, 99))
ANY = HarmonicProcess((1, 45), (2, 99), integer_periods=False)
METHODS = (
    "persistence",
    "DFT",
    "linear prediction, plain",
    "linear prediction",
    "Tufts-Kumaresan",
    "Burg",
    "autoregression",
    "Cadzow",
    "matrix pencil",
    "nonlinear least squares",
    "linear MMSE",
    "linear MMSE, any period",
    "sparse Bayesian",
    "sparse Bayesian, any period",
    "small LSTM",
    "seq2seq GRU",
    "curriculum GRU",
    "curriculum GRU, 2 to 99",
    "curriculum GRU, noise",
    "noise network",
    "auto",
    "known periods",
)
load = cache(load_forecaster)


def process_of(batch: SignalBatch) -> HarmonicProcess:
    """The process that a method is given: the ranges of number and periods, and whether these are whole numbers."""
    return WHOLE if bool((batch.periods == batch.periods.round()).all()) else ANY


def forecaster(name: str, batch: SignalBatch) -> Forecaster:
    """A method for the signals of a cell; ``auto`` alone is given the kind of periods, the oracle the periods."""
    if name == "known periods":
        return known_period_oracle(batch)
    if name == "curriculum GRU, noise":  # one of the runs of notebook 11
        return load("curriculum_gru_noise")
    given = Given(process_of(batch) if name == "auto" else WHOLE)
    return build(name, given, load)


def rows(name: str, *cell: int | float | str) -> pd.DataFrame:
    """A method's rows of ``evaluate`` for a cell of the grid."""
    batch = Grid().cells()[cell].batch()
    return score_cell(forecaster(name, batch), batch)


def keys() -> dict[tuple, str]:
    """The key of every method and cell of the grid. A further cell leaves the keys of the others as they are."""
    grid = Grid()
    shared = (grid.periods, grid.size, grid.lookback, grid.horizon)
    kinds = [grid.cells()[grid.components[0], grid.noise_std[0], kind].batch()[:1] for kind in ("whole", "any")]
    keys = {name: key(score_cell, shared, [forecaster(name, batch) for batch in kinds]) for name in METHODS}
    return {(name, *cell): keys[name] for cell in grid.cells() for name in METHODS}


def tables() -> list[tuple]:
    """The table ``grid``, the keys of its parts, and how a part is computed."""
    return [(Table("grid", ["method", *CELL]), keys(), rows)]
