"""Odd inputs to every public name: a right answer or one clear sentence, by a table and at random (Hypothesis)."""

import math
import re
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn
from torch.distributions import Normal

import harmonics_lib as lib
from harmonics_lib import HarmonicProcess, Run, Stage, TrainingConfig, UnstableForecast, random_stream
from harmonics_lib.evaluation.grid import single_steps
from harmonics_lib.evaluation.measured import load_measured, measured_windows, relative_errors
from harmonics_lib.evaluation.scores import calibration, normal_crps
from harmonics_lib.forecasters.base import Prediction, central_interval
from harmonics_lib.forecasters.estimates import noise_level
from harmonics_lib.forecasters.linear import known_period_oracle
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import burg, cadzow, tufts_kumaresan
from harmonics_lib.networks.recurrent import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM, initialise
from harmonics_lib.networks.wiener import WienerNetwork
from harmonics_lib.published.runs import load_trained
from harmonics_lib.published.tables import load_metrics
from harmonics_lib.signals.process import SignalBatch

PROCESS, ANY = HarmonicProcess((1, 3), (2, 20), noise_std=0.1), HarmonicProcess((1, 3), (2, 20), integer_periods=False)
BATCH = PROCESS.sample(3, 40, 30, generator=random_stream(0, "odd inputs"), dtype=torch.float64)
WINDOWS, LATER = BATCH.past, BATCH.observed[:, 30:]
SERIES = BATCH.observed[0].numpy()
NORMAL = Normal(torch.zeros(2, 3), 1.0)
RUN = Run(SmallLSTM, (Stage(PROCESS, 2, 12),), TrainingConfig(batch_size=2, validation_size=2), {"hidden": 4})
TEST = lib.FrozenSet("odd inputs", PROCESS, size=4, lookback=30, horizon=10)
GRID = lib.Grid((1,), (0.0,), (True,), (2, 20), size=2, lookback=30, horizon=5)
TABLE = lib.load_table("grid")


def network(kind, *sizes, **options):
    built = kind(*sizes, **options)
    initialise(built, random_stream(0, "odd inputs"))
    return built


NETWORKS = {
    "SmallLSTM": network(SmallLSTM, 4),
    "SentinelLSTM": network(SentinelLSTM, 4),
    "Seq2SeqGRU": network(Seq2SeqGRU, lookback=24),
    "CurriculumGRU": network(CurriculumGRU, lookback=24),
    "WienerNetwork": network(WienerNetwork, 8, lookback=24),
}
FORECASTERS = {
    "persistence": lib.persistence(),
    "dft_extrapolation": lib.dft_extrapolation("hann"),
    "linear_mmse": lib.linear_mmse(PROCESS),
    "linear_prediction": lib.linear_prediction(8),
    "tufts_kumaresan": tufts_kumaresan(8),
    "autoregression": lib.autoregression(most=8),
    "burg": burg(8),
    "cadzow": cadzow(),
    "matrix_pencil": lib.matrix_pencil(),
    "nonlinear_least_squares": nonlinear_least_squares(3),
    "sparse_bayesian": lib.sparse_bayesian(PROCESS),
    "sparse_bayesian, line": lib.sparse_bayesian(ANY, trend="line"),
    "broad_lines": lib.broad_lines(),
    "auto_forecaster": lib.auto_forecaster(PROCESS),
    "window_forecaster": lib.window_forecaster(lambda x, horizon: x.mean(dim=1, keepdim=True).expand(-1, horizon)),
    **{f"network_forecaster, {name}": lib.network_forecaster(kind) for name, kind in NETWORKS.items()},
}
INTERVALS = lib.conformal(lib.persistence(), WINDOWS, LATER)
CALLED = FORECASTERS | {  # with windows and a horizon
    "known_period_oracle": known_period_oracle(BATCH),
    "conformal, intervals": lambda windows, horizon: INTERVALS(windows, horizon, 0.5),
    "sparse_bayesian, distribution": FORECASTERS["sparse_bayesian"].distribution,
    "network_forecaster, distribution": FORECASTERS["network_forecaster, WienerNetwork"].distribution,
    **{f"{name}, forecast": kind.float().forecast for name, kind in NETWORKS.items()},
}


def holed(value):
    windows = WINDOWS.clone()
    windows[1, 3] = value
    return windows


BAD_WINDOWS = {
    "None": None,
    "text": "lookback",
    "a list of texts": ["a", "b"],
    "rows of unequal length": [[1.0, 2.0], [1.0]],
    "an array of texts": np.array([["1", "2"], ["3", "4"]]),
    "an array of bools": WINDOWS.numpy() > 0,
    "a list with a missing sample": [*WINDOWS[0].tolist(), None],
    "a nullable series with a missing sample": pd.Series([*WINDOWS[0].tolist(), None], dtype="Float64"),
    "bools": WINDOWS > 0,
    "whole numbers": WINDOWS.long(),
    "complex numbers": WINDOWS.cfloat(),
    "0-d": torch.tensor(1.0),
    "1-d": WINDOWS[0],
    "3-d": WINDOWS[None],
    "no window": WINDOWS[:0],
    "no sample": WINDOWS[:, :0],
    "NaN": holed(math.nan),
    "infinity": holed(math.inf),
    "minus infinity": holed(-math.inf),
    "a sparse tensor": WINDOWS.to_sparse(),
    "a tensor without values": WINDOWS.to("meta"),
    "a nested tensor": torch.nested.nested_tensor([WINDOWS[0], WINDOWS[1, :5]], layout=torch.jagged),
}
HUGE = 10**12
NO_NUMBERS = [None, "5", b"5", [5], (), {}, np.array([1, 2]), torch.ones(2), pd.NA, 5j, True, np.bool_(True), object()]
NO_WHOLE = [*NO_NUMBERS, 2.0, 2.5, math.nan, math.inf, np.float64(2), torch.tensor(2.0), Fraction(5), Decimal(5), -1]
NO_COUNT = [*NO_WHOLE, 0, HUGE, 10**400]
NO_WEIGHT = [*NO_NUMBERS, math.nan, math.inf, -1, -math.inf, 10**400]
NO_SHARE = [*NO_WEIGHT, 0, 1, 90, 0.0, 1.0]
NO_FLAG = [None, "yes", 1, 0, [], math.nan]
NO_NAME = [None, 5, b"burg", ["burg"], "", "nothing", "../burg", math.nan, {}]
NO_RANGE = [None, "ab", (), (1,), (3, 4, 5), (5, 3), (3, None), ("3", "5"), math.nan, (3, math.inf), {3: 5}, True, 3j]
NO_PROCESS = ["process", 5, {}, HarmonicProcess, [PROCESS], np.zeros((9, 9))]
NO_FUNCTION = [None, "persistence", 5, WINDOWS]
NO_NETWORK = [SmallLSTM, nn.Linear(1, 1), SmallLSTM(4).to("meta"), nn.ParameterList([torch.ones(1) * 1j])]
NO_FORECASTER = [*NO_FUNCTION, {"a": None}]


