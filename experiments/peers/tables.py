"""Tables of other libraries: scores on cells of the grid and on measured series, and times."""

import math
import time
from dataclasses import replace
from importlib import import_module
from itertools import product

import pandas as pd
import torch

from experiments.peers.methods import LEARNED, METHODS
from experiments.table import Table
from harmonics_lib.evaluation.grid import CELL, score_cell
from harmonics_lib.evaluation.measured import MEASURED, measured_windows, relative_errors
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, random_stream

CELLS = Grid(components=(1, 5, 20), noise_std=(0.0, 0.1)).cells()
LOOKBACK, HORIZONS = 100, (10, 24)  # of the grid ahead: the longer one
TIMING_WINDOWS = {200: 50, 1000: 200}  # windows for the timing of a method, by the most that it forecasts of a cell


def tables() -> list[tuple]:
    """The tables of the peers, the keys of their parts, and how a part is computed; what learns is trained first.

    ``peers_methods``: what each method is, its version, settings, what it assumes, and the processor's
    seconds for a thousand windows and for training. ``peers``: the columns of ``evaluate`` but ``crps``, for
    the first ``windows`` of a cell, ``failed`` of which a library gave up, where the last value stands in.
    ``peers_measured``: the mean of ``relative_errors`` over the first ``horizon`` steps after
    the window that is row ``origin`` of ``measured_windows``.
    """
    kinds = [batch[:1] for batch in map(first_windows, ((1, 0.0, "whole"), (1, 0.0, "any")))]
    keys = {name: method.key(kinds) for name, method in METHODS.items()}
    cells = [(name, *cell) for name, cell in product(METHODS, CELLS) if cell[2] in METHODS[name].periods]
    series = [
        (name, one, LOOKBACK if kind == "100" else MEASURED[one].long)
        for name, method in METHODS.items()
        for one, kind in product(MEASURED, method.lookbacks)
    ]

    def of(parts: list[tuple]) -> dict[tuple, str | None]:
        return {part: keys[part[0]] for part in parts}

    return [
        (Table("peers_methods", ["method"]), of([(name,) for name in METHODS]), describe),
        (Table("peers", ["method", *CELL]), of(cells), score_on_cell),
        (Table("peers_measured", ["method", "series", "lookback"]), of(series), score_on_series),
    ]


def first_windows(cell: tuple, windows: int = 200) -> SignalBatch:
    """The first windows of a cell, and 24 steps after each."""
    batch, end = CELLS[cell].batch()[:windows], LOOKBACK + max(HORIZONS)
    return replace(batch, observed=batch.observed[:, :end], clean=batch.clean[:, :end])


def score_on_cell(name: str, *cell: int | float | str) -> pd.DataFrame:
    """A method's rows of ``evaluate`` for a cell, by number of ``windows``; how many of these it ``failed``."""
    parts = []
    for windows in METHODS[name].windows:
        batch = first_windows(cell, windows)
        forecaster = METHODS[name].make(batch)
        rows = score_cell(forecaster, batch).drop(columns="crps")
        parts.append(rows.assign(windows=windows, failed=getattr(forecaster, "failed", 0)))
    return pd.concat(parts, ignore_index=True)


def score_on_series(name: str, series: str, lookback: int) -> pd.DataFrame:
    """A method's errors on a measured series, a row for each window (``origin``) and horizon."""
    past, future = measured_windows(series, lookback, max(HORIZONS))
    errors = relative_errors(METHODS[name].make(None), past, future)  # (B, H)
    parts = [{"horizon": horizon, "error": errors[:, :horizon].mean(dim=1)} for horizon in HORIZONS]
    table = pd.concat([pd.DataFrame(part) for part in parts]).rename_axis("origin").reset_index()
    return table.sort_values(["origin", "horizon"], ignore_index=True)


def describe(name: str) -> pd.DataFrame:
    """The description of a method, with CPU seconds for a thousand windows and, if it is trained, for training."""
    method, timed = METHODS[name], TIMING_WINDOWS[METHODS[name].windows[-1]]
    process = HarmonicProcess((1, 20), (2, 99), noise_std=0.1)
    generator = random_stream(0, "peers timing")
    batch = process.sample(timed, LOOKBACK + 24, LOOKBACK, generator=generator, dtype=torch.float64)
    forecaster = method.make(batch)
    forecaster(batch.past[:2], 24)  # triggers compilation
    begun = time.process_time()
    forecaster(batch.past, 24)
    seconds = (time.process_time() - begun) * 1000 / timed
    training = import_module("experiments.peers.learned").training_seconds(name) if name in LEARNED else math.nan
    return pd.DataFrame([method.words | {"seconds_per_thousand": seconds, "training_seconds": training}])
