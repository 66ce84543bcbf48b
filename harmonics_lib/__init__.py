"""Forecasting sums of sinusoids: what more than one notebook of the report needs."""

from harmonics_lib.evaluation.grid import evaluate, over_horizon, single_steps
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.measured import MEASURED, load_measured, measured_windows, relative_errors
from harmonics_lib.evaluation.scores import calibration, normal_crps, score
from harmonics_lib.evaluation.testsets import FROZEN_SETS, FrozenSet, Grid
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import (
    Prediction,
    ProbabilisticForecaster,
    UnstableForecast,
    central_interval,
    network_forecaster,
    window_forecaster,
)
from harmonics_lib.forecasters.baselines import dft_extrapolation, persistence
from harmonics_lib.forecasters.estimates import noise_level
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
from harmonics_lib.forecasters.wrappers import conformal
from harmonics_lib.networks.recurrent import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.published.runs import load_trained, train_missing
from harmonics_lib.published.tables import load_benchmark, load_metrics, load_table
from harmonics_lib.series import forecast
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, random_stream
from harmonics_lib.testing import ForecasterError, check_forecaster
from harmonics_lib.training.run import Run, Stage, Study, TrainingConfig, seeded
from harmonics_lib.training.trainer import train

__all__ = [
    "FROZEN_SETS",
    "MEASURED",
    "CurriculumGRU",
    "ForecasterError",
    "FrozenSet",
    "Grid",
    "HarmonicProcess",
    "Prediction",
    "ProbabilisticForecaster",
    "Run",
    "SentinelLSTM",
    "Seq2SeqGRU",
    "SignalBatch",
    "SmallLSTM",
    "Stage",
    "Study",
    "TrainingConfig",
    "UnstableForecast",
    "WienerNetwork",
    "auto_forecaster",
    "autoregression",
    "bootstrap_interval",
    "burg",
    "cadzow",
    "calibration",
    "central_interval",
    "check_forecaster",
    "conformal",
    "dft_extrapolation",
    "evaluate",
    "forecast",
    "known_period_oracle",
    "linear_mmse",
    "linear_prediction",
    "load_benchmark",
    "load_forecaster",
    "load_measured",
    "load_metrics",
    "load_table",
    "load_trained",
    "matrix_pencil",
    "measured_windows",
    "network_forecaster",
    "noise_level",
    "nonlinear_least_squares",
    "normal_crps",
    "over_horizon",
    "persistence",
    "random_stream",
    "relative_errors",
    "score",
    "seeded",
    "single_steps",
    "sparse_bayesian",
    "train",
    "train_missing",
    "tufts_kumaresan",
    "window_forecaster",
]