def without(values, *left_out):
    return [value for value in values if not any(value is one for one in left_out)]


def sampled(**arguments):
    drawn = {"batch_size": 2, "length": 12, "lookback": 10, "generator": random_stream(0, "odd inputs")}
    return PROCESS.sample(**drawn | arguments)


def batch(**tensors):
    return SignalBatch(**{**vars(BATCH), **tensors})


def prediction(**tensors):
    return Prediction(**{"mean": WINDOWS, "std": WINDOWS.abs() + 1, "noise_std": WINDOWS[:, :1].abs(), **tensors})


def estimating(estimate):
    return lib.window_forecaster(lambda x, horizon: estimate(x))(WINDOWS, 5)


def trained(**arguments):
    return lib.train(**{"run": RUN, "run_dir": "nowhere", "progress": False, **arguments})


#: Function, argument, values that it is to refuse. The sentence has to name the argument.
REFUSED_SETTINGS = [
    ("dft_extrapolation", lib.dft_extrapolation, "taper_name", "taper", without(NO_NAME, None)),
    ("seasonal_naive", lib.seasonal_naive, "season", "season", NO_COUNT),
    ("differenced", lib.differenced, "forecaster", "forecaster", NO_FORECASTER),
    ("linear_mmse", lib.linear_mmse, "process", "process", [None, *NO_PROCESS]),
    ("linear_mmse", partial(lib.linear_mmse, PROCESS), "noise_std", "noise_std", without(NO_WEIGHT, None)),
    ("linear_prediction", lib.linear_prediction, "order", "order", NO_COUNT),
    ("linear_prediction", lib.linear_prediction, "ridge", "ridge", without(NO_WEIGHT, None)),
    ("linear_prediction", lib.linear_prediction, "backward", "backward", NO_FLAG),
    ("tufts_kumaresan", tufts_kumaresan, "order", "order", NO_COUNT),
    ("tufts_kumaresan", tufts_kumaresan, "rank", "rank", without(NO_COUNT, None)),
    ("autoregression", lib.autoregression, "criterion", "criterion", NO_NAME),
    ("autoregression", lib.autoregression, "most", "most", NO_COUNT),
    ("burg", burg, "order", "order", NO_COUNT),
    ("cadzow", cadzow, "rank", "rank", without(NO_COUNT, None)),
    ("cadzow", cadzow, "iterations", "iterations", NO_COUNT),
    ("matrix_pencil", lib.matrix_pencil, "order", "order", without(NO_COUNT, None)),
    ("matrix_pencil", lib.matrix_pencil, "unit_circle", "unit_circle", NO_FLAG),
    ("nonlinear_least_squares", nonlinear_least_squares, "most", "most", NO_COUNT),
    ("nonlinear_least_squares", nonlinear_least_squares, "frequencies", "frequencies", [*NO_RANGE, (0, 0.1)]),
    ("sparse_bayesian", lib.sparse_bayesian, "process", "process", [None, *NO_PROCESS]),
    ("sparse_bayesian", partial(lib.sparse_bayesian, ANY), "noise_std", "noise_std", without(NO_WEIGHT, None)),
    ("sparse_bayesian", partial(lib.sparse_bayesian, ANY), "iterations", "iterations", NO_COUNT),
    ("sparse_bayesian", partial(lib.sparse_bayesian, ANY), "trend", "trend", without(NO_NAME, None)),
    ("broad_lines", lib.broad_lines, "updates", "updates", NO_COUNT),
    ("auto_forecaster", lib.auto_forecaster, "process", "process", NO_PROCESS),
    ("known_period_oracle", known_period_oracle, "batch", "batch", [None, "batch", WINDOWS, [BATCH], 5]),
    ("window_forecaster", lib.window_forecaster, "estimate", "estimate", NO_FUNCTION),
    ("window_forecaster", partial(lib.window_forecaster, len), "minimum", "minimum", NO_COUNT),
    (
        "window_forecaster",
        partial(lib.window_forecaster, len, 12),
        "maximum",
        "maximum",
        without([*NO_WHOLE, 11], None),
    ),
    ("window_forecaster", partial(lib.window_forecaster, len), "distribution", "distribution", NO_FUNCTION[1:]),
    ("network_forecaster", lib.network_forecaster, "network", "network", [*NO_FUNCTION, *NO_NETWORK]),
    ("conformal", partial(lib.conformal, lookback=WINDOWS, future=LATER), "forecaster", "forecaster", NO_FORECASTER),
    ("conformal", partial(INTERVALS, WINDOWS, 2), "coverage", "coverage", [*NO_SHARE, 0.99]),
    ("central_interval", partial(central_interval, coverage=0.9), "distribution", "distribution", [None, WINDOWS]),
    ("central_interval", partial(central_interval, NORMAL), "coverage", "coverage", [*NO_SHARE, 1 - 1e-12]),
    ("SmallLSTM", SmallLSTM, "hidden", "hidden", NO_COUNT),
    ("SentinelLSTM", SentinelLSTM, "hidden", "hidden", NO_COUNT),
    ("Seq2SeqGRU", Seq2SeqGRU, "features", "features", NO_NAME),
    ("Seq2SeqGRU", Seq2SeqGRU, "encoder", "encoder", [*NO_WHOLE, 11, HUGE]),
    ("Seq2SeqGRU", Seq2SeqGRU, "lookback", "lookback", NO_COUNT),
    ("Seq2SeqGRU", Seq2SeqGRU, "step_weight", "step_weight", NO_WEIGHT),
    ("Seq2SeqGRU", Seq2SeqGRU, "width", "width", [*without(NO_COUNT, None), 5]),
    ("CurriculumGRU", CurriculumGRU, "features", "features", NO_NAME),
    ("CurriculumGRU", CurriculumGRU, "lookback", "lookback", NO_COUNT),
    ("CurriculumGRU", CurriculumGRU, "step_weight", "step_weight", NO_WEIGHT),
    ("WienerNetwork", WienerNetwork, "hidden", "hidden", NO_COUNT),
    ("WienerNetwork", WienerNetwork, "refinements", "refinements", [*NO_WHOLE, HUGE]),
    ("WienerNetwork", WienerNetwork, "spacing", "spacing", [*NO_WEIGHT, 0, 0.6, 1e-12]),
    ("WienerNetwork", WienerNetwork, "lookback", "lookback", NO_COUNT),
    (
        "HarmonicProcess",
        HarmonicProcess,
        "components",
        "components",
        [*NO_RANGE, 0, 2.5, "3", HUGE, (1, 2.0), (1.5, 3)],
    ),
    (
        "HarmonicProcess",
        HarmonicProcess,
        "periods",
        "periods",
        [*NO_RANGE, 1, (1, 99), (2.5, 99), 2.5, "3", HUGE, -5],
    ),
    ("HarmonicProcess", HarmonicProcess, "integer_periods", "integer", NO_FLAG),
    ("HarmonicProcess", HarmonicProcess, "noise_std", "noise_std", [*NO_RANGE, -0.1, (0, 0.1), "0.1", math.inf]),
    ("HarmonicProcess", HarmonicProcess, "uniform", "uniform", [*NO_NAME, "frequency"]),
    ("HarmonicProcess, sample", sampled, "batch_size", "batch_size", NO_COUNT),
    ("HarmonicProcess, sample", sampled, "length", "length", [*NO_COUNT, 5]),
    ("HarmonicProcess, sample", sampled, "lookback", "lookback", [*NO_COUNT, 13]),
    ("HarmonicProcess, sample", sampled, "generator", "generator", [None, 5, np.random.default_rng(0), "data"]),
    (
        "HarmonicProcess, sample",
        sampled,
        "dtype",
        "dtype",
        [np.zeros(0), None, "float32", float, torch.int64, torch.float16],
    ),
    ("HarmonicProcess, prior", ANY.prior, "spacing", "spacing", [*NO_WEIGHT, 0, 1e-15]),
    ("SignalBatch", batch, "observed", "observed|clean", [None, WINDOWS.numpy(), WINDOWS[0], WINDOWS[:0], WINDOWS[:2]]),
    ("SignalBatch", batch, "amplitudes", "amplitudes", [None, BATCH.amplitudes.tolist(), BATCH.amplitudes[:2]]),
    ("SignalBatch", batch, "noise_std", "noise_std", [None, 0.1, BATCH.noise_std[:1]]),
    ("SignalBatch", batch, "lookback", "lookback", [*NO_COUNT, 41]),
    (
        "SignalBatch, concatenate",
        SignalBatch.concatenate,
        "batches",
        "batches",
        [None, [], [None], 5],
    ),
    (
        "SignalBatch, rows",
        BATCH.__getitem__,
        "rows",
        "rows",
        [None, "a", 1.5, 99, [7], 0, True, {}, torch.tensor([7]), torch.tensor(1.0), torch.tensor(0)],
    ),
    ("random_stream", partial(random_stream, purpose="data"), "seed", "seed", NO_WHOLE[:-1]),
    ("random_stream", partial(random_stream, 0), "purpose", "purpose", [None, 5, b"data", ["data"]]),
    (
        "random_stream",
        partial(random_stream, 0, "data"),
        "device",
        "device",
        [None, "tpu", "cuda:99", 5.5, "meta", 2**63],
    ),
    ("Prediction", prediction, "mean", "mean|std", [None, WINDOWS.numpy(), WINDOWS[0], WINDOWS[:2]]),
    ("Prediction", prediction, "std", "std", [None, 1.0, -WINDOWS.abs(), WINDOWS[:2].abs(), holed(math.nan)]),
    ("Prediction", prediction, "noise_std", "noise_std", [None, 0.1, -torch.ones(3, 1), torch.ones(2, 1), WINDOWS]),
    ("Stage", partial(Stage, steps=2), "process", "process", [None, *NO_PROCESS, (), (PROCESS, None)]),
    ("Stage", partial(Stage, PROCESS), "steps", "steps", NO_COUNT),
    ("Stage", partial(Stage, PROCESS, 2), "lookback", "lookback", NO_COUNT),
    ("Stage", partial(Stage, PROCESS, 2), "horizon", "horizon", NO_COUNT),
    ("Stage", partial(Stage, PROCESS, 2), "teacher_forcing", "teacher_forcing", [*NO_WEIGHT, 1.1]),
    *(("TrainingConfig", TrainingConfig, name, name, NO_COUNT) for name in ("batch_size", "report_every")),
    ("TrainingConfig", TrainingConfig, "seed", "seed", NO_WHOLE[:-1]),
    ("TrainingConfig", TrainingConfig, "validation_size", "validation_size", NO_COUNT),
    ("TrainingConfig", TrainingConfig, "warmup_steps", "warmup_steps", NO_WHOLE),
    *(
        ("TrainingConfig", TrainingConfig, name, name, [*NO_WEIGHT, 0])
        for name in ("learning_rate", "adam_epsilon", "clip_norm")
    ),
    ("TrainingConfig", TrainingConfig, "muon_rate", "muon_rate", NO_WEIGHT),
    ("TrainingConfig", TrainingConfig, "final_rate", "final_rate", [*NO_WEIGHT, 1.1]),
    ("TrainingConfig", TrainingConfig, "decay", "decay", NO_NAME),
    ("Run", partial(Run, stages=RUN.stages, config=RUN.config), "network", "network", [None, SmallLSTM(4), "a", len]),
    ("Run", partial(Run, SmallLSTM, config=RUN.config), "stages", "stage", [None, (), RUN.stages[0], (None,), "a"]),
    ("Run", partial(Run, SmallLSTM, RUN.stages), "config", "config", [None, {}, TrainingConfig]),
    ("Run", partial(Run, Seq2SeqGRU, config=RUN.config), "stages", "lookback of 100", [RUN.stages]),
    ("Run, with_seed", RUN.with_seed, "seed", "seed", NO_WHOLE[:-1]),
    ("Study", partial(lib.Study, steps=len, training={}), "network", "network", [None, "a", 5, len, SmallLSTM(4)]),
    ("Study", partial(lib.Study, SmallLSTM, training={}), "steps", "steps", NO_FUNCTION),
    ("Study", partial(lib.Study, SmallLSTM, len), "training", "training", [None, 5, "a", [1], {"a": len}]),
    ("Study", partial(lib.Study, SmallLSTM, len, {}), "settings", "settings", [None, 5, "a", [1], {1: 2}]),
    ("Study", partial(lib.Study, SmallLSTM, len, {}), "seed", "seed", NO_WHOLE[:-1]),
    ("load_trained", load_trained, "runs", "runs|name", [None, RUN, [RUN], {"a": None}, {"../a": RUN}, {5: RUN}]),
    ("seeded", partial(lib.seeded, run=RUN, seeds=2), "name", "name", NO_NAME[:5] + NO_NAME[6:]),
    ("seeded", partial(lib.seeded, "a", seeds=2), "run", "run", [None, SmallLSTM(4), {}]),
    ("seeded", partial(lib.seeded, "a", RUN), "seeds", "seeds", NO_COUNT),
    ("train", trained, "run", "run", [None, SmallLSTM(4), {}, [RUN]]),
    ("train", trained, "run_dir", "run_dir", [None, 5, b"run", ["run"], ""]),
    ("train", trained, "device", "device", [None, "tpu", "cuda:99", 5.5, "meta", 2**63]),
    ("train", trained, "threads", "threads", NO_COUNT),
    ("train", trained, "progress", "progress", [None, "yes", 5]),
    ("train_missing", partial(lib.train_missing, notebook="99"), "runs", "runs", [None, RUN, [RUN], {"a": None}]),
    ("train_missing", partial(lib.train_missing, notebook="99"), "runs", "name", [{"../a": RUN}, {5: RUN}]),
    ("train_missing", partial(lib.train_missing, {}), "notebook", "name", ["../a", None, 5, "", "/tmp/a"]),
    ("train_missing", partial(lib.train_missing, {}, "99"), "processes", "processes", NO_COUNT),
    ("FrozenSet", partial(lib.FrozenSet, process=PROCESS), "name", "name", [None, 5, ["a"], ""]),
    ("FrozenSet", partial(lib.FrozenSet, "a"), "process", "process", [None, *NO_PROCESS]),
    *(
        ("FrozenSet", partial(lib.FrozenSet, "a", PROCESS), name, name, NO_COUNT)
        for name in ("size", "lookback", "horizon")
    ),
    ("Grid", lib.Grid, "components", "components", [None, 3, (), "ab", (0,), (2.5,), {1: 2}]),
    ("Grid", lib.Grid, "noise_std", "noise_std", [None, 0.1, (), (-0.1,), (math.nan,), ("a",)]),
    ("Grid", lib.Grid, "integer_periods", "integer_periods", [None, True, (), ("yes",)]),
    ("Grid", lib.Grid, "periods", "periods", NO_RANGE),
    *(("Grid", lib.Grid, name, name, NO_COUNT) for name in ("size", "lookback", "horizon")),
    ("score", partial(lib.score, test=TEST, horizon=5), "forecaster", "forecaster", NO_FORECASTER),
    ("score", partial(lib.score, lib.persistence(), horizon=5), "test", "test", [None, "mixtures_3_6", BATCH, WINDOWS]),
    ("score", partial(lib.score, lib.persistence(), TEST), "horizon", "horizon", [*NO_COUNT, 11]),
    ("evaluate", partial(lib.evaluate, grid=GRID), "forecasters", "forecaster", [*NO_FORECASTER, {}, {5: len}, [len]]),
    ("evaluate", partial(lib.evaluate, {"a": lib.persistence()}), "grid", "grid", ["small", 5, TEST, {}]),
    ("evaluate", partial(lib.evaluate, {}, GRID), "oracles", "oracle", [{"a": None}, [len], "oracle", {5: len}]),
    ("over_horizon", partial(lib.over_horizon, horizon=10), "table", "table", [None, "grid", {}, pd.DataFrame()]),
    ("over_horizon", partial(lib.over_horizon, TABLE), "horizon", "horizon", [*NO_COUNT, 7]),
    ("over_horizon", partial(lib.over_horizon, TABLE, 10), "components", "components", [None, 7, "ten", math.nan, ()]),
    ("over_horizon", partial(lib.over_horizon, TABLE, 10), "colour", "colour", ["red"]),
    ("single_steps", single_steps, "table", "table", [None, "grid", {}, pd.DataFrame()]),
    (
        "single_steps",
        partial(single_steps, TABLE),
        "method",
        "method",
        [None, "nothing", [], 5, np.zeros(0), [[1]]],
    ),
    ("single_steps", partial(single_steps, TABLE), "colour", "colour", ["red"]),
    (
        "bootstrap_interval",
        lib.bootstrap_interval,
        "samples",
        "samples",
        [None, "abc", [], ["a"], np.zeros(()), np.zeros((0, 3)), np.array([1, math.nan]), [[1], [1, 2]], 5, [1j]],
    ),
    ("bootstrap_interval", partial(lib.bootstrap_interval, SERIES), "confidence", "confidence", NO_SHARE),
    ("bootstrap_interval", partial(lib.bootstrap_interval, SERIES), "resamples", "resamples", NO_COUNT),
    ("bootstrap_interval", partial(lib.bootstrap_interval, SERIES), "block", "block", [*NO_COUNT, 41]),
    ("load_measured", load_measured, "name", "name", NO_NAME),
    ("measured_windows", measured_windows, "name", "name", NO_NAME),
    ("measured_windows", partial(measured_windows, "oil"), "lookback", "lookback", NO_COUNT),
    ("measured_windows", partial(measured_windows, "oil"), "horizon", "horizon", NO_COUNT),
    (
        "relative_errors",
        partial(relative_errors, lookback=WINDOWS, future=LATER),
        "forecaster",
        "forecaster",
        NO_FORECASTER,
    ),
    (
        "normal_crps",
        partial(normal_crps, truth=torch.zeros(2, 3)),
        "distribution",
        "distribution",
        [None, WINDOWS, 5],
    ),
    (
        "normal_crps",
        partial(normal_crps, NORMAL),
        "truth",
        "truth",
        [None, 0.5, np.zeros((2, 3)), torch.zeros(2, 4), torch.zeros(2, 3).long(), torch.full((2, 3), math.nan)],
    ),
    (
        "calibration",
        partial(calibration, truth=torch.zeros(2, 3), coverages=(0.5,)),
        "distribution",
        "distribution",
        [None, WINDOWS, 5],
    ),
    (
        "calibration",
        partial(calibration, NORMAL, coverages=(0.5,)),
        "truth",
        "truth",
        [None, 0.5, np.zeros((2, 3)), torch.zeros(2, 4), torch.full((2, 3), math.nan)],
    ),
    (
        "calibration",
        partial(calibration, NORMAL, torch.zeros(2, 3)),
        "coverages",
        "coverage",
        [None, 0.5, np.array(0.5), "ab", (0.5, 1), (math.nan,)],
    ),
    ("check_forecaster", lib.check_forecaster, "forecaster", "forecaster", NO_FORECASTER),
    ("check_forecaster", partial(lib.check_forecaster, len), "length", "length", NO_COUNT),
    ("check_forecaster", partial(lib.check_forecaster, len), "horizon", "horizon", NO_COUNT),
    ("check_forecaster", partial(lib.check_forecaster, len), "any_unit", "any_unit", NO_FLAG),
    (
        "forecast",
        partial(lib.forecast, horizon=5),
        "series",
        "series",
        [
            *(None, 5, "series", b"series", {}, {1, 2}, [], ["a"] * 30, [None] * 30, [1j] * 30),
            *([True, False] * 15, [Decimal(1), Decimal(2)] * 15, [[1], [1, 2]], SERIES[None], SERIES[:2]),
            *(SERIES.astype(complex), np.full(30, math.nan), [*SERIES, math.inf], pd.DataFrame(), object()),
            *(pd.Series(SERIES, [*range(39), 99]), pd.Series(SERIES, [*range(20), *range(20)])),
            *(pd.Series(pd.date_range("2026", periods=30)), pd.Series(SERIES).astype(str), iter(SERIES)),
            *(torch.tensor(SERIES).to("meta"), torch.tensor(SERIES)[None], np.ma.masked_array(SERIES, SERIES > -1)),
        ],
    ),
    ("forecast", partial(lib.forecast, SERIES), "horizon", "horizon", NO_COUNT),
    ("forecast", partial(lib.forecast, SERIES, 5), "coverage", "coverage", without(NO_SHARE, None)),
    ("forecast", partial(lib.forecast, SERIES, 5), "level", "level", [0.9, 100, -5, "90", [80, None], math.nan, HUGE]),
    ("forecast", partial(lib.forecast, SERIES, 5), "seasons", "seasons", [1, 2.5, "12", [7, None], HUGE]),
    ("forecast", partial(lib.forecast, SERIES, 5), "periods", "periods", [1, "12", [7, None], math.inf]),
    ("load_forecaster", lib.load_forecaster, "name", "name", [*NO_NAME, "small_lstm/", "/etc/passwd", "a" * 300]),
    *(
        (
            function.__name__,
            function,
            argument,
            "name|published",
            [*NO_NAME, "/etc/passwd", "00_overview.json", "a" * 300],
        )
        for function, argument in ((load_metrics, "name"), (lib.load_benchmark, "name"), (lib.load_table, "name"))
    ),
]
CALIBRATED = {  # with windows alone
    "noise_level of the lookback": noise_level,
    "conformal with lookback": lambda windows: lib.conformal(lib.persistence(), windows, LATER),
    "conformal with future": lambda windows: lib.conformal(lib.persistence(), WINDOWS, windows),
    "relative_errors with lookback": lambda windows: relative_errors(lib.persistence(), windows, LATER),
    "relative_errors with future": lambda windows: relative_errors(lib.persistence(), WINDOWS, windows),
}
BAD_ESTIMATES = {
    "None": lambda x: None,
    "a list": lambda x: x[:, :5].tolist(),
    "an array": lambda x: x[:, :5].numpy(),
    "one step": lambda x: x[:, :1],
    "too many steps": lambda x: x,
    "without a batch": lambda x: x[0, :5],
    "NaN": lambda x: math.nan * x[:, :5],
    "infinity": lambda x: math.inf * (1 + x[:, :5].abs()),
    "complex numbers": lambda x: x[:, :5].cdouble(),
}


