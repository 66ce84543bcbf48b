"""The measured series: errors of every method, window by window, and errors of one step in a row; five minutes."""

from functools import cache

import numpy as np
import pandas as pd
import torch

from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.measured import MEASURED, load_measured, measured_windows, relative_errors
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.baselines import dft_extrapolation, persistence, seasonal_naive, window_mean
from harmonics_lib.forecasters.linear import linear_mmse
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import (
    autoregression,
    burg,
    linear_prediction,
    matrix_pencil,
    tufts_kumaresan,
)
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import beside_a_line, differenced
from harmonics_lib.paths import data_dir
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import HarmonicProcess

LOOKBACK, HORIZONS = 100, (10, 24)
ROW = 100  # origins one after another, whose errors of one step show what a model leaves


@cache
def methods(series: str, lookback: int) -> dict[str, Forecaster]:
    """Every method of the report by name, for a series; networks only where they read all samples."""
    season = MEASURED[series].season if lookback == LOOKBACK else MEASURED[series].long_season
    any_period = HarmonicProcess((1, 45), (2, 99), integer_periods=False)
    longer = HarmonicProcess((1, 45), (2, 10 * lookback), integer_periods=False, uniform="frequency")
    named = {
        "window mean": window_mean(),
        "persistence": persistence(),
        "seasonal naive": seasonal_naive(season),
        "DFT": dft_extrapolation(),
        "linear prediction": linear_prediction(),
        "linear prediction, a third": linear_prediction(order=lookback // 3),
        "Burg": burg(),
        "Tufts-Kumaresan": tufts_kumaresan(),
        "matrix pencil": matrix_pencil(),
        "matrix pencil, unit circle": matrix_pencil(unit_circle=True),
        "autoregression": autoregression(),
        "nonlinear least squares": nonlinear_least_squares(),
        "linear MMSE, any period": linear_mmse(any_period),
        "linear MMSE, long periods": linear_mmse(longer),
        "sparse Bayesian, any period": sparse_bayesian(any_period),
        "sparse Bayesian, line": sparse_bayesian(any_period, trend="line"),
        "sparse Bayesian, long periods": sparse_bayesian(longer),
        "sparse Bayesian, long periods, level": sparse_bayesian(longer, trend="level"),
        "auto": auto_forecaster(),
        "linear prediction, differences": differenced(linear_prediction()),
        "sparse Bayesian, differences": differenced(sparse_bayesian(longer, trend="level")),
        "noise network": load_forecaster("noise_network"),
        "noise network, line": beside_a_line(load_forecaster("noise_network")),
    }
    if lookback == LOOKBACK:
        networks = {"small LSTM": "small_lstm", "seq2seq GRU": "seq2seq_gru", "curriculum GRU": "curriculum_gru",
                    "curriculum GRU, 2 to 99": "curriculum_gru_2_99"}  # fmt: skip
        named |= {name: load_forecaster(published) for name, published in networks.items()}
    return named


def tables() -> list[tuple]:
    """The tables ``measured`` and ``measured_one_step``, the keys of their parts, and how a part is computed.

    Of the first, a row for each window and horizon: the mean squared error relative to the variance of the
    window, after 100 samples and after the series' longer lookback. Of the second, a row for each of
    the last 100 origins: the error of one step of ``auto``, relative to the window's standard deviation.
    """
    columns, keys = ["method", "series", "lookback"], {}
    for name, known in MEASURED.items():
        data = (data_dir() / f"{name}.csv").read_bytes()
        for lookback in (LOOKBACK, known.long):
            for method, forecaster in methods(name, lookback).items():
                keys[method, name, lookback] = key(relative_errors, measured_windows, known, data, HORIZONS, forecaster)
    one_step = {(name,): keys["auto", name, LOOKBACK] for name in MEASURED}
    return [
        (Table("measured", columns), keys, window_errors),
        (Table("measured_one_step", ["series"]), one_step, one_step_errors),
    ]


def window_errors(method: str, series: str, lookback: int) -> pd.DataFrame:
    """A method's errors on a series, a row for each horizon and window."""
    errors = relative_errors(
        methods(series, lookback)[method], *measured_windows(series, lookback, max(HORIZONS))
    )  # (B, H)
    parts = [
        pd.DataFrame({"horizon": horizon, "window": np.arange(len(errors)), "error": errors[:, :horizon].mean(dim=1)})
        for horizon in HORIZONS
    ]
    return pd.concat(parts, ignore_index=True)


def one_step_errors(series: str) -> pd.DataFrame:
    """Errors of one step of ``auto`` on a series, a row for each of 100 origins one after another."""
    values = torch.from_numpy(load_measured(series).to_numpy(dtype=float, copy=True))
    past, future = values.unfold(0, LOOKBACK + 1, 1)[-ROW:].split([LOOKBACK, 1], dim=1)
    level = past.mean(dim=1, keepdim=True)
    error = (future - level - auto_forecaster()(past - level, 1)) / past.std(dim=1, keepdim=True, correction=0)
    return pd.DataFrame({"origin": range(ROW), "error": error[:, 0].numpy()})
