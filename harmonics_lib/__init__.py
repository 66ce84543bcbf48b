"""Forecasting sums of sinusoids: what more than one notebook of the report needs."""

from harmonics_lib.classical import (
    UnstableForecast,
    dft_extrapolation,
    known_period_oracle,
    linear_mmse,
    linear_prediction,
    matrix_pencil,
    noise_level,
    persistence,
)
from harmonics_lib.evaluation import FROZEN_SETS, FrozenSet, Grid, bootstrap_interval, evaluate, score
from harmonics_lib.networks import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.results import (
    Findings,
    load_forecaster,
    load_grid,
    load_metrics,
    network_forecaster,
    trained_network,
)
from harmonics_lib.signals import HarmonicProcess, SignalBatch, random_stream
from harmonics_lib.sparse import sparse_bayesian
from harmonics_lib.training import Stage, TrainingConfig, train

__all__ = [
    "FROZEN_SETS",
    "CurriculumGRU",
    "Findings",
    "FrozenSet",
    "Grid",
    "HarmonicProcess",
    "SentinelLSTM",
    "Seq2SeqGRU",
    "SignalBatch",
    "SmallLSTM",
    "Stage",
    "TrainingConfig",
    "UnstableForecast",
    "bootstrap_interval",
    "dft_extrapolation",
    "evaluate",
    "known_period_oracle",
    "linear_mmse",
    "linear_prediction",
    "load_forecaster",
    "load_grid",
    "load_metrics",
    "matrix_pencil",
    "network_forecaster",
    "noise_level",
    "persistence",
    "random_stream",
    "score",
    "sparse_bayesian",
    "train",
    "trained_network",
]