class Answering(nn.Module):
    """A network that answers with whatever a function makes of the windows."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forecast(self, lookback, horizon):
        return self.answer(lookback)


def by_network(estimate):
    return lib.network_forecaster(Answering(estimate))(WINDOWS, 5)


def by_distribution(parts):
    return lib.window_forecaster(len, distribution=lambda x, horizon: parts(x)).distribution(WINDOWS, 5)


ANSWERED_BY = {  # somebody else's function, which answers with something odd
    "window_forecaster: what estimate": estimating,
    "network_forecaster: what forecast": by_network,
    "score: what forecaster": lambda answer: lib.score(lambda x, horizon: answer(x), TEST, 5),
    "evaluate: what forecaster": lambda answer: lib.evaluate({"a": lambda x, horizon: answer(x)}, GRID),
    "conformal: what forecaster": lambda answer: lib.conformal(lambda x, horizon: answer(x), WINDOWS, LATER[:, :5]),
}
BAD_DISTRIBUTIONS = {
    "None": lambda x: None,
    "two of three": lambda x: (x[:, :5], x[:, :5]),
    "a deviation of one step": lambda x: (x[:, :5], x[:, :1], x[:, :1]),
    "lists": lambda x: ([1], [1], [1]),
    "NaN": lambda x: (x[:, :5], math.nan * x[:, :5], x[:, :1]),
    "deviations below 0": lambda x: (x[:, :5], -1 - x[:, :5].abs(), -x[:, :1].abs()),
}


def spelt(value):
    return f"{type(value).__name__} {value!r}"


def refused():
    """Groups of calls that are to be refused: what they are, each by what is odd, and what a sentence has to hold."""
    for name, call in CALLED.items():
        yield f"{name}: windows", {what: partial(call, odd, 5) for what, odd in BAD_WINDOWS.items()}, "lookback"
        yield f"{name}: horizon", {spelt(odd): partial(call, WINDOWS.float(), odd) for odd in NO_COUNT}, "horizon"
    for word, call in CALIBRATED.items():
        yield f"{word}: windows", {what: partial(call, odd) for what, odd in BAD_WINDOWS.items()}, word.split()[-1]
    for name, function, argument, word, values in REFUSED_SETTINGS:
        yield f"{name}: {argument}", {spelt(odd): partial(function, **{argument: odd}) for odd in values}, word
    for name, call in ANSWERED_BY.items():
        yield (
            f"{name} returns",
            {what: partial(call, answer) for what, answer in BAD_ESTIMATES.items()},
            "estimate|forec",
        )
    answers = {what: partial(by_distribution, parts) for what, parts in BAD_DISTRIBUTIONS.items()}
    yield "window_forecaster: what distribution returns", answers, "estimate|distribution|std"


REFUSED = {what: (calls, word) for what, calls, word in refused()}


@pytest.mark.parametrize("what", REFUSED)
def test_what_means_nothing_is_refused_in_one_sentence_and_leaves_nothing_behind(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "build"))
    calls, word = REFUSED[what]
    faults = {odd: fault for odd, call in calls.items() if (fault := fault_of(call, word))}
    assert not faults
    assert not list(tmp_path.iterdir())


def fault_of(call, word):
    """What is wrong with how a call is refused, or None: by one clear sentence, with no other error in sight."""
    try:
        answer = call()
    except (ValueError, TypeError) as error:
        sentence = str(error)
        if error.__context__ is not None and not error.__suppress_context__:
            return f"raised while another error was handled: {error.__context__!r}"
        return None if is_sentence(sentence) and re.search(word, sentence) else f"no sentence about {word}: {sentence}"
    except Exception as error:
        return f"raw: {error!r}"
    return f"answered: {answer!r}"


def is_sentence(text):
    """One line that says what was expected and what came."""
    return "\n" not in text and len(text) <= 250 and re.search(r"\bgot\b|there are|needs", text)


def ahead_of(forecaster, windows, horizon=5):
    """The forecast, where those that were held at the limit are meant to be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)
        return forecaster(windows, horizon)


