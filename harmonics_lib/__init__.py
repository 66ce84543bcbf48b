"""Forecasting sums of sinusoids: what more than one notebook of the report needs."""

from harmonics_lib.classical import dft_extrapolation, persistence
from harmonics_lib.evaluation import FROZEN_SETS, FrozenSet, bootstrap_interval, score
from harmonics_lib.networks import CurriculumGRU, Seq2SeqGRU, SmallLSTM
from harmonics_lib.results import Findings, load_forecaster, load_metrics, network_forecaster, trained_network
from harmonics_lib.signals import HarmonicProcess, SignalBatch, random_stream
from harmonics_lib.training import Stage, TrainingConfig, train

__all__ = [
    "FROZEN_SETS",
    "CurriculumGRU",
    "Findings",
    "FrozenSet",
    "HarmonicProcess",
    "Seq2SeqGRU",
    "SignalBatch",
    "SmallLSTM",
    "Stage",
    "TrainingConfig",
    "bootstrap_interval",
    "dft_extrapolation",
    "load_forecaster",
    "load_metrics",
    "network_forecaster",
    "persistence",
    "random_stream",
    "score",
    "train",
    "trained_network",
]
