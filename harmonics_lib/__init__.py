"""Forecasting sums of sinusoids: signals, forecasters, networks, test sets and scores.

The names here are what users call. All else is imported from its package, such as
``harmonics_lib.networks.recurrent``.
"""

from harmonics_lib.evaluation.grid import evaluate, over_horizon
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.scores import score
from harmonics_lib.evaluation.testsets import FROZEN_SETS, FrozenSet, Grid
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import UnstableForecast, network_forecaster, window_forecaster
from harmonics_lib.forecasters.baselines import dft_extrapolation, persistence, seasonal_naive
from harmonics_lib.forecasters.broad import broad_lines
from harmonics_lib.forecasters.linear import linear_mmse
from harmonics_lib.forecasters.recurrence import autoregression, linear_prediction, matrix_pencil
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import conformal, differenced
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.published.runs import train_missing
from harmonics_lib.published.tables import load_benchmark, load_table
from harmonics_lib.series import forecast
from harmonics_lib.signals.process import HarmonicProcess, random_stream
from harmonics_lib.testing import check_forecaster
from harmonics_lib.training.run import Run, Stage, Study, TrainingConfig, seeded
from harmonics_lib.training.trainer import train

__version__ = "0.2.0"

__all__ = [
    "FROZEN_SETS",
    "FrozenSet",
    "Grid",
    "HarmonicProcess",
    "Run",
    "Stage",
    "Study",
    "TrainingConfig",
    "UnstableForecast",
    "auto_forecaster",
    "autoregression",
    "bootstrap_interval",
    "broad_lines",
    "check_forecaster",
    "conformal",
    "dft_extrapolation",
    "differenced",
    "evaluate",
    "forecast",
    "linear_mmse",
    "linear_prediction",
    "load_benchmark",
    "load_forecaster",
    "load_table",
    "matrix_pencil",
    "network_forecaster",
    "over_horizon",
    "persistence",
    "random_stream",
    "score",
    "seasonal_naive",
    "seeded",
    "sparse_bayesian",
    "train",
    "train_missing",
    "window_forecaster",
]