def near(one, other):
    """Equal but for rounding: LAPACK's answers depend on where in memory a matrix lies."""
    return torch.allclose(one.double(), other.double(), rtol=0, atol=1e-6 if one.dtype == torch.float32 else 1e-9)


each_forecaster = pytest.mark.parametrize("forecaster", FORECASTERS.values(), ids=FORECASTERS)


@each_forecaster
def test_windows_in_any_unit_have_the_same_forecast(forecaster):
    """… down to rounding, also that of the subnormal numbers."""
    for dtype, powers in ((torch.float64, (-1000, -40, 40, 1020)), (torch.float32, (-120, 120))):
        plain = ahead_of(forecaster, WINDOWS.to(dtype))
        for unit in (2.0**power for power in powers):
            assert near(ahead_of(forecaster, unit * WINDOWS.to(dtype)) / unit, plain), (dtype, unit)
    small = WINDOWS * 2.0**-1070
    expected = ahead_of(forecaster, small * 2.0**1000) * 2.0**-1000
    assert (ahead_of(forecaster, small) - expected).abs().max() <= 1e-323


def test_windows_near_the_end_of_all_numbers_are_answered_or_refused():
    for forecaster in FORECASTERS.values():
        for windows in (WINDOWS / WINDOWS.abs().max() * 1.7e308, (WINDOWS / WINDOWS.abs().max()).float() * 3e38):
            try:
                assert torch.isfinite(ahead_of(forecaster, windows)).all()
            except ValueError as error:
                assert re.search(r"beyond the range of torch.float\d\d; give", str(error))


