"""How a method is scored: on a cell of the grid, on a measured series, and by the time it takes."""

import time
import warnings
from dataclasses import dataclass, replace

import pandas as pd
import torch

from experiments.peers import learned
from experiments.peers.methods import METHODS
from harmonics_lib import FrozenSet, Grid, HarmonicProcess, evaluate, random_stream
from harmonics_lib.evaluation.measured import measured_windows, relative_errors
from harmonics_lib.forecasters.base import Forecaster, UnstableForecast, cpu_threads
from harmonics_lib.signals.process import SignalBatch

CELLS = Grid(components=(1, 5, 20), noise_std=(0.0, 0.1)).cells()
CELL = ["components", "noise_std", "periods"]
HORIZONS = (10, 24)  # of the measured series
TIMED = {200: 50, 1000: 200}  # windows by which a method is timed, by the most that it forecasts of a cell


@dataclass(frozen=True)
class Opening(FrozenSet):
    """The first signals of a cell of the grid, and 24 steps after each window."""

    cell: FrozenSet | None = None

    def batch(self) -> SignalBatch:
        """The signals, (size, 124)."""
        batch, end = self.cell.batch()[: self.size], self.lookback + self.horizon
        return replace(batch, observed=batch.observed[:, :end], clean=batch.clean[:, :end])


@dataclass(frozen=True)
class OneCell(Grid):
    """The first signals of a single cell."""

    cell: tuple[int, float, str] = (1, 0.0, "whole")
    windows: int = 200

    def cells(self) -> dict[tuple[int, float, str], FrozenSet]:
        """The cell's test set."""
        whole = CELLS[self.cell]
        return {self.cell: Opening(whole.name, whole.process, self.windows, horizon=learned.HORIZON, cell=whole)}


def score_cell(name: str, *cell: int | float | str) -> pd.DataFrame:
    """The rows of ``evaluate`` for a method and a cell, by number of ``windows``; how many of these it ``failed``."""
    tables = []
    for windows in METHODS[name].windows:
        made = []  # a forecaster for the probe, then the one that is scored

        def make(batch: SignalBatch, made: list = made) -> Forecaster:
            made.append(METHODS[name].make(batch))
            return made[-1]

        table = evaluate({}, OneCell(cell=cell, windows=windows), oracles={name: make}).drop(columns=["crps", "probe"])
        tables.append(table.assign(windows=windows, failed=getattr(made[-1], "failed", 0)))
    return pd.concat(tables)


def score_series(name: str, series: str, lookback: int) -> pd.DataFrame:
    """A method's errors on a measured series, a row for each window (``origin``) and horizon."""
    past, future = measured_windows(series, lookback, max(HORIZONS))
    errors = relative_errors(METHODS[name].make(None), past, future)  # (B, H)
    rows = [
        {"method": name, "series": series, "lookback": lookback, "origin": origin, "horizon": horizon, "error": error}
        for horizon in HORIZONS
        for origin, error in enumerate(errors[:, :horizon].mean(dim=1).tolist())
    ]
    return pd.DataFrame(rows)


def three_digits(value: float) -> float:
    """Rounded as a time deserves."""
    return float(f"{value:.3g}")


def describe(name: str) -> dict:
    """What is told of a method beside its errors, with the processor's seconds for a thousand windows."""
    method, timed = METHODS[name], TIMED[METHODS[name].windows[-1]]
    process = HarmonicProcess((1, 20), (2, 99), noise_std=0.1)
    batch = process.sample(timed, 124, 100, generator=random_stream(0, "peers timing"), dtype=torch.float64)
    forecaster = method.make(batch)
    forecaster(batch.past[:2], 24)  # compiles, where something is compiled
    begun = time.process_time()
    forecaster(batch.past, 24)
    seconds = {"seconds_per_thousand": three_digits((time.process_time() - begun) * 1000 / timed)}
    if name in learned.NAMES:
        seconds["training_seconds"] = learned.training_seconds(name)
    return method.words | seconds


def score(name: str, new: bool, cells: list[tuple], series: list[tuple]) -> tuple[dict, list, list]:
    """A method's rows for these cells and these (series, lookback), with its words if it is ``new``; by one thread."""
    with cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)  # the grid's table counts them
        words = {name: describe(name)} if new else {}
        return words, [score_cell(name, *cell) for cell in cells], [score_series(name, *one) for one in series]
