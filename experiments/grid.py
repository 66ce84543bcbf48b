"""The grid: errors of every method on every cell, an hour and a half of one core from nothing."""

from collections.abc import Callable
from functools import cache

import pandas as pd

from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.grid import CELL, score_cell
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.baselines import dft_extrapolation, persistence
from harmonics_lib.forecasters.linear import known_period_oracle, linear_mmse
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import (
    autoregression,
    burg,
    cadzow,
    linear_prediction,
    matrix_pencil,
    tufts_kumaresan,
)
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch

WHOLE = HarmonicProcess((1, 45), (2, 99))
ANY = HarmonicProcess((1, 45), (2, 99), integer_periods=False)
NETWORKS = {
    "small LSTM": "small_lstm",
    "seq2seq GRU": "seq2seq_gru",
    "curriculum GRU": "curriculum_gru",
    "curriculum GRU, 2 to 99": "curriculum_gru_2_99",
    "curriculum GRU, noise": "curriculum_gru_noise",
    "noise network": "noise_network",
}


def process_of(batch: SignalBatch) -> HarmonicProcess:
    """What a method is told of a cell: the ranges of number and periods, and whether these are whole numbers."""
    return WHOLE if bool((batch.periods == batch.periods.round()).all()) else ANY


@cache
def methods() -> dict[str, Callable[[SignalBatch], Forecaster]]:
    """Every method of the report by name: a function of a cell's signals that gives its forecaster."""
    same_everywhere = {
        "linear prediction, plain": linear_prediction(ridge=0),
        "linear prediction": linear_prediction(),
        "Tufts-Kumaresan": tufts_kumaresan(),
        "linear MMSE": linear_mmse(WHOLE),
        "sparse Bayesian": sparse_bayesian(WHOLE),
        "persistence": persistence(),
        "DFT": dft_extrapolation(),
        "Burg": burg(),
        "autoregression": autoregression(),
        "Cadzow": cadzow(),
        "matrix pencil": matrix_pencil(unit_circle=True),
        "nonlinear least squares": nonlinear_least_squares(),
        "linear MMSE, any period": linear_mmse(ANY),
        "sparse Bayesian, any period": sparse_bayesian(ANY),
    } | {name: load_forecaster(published) for name, published in NETWORKS.items()}
    told = {"known periods": known_period_oracle, "auto": lambda batch: auto_forecaster(process_of(batch))}
    return {name: lambda batch, method=method: method for name, method in same_everywhere.items()} | told


def rows(name: str, *cell: int | float | str) -> pd.DataFrame:
    """A method's rows of ``evaluate`` for a cell of the grid."""
    batch = Grid().cells()[cell].batch()
    return score_cell(methods()[name](batch), batch)


def keys() -> dict[tuple, str]:
    """The key of every method and cell of the grid."""
    grid = Grid()
    kinds = [grid.cells()[grid.components[0], grid.noise_std[0], kind].batch()[:1] for kind in ("whole", "any")]
    of_method = {name: key(score_cell, grid, [make(batch) for batch in kinds]) for name, make in methods().items()}
    return {(name, *cell): of_method[name] for cell in grid.cells() for name in of_method}


def tables() -> list[tuple]:
    """The table ``grid``, the keys of its parts, and how a part is computed."""
    return [(Table("grid", ["method", *CELL]), keys(), rows)]