def inference(windows):
    with torch.inference_mode():
        return windows.clone()


LAYOUTS = {
    "with a gradient": lambda x: x.clone().requires_grad_(),
    "a parameter": nn.Parameter,
    "of inference mode": inference,
    "transposed in memory": lambda x: x.T.contiguous().T,
    "every second number of another": lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
    "a lazy negative": lambda x: torch.complex(x, -x).conj().imag,
    "parts of others": lambda x: torch.cat([x, x], dim=1)[:, : x.shape[1]],
}


@each_forecaster
def test_how_windows_lie_in_memory_changes_nothing(forecaster):
    plain = ahead_of(forecaster, WINDOWS)
    for what, turned in LAYOUTS.items():
        ahead = ahead_of(forecaster, turned(WINDOWS))
        assert near(ahead, plain) and not ahead.requires_grad, what
    repeated = ahead_of(forecaster, WINDOWS[:1].expand(3, -1))
    assert torch.allclose(repeated, plain[:1].expand(3, -1), rtol=0, atol=1e-6)


KINDS = {
    "a list": (lambda x: x.tolist(), WINDOWS),
    "an array": (lambda x: x.numpy(), WINDOWS),
    "an array that cannot be written to": (lambda x: np.broadcast_to(x.numpy(), x.shape), WINDOWS),
    "a data frame": (lambda x: pd.DataFrame(x.numpy()), WINDOWS),
    "a nullable data frame": (lambda x: pd.DataFrame(x.numpy()).convert_dtypes(), WINDOWS),
    "an array of single precision": (lambda x: x.numpy(), WINDOWS.float()),
    "an array of short floats": (lambda x: x.numpy().astype(np.float16), WINDOWS.half().double()),
    "whole numbers": (lambda x: x.long().tolist(), WINDOWS.round()),
    "one series": (lambda x: pd.Series(x[0].numpy(), pd.date_range("2026", periods=x.shape[1])), WINDOWS[:1]),
    "one series in reverse": (lambda x: x[0].flip(0).numpy()[::-1], WINDOWS[:1]),
}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", ["linear_prediction", "broad_lines", "network_forecaster, WienerNetwork"])
def test_windows_of_any_kind_have_the_forecast_of_a_tensor(name, what):
    converted, windows = KINDS[what]
    forecaster, odd = FORECASTERS[name], converted(windows)
    ahead = ahead_of(forecaster, odd)
    assert ahead.dtype == windows.dtype and near(ahead, ahead_of(forecaster, windows))
    if hasattr(forecaster, "distribution"):
        assert near(forecaster.distribution(odd, 5).std, forecaster.distribution(windows, 5).std)


