"""Errors of every method on the measured series, and one-step errors of ``auto``. It takes five minutes."""

from functools import cache

import numpy as np
import pandas as pd
import torch

from experiments.grid import ANY
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.measured import MEASURED, load_measured, measured_windows, relative_errors
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.registry import Given, build
from harmonics_lib.forecasters.wrappers import linear_detrending
from harmonics_lib.paths import data_dir
from harmonics_lib.published.networks import load_forecaster

LOOKBACK, HORIZONS = 100, (10, 24)
ROW = 100  # origins one after another, whose errors of one step show what a model leaves


METHODS = (
    "window mean",
    "persistence",
    "seasonal naive",
    "DFT",
    "linear prediction",
    "linear prediction, a third",
    "linear prediction, differences",
    "Burg",
    "Tufts-Kumaresan",
    "matrix pencil",
    "matrix pencil, free poles",
    "autoregression",
    "nonlinear least squares",
    "linear MMSE, any period",
    "linear MMSE, long periods",
    "sparse Bayesian, any period",
    "sparse Bayesian, line",
    "sparse Bayesian, long periods",
    "sparse Bayesian, long periods, level",
    "sparse Bayesian, differences",
    "lines with width",
    "noise network",
)
SHORT = ("small LSTM", "seq2seq GRU", "curriculum GRU", "curriculum GRU, 2 to 99")  # they read 100 samples


@cache
def methods(series: str, lookback: int) -> dict[str, Forecaster]:
    """Every method of the report by name, for a series; networks only where they read all samples."""
    known = MEASURED[series]
    given = Given(ANY, known.season if lookback == LOOKBACK else known.long_season, lookback)
    names = METHODS + SHORT if lookback == LOOKBACK else METHODS
    named = {name: build(name, given, load_forecaster) for name in names}
    return named | {"auto": auto_forecaster(), "noise network, line": linear_detrending(named["noise network"])}


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
