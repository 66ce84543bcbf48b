"""Tuning: the error as a function of each tuned constant, on windows from random streams of their own.

Each cell has windows for the choice and as many others for its check. No other result uses
either. It takes three minutes of one core.
"""

from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import product
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from experiments import worlds
from experiments.grid import ANY, WHOLE
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.measured import MEASURED, measured_windows, relative_errors
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters import broad
from harmonics_lib.forecasters.auto import Odds, few_and_many
from harmonics_lib.forecasters.sparse import CHUNK, SLACK, infer, sparse_bayesian
from harmonics_lib.forecasters.window import Window
from harmonics_lib.networks.wiener import expected_error
from harmonics_lib.paths import data_dir
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, random_stream

HORIZON = 10
FACTORS = (1 / 4, 1 / 2, 2**-0.5, 2**0.5, 2, 4)  # of one constant, the others unchanged
CHOICES = 200  # random settings of all constants of the odds, each times its own factor from 1/4 to 4
ODDS_CELLS = Grid((1, 2, 3, 5, 10, 20), (0.01, 0.03, 0.1, 0.3), size=100)
SLACK_CELLS = Grid((1, 5, 20), (0.01, 0.1, 0.3), size=50)
#: Of ``broad_lines``: the value of use first. Lines of one enormous width are white noise.
WIDTH_VALUES: dict[str, tuple] = {
    "updates": (20, 10, 40),
    "_LATER": (1 / 4, 1 / 8, 1 / 2),
    "_FALL": (2.0, 0.0, 1.0, 3.0),
    "_WIDTHS": ((0.3, 1.0, 3.0, 10.0, 30.0, 100.0), (1.0, 10.0, 100.0), (1e9,)),
}
EXPECTED_CELLS = Grid((1, 2, 5, 10, 20, 45), (0.003, 0.01, 0.03, 0.1, 0.3), (True,), size=200)


def tables() -> list[tuple]:
    """The tables ``tuning``, ``width_tuning`` and ``expected_errors``, the keys of their parts, and what computes them.

    Of the first, a row for each setting of the constants of ``auto_forecaster``'s odds, and of the
    slab of ``sparse_bayesian``: what is ``varied`` (nothing in the row "none") and by which ``factor``, the
    constants, and the geometric mean over cells of the mean squared error over ten steps, on the windows
    to choose by (``error``) and on the others (``check``).

    Of the second, a row for each value of a constant of ``broad_lines``: the geometric mean over ten worlds
    (see ``experiments.worlds``) of the mean squared error over 24 steps, as ``error`` and ``check``, and that over
    the measured series, after 100 samples and after their longer windows.

    Of the third, for each cell, the mean squared error of ``sparse_bayesian`` with its 95 % interval
    (``low``, ``high``), and the one that the loss of the noise network expects (``expected``).
    """
    settings = (FACTORS, HORIZON)
    tuned = {
        ("odds",): key(odds_errors, ODDS_CELLS, CHOICES, *settings),
        ("slack",): key(slack_errors, SLACK_CELLS, *settings),
    }
    data = [(data_dir() / f"{name}.csv").read_bytes() for name in MEASURED]
    code = key(width_errors, worlds.WORLDS, data)
    width = {(name, str(value)): code for name, values in WIDTH_VALUES.items() for value in values}
    expected = key(expected_errors, sparse_bayesian(WHOLE), EXPECTED_CELLS, HORIZON)
    cells = dict.fromkeys(EXPECTED_CELLS.cells(), expected)
    return [
        (Table("tuning", ["constants"]), tuned, tuning_errors),
        (Table("width_tuning", ["constant", "value"]), width, width_errors),
        (Table("expected_errors", ["components", "noise_std", "periods"]), cells, expected_errors),
    ]


def tuning_errors(constants: str) -> pd.DataFrame:
    """Errors for each setting of these constants: ``"odds"`` or ``"slack"``."""
    return odds_errors() if constants == "odds" else slack_errors()