def test_calibration_takes_arrays_and_a_network_itself_takes_tensors():
    lookback, future = WINDOWS.numpy(), LATER.numpy()
    for reach, plain in zip(
        lib.conformal(lib.persistence(), lookback, future)(lookback, 2, 0.5), INTERVALS(WINDOWS, 2, 0.5), strict=True
    ):
        assert torch.equal(reach, plain)
    assert torch.equal(noise_level(lookback), noise_level(WINDOWS))
    errors = relative_errors(lib.persistence(), lookback, future)
    assert torch.equal(errors, relative_errors(lib.persistence(), WINDOWS, LATER))
    with pytest.raises(ValueError, match="lookback must be a floating-point tensor"):
        SmallLSTM(4).forecast(lookback, 5)


@each_forecaster
def test_whole_numbers_of_any_type_and_short_numbers_are_welcome(forecaster):
    plain = ahead_of(forecaster, WINDOWS)
    for horizon in (np.int64(5), np.uint8(5), torch.tensor(5), np.array(5)):
        assert near(ahead_of(forecaster, WINDOWS, horizon), plain)
    for dtype in (torch.float16, torch.bfloat16):
        short, double = WINDOWS.to(dtype), ahead_of(forecaster, WINDOWS.to(dtype).double())
        ahead = ahead_of(forecaster, short)
        assert ahead.dtype == dtype and torch.allclose(ahead.double(), double, rtol=torch.finfo(dtype).eps, atol=1e-2)


IMPULSE = torch.eye(30, dtype=torch.float64)
EXTREMES = {
    "zeros": torch.zeros(1, 30, dtype=torch.float64),
    "ones": torch.ones(1, 30, dtype=torch.float64),
    "an alternation": (-1.0) ** torch.arange(30, dtype=torch.float64)[None],
    "impulses": IMPULSE[[0, 15, 29]],
    "a step": (torch.arange(30) >= 15).double()[None],
    "a growing exponential": torch.exp2(torch.arange(30).double() * 30)[None],
    "the largest and the smallest of numbers": 1e307 * IMPULSE[:1] + 5e-324,
    "a large mean": 1e12 + WINDOWS,
}


@each_forecaster
def test_windows_of_extremes_have_finite_forecasts_within_the_limit(forecaster):
    for what, windows in EXTREMES.items():
        ahead = ahead_of(forecaster, windows)
        assert torch.isfinite(ahead).all() and (ahead.abs() <= 3 * windows.abs().max()).all(), what
    together = ahead_of(forecaster, torch.cat([WINDOWS, 1e200 * WINDOWS, 1e-200 * WINDOWS]))
    parts, plain = together.split(3), ahead_of(forecaster, WINDOWS)
    for part, unit in zip(parts, (1, 1e200, 1e-200), strict=True):
        assert torch.allclose(part / unit, plain, rtol=0, atol=1e-6)


