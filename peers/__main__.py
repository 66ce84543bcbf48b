"""``make peers``: score every method on a part of the grid and on the measured series, and time it.

What the tables have of a method in the version and with the settings of today is kept, so that a run
that was killed goes on where it was; ``make peers ANEW=1`` begins with empty tables.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from harmonics_lib import FrozenSet, Grid, HarmonicProcess, evaluate, random_stream
from harmonics_lib.forecasting import Forecaster, UnstableForecast, cpu_threads
from harmonics_lib.measured import MEASURED, measured_windows, relative_errors
from harmonics_lib.published import record_checksums, results_dir
from harmonics_lib.runs import write_atomically
from harmonics_lib.signals import SignalBatch
from peers import learned
from peers.methods import METHODS

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


class Table:
    """A published table that grows by parts, and is written after each: what it has is not computed again."""

    def __init__(self, name: str, keys: list[str]):
        self.path, self.keys = results_dir() / "metrics" / f"{name}.csv", keys
        self.rows = pd.read_csv(self.path) if self.path.exists() else pd.DataFrame(columns=keys)

    def forget(self, method: str) -> None:
        """Leave out the rows of a method that has changed."""
        self._publish(self.rows[self.rows["method"] != method])

    def add(self, key: tuple, score: Callable[..., pd.DataFrame]) -> None:
        """Add the rows ``score(*key)``, unless the table has them."""
        if not (self.rows[self.keys] == key).all(axis=1).any():
            self._publish(pd.concat([self.rows, score(*key)] if len(self.rows) else [score(*key)]))

    def _publish(self, rows: pd.DataFrame) -> None:
        self.rows = rows.sort_values(list(rows.columns[:6]), ignore_index=True)
        write(self.path, self.rows.to_csv(index=False, float_format="%.4g"))


def three_digits(value: float) -> float:
    """Rounded as a time deserves."""
    return float(f"{value:.3g}")


def write(path: Path, text: str) -> None:
    """Publish a file, with its checksum."""
    write_atomically(path, text.encode())
    record_checksums([path])


def main(names: list[str]) -> None:
    """Bring the tables up to date for the methods of these names, or all."""
    grid, series = Table("peers", ["method", *CELL]), Table("peers_measured", ["method", "series", "lookback"])
    path = results_dir() / "metrics" / "peers.json"
    notes = json.loads(path.read_text()) if path.exists() else {}
    for name in tqdm(names or METHODS, desc="methods"):
        method = METHODS[name]
        if not method.words.items() <= notes.get(name, {}).items():
            grid.forget(name)
            series.forget(name)
            notes[name] = describe(name)
            write(path, json.dumps(notes, indent=1, sort_keys=True) + "\n")
        for cell in (cell for cell in CELLS if cell[2] in method.periods):
            grid.add((name, *cell), score_cell)
        for one, kind in product(MEASURED, method.lookbacks):
            series.add((name, one, 100 if kind == "100" else MEASURED[one].long), score_series)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UnstableForecast)  # the grid's table counts them
    with cpu_threads(1):
        main(sys.argv[1:])
