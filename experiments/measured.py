"""The tables of the measured series: errors of every method, window by window, and errors of one step in a row.

Long lookbacks take minutes, and so these tables have a command of their own (``make measured``).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

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
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import HarmonicProcess
from harmonics_lib.training.directory import write_atomically

LOOKBACK, HORIZONS = 100, (10, 24)
ROW = 100  # origins one after another, whose errors of one step show what a model leaves


def methods(season: int, lookback: int) -> dict[str, Forecaster]:
    """Every method of the report by name, for a series of this season; networks only where they read all samples."""
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


def window_errors(named: Mapping[str, Forecaster], past: Tensor, future: Tensor) -> pd.DataFrame:
    """A row for each method, window and horizon: its mean squared error relative to the variance of the window."""
    parts = []
    for method, forecaster in named.items():
        errors = relative_errors(forecaster, past, future)
        for horizon in HORIZONS:
            row = {"method": method, "window": np.arange(len(past)), "horizon": horizon}
            parts.append(pd.DataFrame(row | {"error": errors[:, :horizon].mean(dim=1).numpy()}))
    return pd.concat(parts, ignore_index=True)


def write_measured(path: Path) -> None:
    """The errors of every method on every series, after 100 samples and after the series' longer lookback."""
    parts = []
    for name in tqdm(MEASURED, desc="measured series"):
        known = MEASURED[name]
        for lookback, season in ((LOOKBACK, known.season), (known.long, known.long_season)):
            errors = window_errors(methods(season, lookback), *measured_windows(name, lookback, max(HORIZONS)))
            parts.append(errors.assign(series=name, lookback=lookback))
    columns = ["series", "lookback", "method", "horizon", "window", "error"]
    write_atomically(path, pd.concat(parts)[columns].to_csv(index=False, float_format="%.4g").encode())


def write_one_step(path: Path) -> None:
    """Errors of one step, relative to the windows' standard deviation, at the last 100 origins of every series."""
    columns = {}
    for name in MEASURED:
        values = torch.from_numpy(load_measured(name).to_numpy(dtype=float, copy=True))
        past, future = values.unfold(0, LOOKBACK + 1, 1)[-ROW:].split([LOOKBACK, 1], dim=1)
        level = past.mean(dim=1, keepdim=True)
        error = (future - level - auto_forecaster()(past - level, 1)) / past.std(dim=1, keepdim=True, correction=0)
        columns[name] = error[:, 0].numpy()
    write_atomically(path, pd.DataFrame(columns).to_csv(index=False, float_format="%.4g").encode())