@each_forecaster
def test_a_far_horizon_begins_like_a_near_one(forecaster):
    far = ahead_of(forecaster, WINDOWS, 1000)
    assert far.shape == (3, 1000) and torch.isfinite(far).all()
    assert torch.allclose(far[:, :5], ahead_of(forecaster, WINDOWS), rtol=0, atol=1e-6)


@each_forecaster
def test_the_shortest_window_that_a_forecaster_names_has_a_forecast_and_a_shorter_one_has_not(forecaster):
    shortest = max(forecaster.minimum, getattr(getattr(forecaster, "network", None), "lookback", 1))
    ahead = ahead_of(forecaster, WINDOWS[:, -shortest:])
    assert ahead.shape == (3, 5) and torch.isfinite(ahead).all()
    shorter = partial(forecaster, WINDOWS[:, : shortest - 1], 5)
    assert not fault_of(shorter, f"lookback must have at least {shortest} samples")


SAME_SETTINGS = {  # as NumPy and others spell them: (function, odd, plain)
    "linear_prediction": (lib.linear_prediction, (np.int64(8), Fraction(1, 2)), (8, 0.5)),
    "tufts_kumaresan": (tufts_kumaresan, (np.uint8(8), torch.tensor(3)), (8, 3)),
    "burg": (burg, (np.int16(8),), (8,)),
    "cadzow": (cadzow, (np.int64(6), np.int8(2)), (6, 2)),
    "matrix_pencil": (lib.matrix_pencil, (np.array(6), np.True_), (6, True)),
    "linear_mmse": (partial(lib.linear_mmse, PROCESS), (np.float32(0.5),), (0.5,)),
    "nonlinear_least_squares": (nonlinear_least_squares, (np.int64(3), [np.float64(0.01), 0.5]), (3, (0.01, 0.5))),
    "sparse_bayesian": (partial(lib.sparse_bayesian, PROCESS), (np.int64(1), np.int64(5)), (1.0, 5)),
    "HarmonicProcess": (
        lambda *ranges: lib.linear_mmse(HarmonicProcess(*ranges)),
        ([np.int64(1), 3], (np.float32(2), np.int8(20)), np.True_),
        ((1, 3), (2, 20), True),
    ),
}


@pytest.mark.parametrize("name", SAME_SETTINGS)
def test_settings_may_be_numbers_of_any_type(name):
    function, odd, plain = SAME_SETTINGS[name]
    assert near(ahead_of(function(*odd), WINDOWS), ahead_of(function(*plain), WINDOWS))


def test_a_run_of_odd_numbers_is_the_run_of_plain_ones():
    """… by its fingerprint, and may be written down."""
    numbers = {"batch_size": np.int64(2), "validation_size": np.uint8(2), "seed": np.int64(0), "muon_rate": Fraction(0)}
    stage = Stage(PROCESS, np.int64(2), np.int32(12), teacher_forcing=np.float32(0))
    assert Run(SmallLSTM, (stage,), TrainingConfig(**numbers), {"hidden": np.int64(4)}).fingerprint == RUN.fingerprint
    assert [run.fingerprint for run in lib.seeded("a", RUN, np.int64(1)).values()] == [RUN.fingerprint]
    weighted = [Run(CurriculumGRU, (Stage(PROCESS, 2),), RUN.config, {"step_weight": w}) for w in (1, 1.0)]
    assert weighted[0] == weighted[1] and weighted[0].fingerprint == weighted[1].fingerprint


def test_streams_and_signals_are_those_of_plain_numbers():
    first, second = sampled(batch_size=np.int64(2), generator=random_stream(np.int64(0), "odd inputs")), sampled()
    assert torch.equal(first.observed, second.observed)
    rows = (slice(1, 2), torch.tensor([1]), torch.tensor([False, True]), np.array([1]), np.array([False, True]))
    assert all(torch.equal(second[row].observed, second.observed[1:]) for row in rows)


LONG = HarmonicProcess((1, 3), (2, 20), noise_std=0.1).sample(
    1, 5000, 5000, generator=random_stream(0, "odd inputs"), dtype=torch.float64
)


@pytest.mark.parametrize("name", ["persistence", "dft_extrapolation", "tufts_kumaresan", "autoregression", "burg"])
def test_windows_of_5000_samples_are_nothing_special(name):
    """Nor are they for linear prediction, nonlinear least squares, sparse Bayesian inference: see their own tests."""
    ahead = ahead_of(FORECASTERS[name], LONG.past)
    assert ahead.shape == (1, 5) and torch.isfinite(ahead).all()


@pytest.mark.parametrize("name", ["linear_mmse", "cadzow", "matrix_pencil"])
def test_windows_are_refused_where_their_cost_grows_with_the_cube(name):
    with pytest.raises(
        ValueError, match="at most 5,000 samples, for the cost grows with the cube: got 5001; give the last"
    ):
        FORECASTERS[name](torch.ones(1, 5001), 5)


@pytest.mark.parametrize("unit", [1e300, 1e250, 1e-250, 1e-300])
def test_noise_has_the_unit_of_its_windows(unit):
    assert torch.allclose(noise_level(unit * WINDOWS) / unit, noise_level(WINDOWS), rtol=1e-9)
    with pytest.raises(ValueError, match=r"noise_std must be at most 1e\+100 peaks of the window, got 1e\+200"):
        lib.sparse_bayesian(PROCESS, 1e200)(WINDOWS, 5)


def test_scores_at_the_end_of_all_numbers():
    tiny = Normal(torch.zeros(1), 1e-38)
    assert normal_crps(tiny, torch.full((1,), 3e38)) == 3e38
    with pytest.raises(ValueError, match=r"samples must have a finite sum, got values up to 1e\+308"):
        lib.bootstrap_interval([1e308, 1e308, -1e308])
    plain = lib.bootstrap_interval(SERIES)
    for samples in (list(SERIES), torch.tensor(SERIES), pd.Series(SERIES), SERIES.astype(object).tolist()):
        assert lib.bootstrap_interval(samples) == plain
    assert lib.bootstrap_interval([1.0]) == (1.0, 1.0) and lib.bootstrap_interval([True, True]) == (1.0, 1.0)
    assert calibration(NORMAL, torch.zeros(2, 3), []).shape == (0,)


LEVEL = 3 + LONG.observed[0, :60].numpy()  # a mean, whose search squares samples
PLAIN = lib.forecast(LEVEL, 3)
SERIES_ALIKE = {
    "a list": (list, 1),
    "a tuple": (tuple, 1),
    "a tensor with a gradient": (lambda x: torch.tensor(x).requires_grad_(), 1),
    "an index": (pd.Index, 1),
    "a nullable series": (lambda x: pd.Series(x, dtype="Float64"), 1),
    "a column of objects": (lambda x: pd.Series(x, dtype=object), 1),
    "one that cannot be written to": (lambda x: np.broadcast_to(x, (2, len(x)))[1], 1),
    "a masked array without a hole": (np.ma.masked_array, 1),
    "large numbers": (lambda x: 2.0**1000 * x, 2.0**1000),
    "small numbers": (lambda x: 2.0**-1000 * x, 2.0**-1000),
}