def odds_errors() -> pd.DataFrame:
    """Errors of ``auto_forecaster`` for each setting of the constants of its odds."""
    used = asdict(Odds())
    rows = [{"varied": "none", "factor": 1.0} | used]
    for name, factor in product(used, FACTORS):
        rows.append({"varied": name, "factor": factor} | used | {name: factor * used[name]})
    factors = torch.empty(CHOICES, len(used), dtype=torch.float64)
    factors = 2 ** factors.uniform_(-2, 2, generator=random_stream(0, "auto tuning, choices"))
    values = (factors * torch.tensor([*used.values()], dtype=torch.float64)).tolist()
    rows += [{"varied": "all"} | dict(zip(used, choice, strict=True)) for choice in values]
    table = pd.DataFrame(rows)
    settings = [Odds(*row) for row in table[[*used]].itertuples(index=False)]

    def forecasts(window: Window, process: HarmonicProcess) -> Iterator[Tensor]:
        few, many = few_and_many(window, HORIZON, process)
        return (many.mean + odds.probability(few)[:, None] * (few.mean - many.mean) for odds in settings)

    return table.assign(**_errors(ODDS_CELLS, "auto tuning", forecasts))


def slack_errors() -> pd.DataFrame:
    """Errors of ``sparse_bayesian`` for each slack of its slab."""
    rows = [{"varied": "slack" if factor != 1 else "none", "factor": factor} for factor in (1.0, *FACTORS)]
    table = pd.DataFrame(rows).assign(slack=lambda table: SLACK * table.factor)

    def forecasts(window: Window, process: HarmonicProcess) -> Iterator[Tensor]:
        return (infer(window, HORIZON, process, slack=slack).mean for slack in table.slack)

    return table.assign(**_errors(SLACK_CELLS, "slack of the slab", forecasts))


def width_errors(constant: str, value: str) -> pd.DataFrame:
    """The errors of ``broad_lines`` with another value of one constant."""
    columns, setting = {}, literal_eval(value)
    method = broad.broad_lines(setting) if constant == "updates" else broad.broad_lines()
    with nullcontext() if constant == "updates" else patch.object(broad, constant, setting):
        for name, stream in (("error", "worlds to choose by"), ("check", "worlds to check by")):
            parts = [worlds.windows(world, stream) for world in worlds.WORLDS]
            squares = [(method(past, worlds.HORIZON) - future).square().mean() for past, future in parts]
            columns[name] = torch.stack(squares).log().mean().exp().item()
        for name, long in (("measured", False), ("measured_long", True)):
            lengths = {series: known.long if long else 100 for series, known in MEASURED.items()}
            parts = [measured_windows(series, length, worlds.HORIZON) for series, length in lengths.items()]
            squares = [relative_errors(method, *part).mean() for part in parts]
            columns[name] = torch.stack(squares).log().mean().exp().item()
    return pd.DataFrame([columns])


def expected_errors(*cell: int | float | str) -> pd.DataFrame:
    """The error of sparse Bayesian inference in a cell, and the error that the noise network's loss expects."""
    batch = windows(EXPECTED_CELLS, cell, "expected errors")
    errors = (sparse_bayesian(WHOLE)(batch.past, HORIZON) - batch.future).square().mean(dim=1).numpy()
    low, high = bootstrap_interval(errors)
    row = {"mse": errors.mean(), "low": low, "high": high, "expected": expected_error(batch)[0].item()}
    return pd.DataFrame([row])


def _errors(cells: Grid, purpose: str, forecasts: Callable) -> dict[str, np.ndarray]:
    """Geometric means over cells of the mean squared errors of S forecasts, for the choice and for the check."""
    columns = {}
    for name, stream in (("error", purpose), ("check", f"{purpose}, check")):
        logs = []
        for cell in cells.cells():
            batch = windows(cells, cell, stream)
            parts = zip(Window.of(batch.past).split(CHUNK), batch.future.split(CHUNK), strict=True)
            squares = [_squares(part, truth, forecasts, WHOLE if cell[-1] == "whole" else ANY) for part, truth in parts]
            logs.append(torch.cat(squares, dim=1).mean(dim=1).log())
        columns[name] = torch.stack(logs).mean(dim=0).exp().numpy()
    return columns


def _squares(window: Window, truth: Tensor, forecasts: Callable, process: HarmonicProcess) -> Tensor:
    """(S, B) mean squared errors of S forecasts of windows whose clean continuation is (B, H)."""
    return torch.stack([(window.unit * mean - truth).square().mean(dim=1) for mean in forecasts(window, process)])


def windows(cells: Grid, cell: tuple, purpose: str) -> SignalBatch:
    """Windows of a cell and their continuations, from their own random stream."""
    test = cells.cells()[cell]
    stream = random_stream(0, f"{purpose} {test.name} {test.process.noise_std}")
    return test.process.sample(test.size, test.lookback + HORIZON, test.lookback, generator=stream, dtype=torch.float64)
