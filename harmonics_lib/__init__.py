"""Forecasting sums of sinusoids: what more than one notebook of the report needs."""

from harmonics_lib.auto import auto_forecaster
from harmonics_lib.checking import ForecasterError, check_forecaster
from harmonics_lib.classical import dft_extrapolation, known_period_oracle, linear_mmse, noise_level, persistence
from harmonics_lib.conformal import conformal
from harmonics_lib.evaluation import (
    FROZEN_SETS,
    FrozenSet,
    Grid,
    bootstrap_interval,
    by_step,
    calibration,
    evaluate,
    normal_crps,
    over_horizon,
    score,
)
from harmonics_lib.forecasting import (
    Prediction,
    ProbabilisticForecaster,
    UnstableForecast,
    central_interval,
    network_forecaster,
    window_forecaster,
)
from harmonics_lib.linear_prediction import (
    autoregression,
    burg,
    cadzow,
    linear_prediction,
    matrix_pencil,
    tufts_kumaresan,
)
from harmonics_lib.measured import MEASURED, load_measured, measured_windows, relative_errors
from harmonics_lib.networks import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.nonlinear import nonlinear_least_squares
from harmonics_lib.published import (
    load_bayes_limit,
    load_benchmark,
    load_coverage,
    load_forecaster,
    load_grid,
    load_measured_errors,
    load_metrics,
    load_one_step_errors,
    load_peer_methods,
    load_peers,
    load_peers_measured,
    trained_networks,
)
from harmonics_lib.runs import Run, Stage, TrainingConfig, seeded
from harmonics_lib.series import forecast
from harmonics_lib.signals import HarmonicProcess, SignalBatch, random_stream
from harmonics_lib.sparse import sparse_bayesian
from harmonics_lib.training import train
from harmonics_lib.wiener import WienerNetwork

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
    "TrainingConfig",
    "UnstableForecast",
    "WienerNetwork",
    "auto_forecaster",
    "autoregression",
    "bootstrap_interval",
    "burg",
    "by_step",
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
    "load_bayes_limit",
    "load_benchmark",
    "load_coverage",
    "load_forecaster",
    "load_grid",
    "load_measured",
    "load_measured_errors",
    "load_metrics",
    "load_one_step_errors",
    "load_peer_methods",
    "load_peers",
    "load_peers_measured",
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
    "sparse_bayesian",
    "train",
    "trained_networks",
    "tufts_kumaresan",
    "window_forecaster",
]