@pytest.mark.parametrize("what", SERIES_ALIKE)
def test_a_series_of_any_kind_and_unit_has_one_forecast(what):
    spelt_as, unit = SERIES_ALIKE[what]
    table = lib.forecast(spelt_as(LEVEL), np.int64(3)) / unit
    assert np.allclose(table, PLAIN, rtol=0, atol=1e-9)


def test_the_smallest_coverage_takes_the_smallest_error():
    reach = [(high - low) / 2 for low, high in (INTERVALS(WINDOWS, 1, coverage) for coverage in (5e-324, 0.2))]
    assert torch.equal(*reach)
    with pytest.warns(DeprecationWarning, match="use level"):
        table = lib.forecast(SERIES[:24], 1, coverage=5e-324)
    assert (table["low"] <= table["mean"]).all() and (table["mean"] <= table["high"]).all()


START = np.arange(40)
INDICES = {  # of a series, and the next label, or None where there is none
    "falling numbers of no sign": (START[::-1].astype(np.uint8), -1),
    "numbers beyond half a range": (2**63 + 4096 * START.astype(np.uint64), 2**63 + 4096 * 40.0),
    "the last whole numbers": (START + (2**63 - 40), None),
    "the last times": (pd.date_range(pd.Timestamp.max.floor("D") - pd.Timedelta(days=39), periods=40, unit="ns"), None),
    "the last periods of time": (pd.timedelta_range(pd.Timedelta.max - pd.Timedelta(days=39), periods=40), None),
    "labels": (pd.CategoricalIndex(["a", "b"] * 20), 40),
    "several levels": (pd.MultiIndex.from_arrays([START, START]), 40),
    "infinite ones": (np.r_[START[:39], np.inf], None),
    "no time": (pd.DatetimeIndex([*pd.date_range("2026", periods=39), pd.NaT]), None),
}


@pytest.mark.parametrize("what", INDICES)
def test_an_index_goes_on_or_there_is_a_word(what):
    index, following = INDICES[what]
    if following is None:
        assert not fault_of(partial(lib.forecast, pd.Series(SERIES, index), 1), "equal steps.*can be continued")
    else:
        assert lib.forecast(pd.Series(SERIES, index), 1).index[0] == following


def test_every_public_name_is_in_the_table():
    """But those that are no function, and those that Python itself answers for."""
    others = {"FROZEN_SETS", "UnstableForecast"}
    assert {what.split(":")[0].split(",")[0].split()[0] for what in REFUSED} >= set(lib.__all__) - others


#: The same on every machine and every day; a slow one is not told from a hang by the clock, but by what it refuses.
quietly = partial(settings, deadline=None, derandomize=True, database=None)
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=30)
windows_of_any_kind = st.one_of(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 2), st.integers(12, 30)), elements=st.floats(allow_nan=False)),
    arrays.arrays(np.float32, st.tuples(st.integers(1, 2), st.integers(12, 30)), elements=st.floats(width=32)),
    arrays.arrays(st.sampled_from([np.float64, np.float16, np.int8, np.bool_, np.complex64]), shapes),
).map(torch.from_numpy)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(10**9),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.floats(), max_size=3),
    st.tuples(st.integers(-3, 40), st.floats()),
    arrays.from_dtype(np.dtype("int8")),
    arrays.arrays(np.float32, shapes),
)


@quietly(max_examples=150)
@given(name=st.sampled_from(sorted(FORECASTERS)), windows=windows_of_any_kind, horizon=st.integers(-1, 40) | anything)
def test_any_windows_have_a_finite_forecast_or_a_word(name, windows, horizon):
    answer = []
    fault = fault_of(lambda: answer.append(ahead_of(FORECASTERS[name], windows, horizon)), "lookback|horizon|range of")
    if answer:
        (ahead,) = answer
        assert ahead.shape == (len(windows), int(horizon)) and ahead.dtype == windows.dtype
        assert torch.isfinite(ahead).all() and (ahead.double().abs() <= 3.01 * windows.double().abs().max()).all()
    else:
        assert not fault


SETTINGS = [row for row in REFUSED_SETTINGS if row[0] not in ("train", "train_missing", "evaluate", "check_forecaster")]


@quietly(max_examples=300)
@given(setting=st.sampled_from(SETTINGS), value=anything)
def test_any_setting_is_taken_or_there_is_a_word(setting, value):
    _, function, argument, _, _ = setting
    answer = []
    fault = fault_of(lambda: answer.append(function(**{argument: value})), ".")
    assert answer or not fault


@quietly(max_examples=60)
@given(
    components=st.integers(0, 12) | st.tuples(st.integers(0, 12), st.integers(0, 12)),
    periods=st.tuples(st.floats(1, 1e10), st.floats(1, 1e10)) | st.tuples(st.integers(1, 200), st.integers(1, 200)),
    options=st.fixed_dictionaries(
        {"integer_periods": st.booleans(), "uniform": st.sampled_from(["period", "frequency"])}
    ),
    noise_std=st.floats(0, 1e7) | st.tuples(st.floats(0, 1e7), st.floats(0, 1e7)),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_any_process_gives_finite_signals_of_peak_one_or_a_word(components, periods, options, noise_std, dtype):
    answer = []
    fault = fault_of(lambda: answer.append(HarmonicProcess(components, periods, noise_std=noise_std, **options)), ".")
    if answer:
        drawn = answer[0].sample(3, 12, 10, generator=random_stream(0, "odd inputs"), dtype=dtype)
        assert torch.isfinite(torch.cat([drawn.observed, drawn.periods, drawn.amplitudes], dim=1)).all()
        assert torch.allclose(drawn.clean[:, :10].abs().amax(dim=1), torch.ones(3, dtype=dtype), atol=1e-4)
    else:
        assert not fault


@quietly(max_examples=12)
@given(
    series=arrays.arrays(np.float64, st.integers(20, 30), elements=st.floats(width=64)),
    horizon=st.integers(0, 5),
    coverage=st.floats(0, 1),
)
def test_any_series_has_a_forecast_inside_its_interval_or_a_word(series, horizon, coverage):
    answer = []
    fault = fault_of(lambda: answer.append(ahead_of(partial(lib.forecast, coverage=coverage), series, horizon)), ".")
    if answer:
        (table,) = answer
        assert np.isfinite(table).all(axis=None) and (table["low"] <= table["high"]).all() and len(table) == horizon
    else:
        assert not fault
