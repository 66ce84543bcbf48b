"""The table of coverage: how often intervals that promise a share hold what they promise, in every cell with noise.

To tell two points from the luck of the draw takes 10,000 windows a cell, a minute and a half of one
core in all, so the table comes with ``make limit`` and the report only reads it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from harmonics_lib.evaluation.scores import calibration
from harmonics_lib.evaluation.testsets import FrozenSet, Grid
from harmonics_lib.forecasters.base import ProbabilisticForecaster
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import conformal
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, random_stream
from harmonics_lib.training.directory import write_atomically

CELLS = Grid(noise_std=(0.01, 0.03, 0.1, 0.3))
PROMISED = (0.5, 0.8, 0.95)
WINDOWS = 10_000  # for calibration, and as many to judge by
FEW = 200  # of these for sparse Bayesian inference, which is slower
HORIZON = 10


def write_coverage(path: Path, cells: Grid = CELLS, windows: int = WINDOWS, few: int = FEW) -> None:
    """Write the table to ``path``: components, noise_std, periods, intervals, promised and covered.

    The intervals, of the samples that will be observed over ten steps: ``noise network`` and
    ``sparse Bayesian`` are those of the forecaster's own distribution, ``conformal`` those of the
    noise network by split conformal prediction, calibrated on as many other windows of the cell.
    """
    network, rows = load_forecaster("noise_network"), []
    for (count, noise, periods), test in tqdm(cells.cells().items(), desc="coverage"):
        calibrated, judged = (_draw(test, windows, purpose) for purpose in ("calibration", "coverage"))
        prior = HarmonicProcess((1, 45), (2, 99), integer_periods=periods == "whole")
        shares = {
            "conformal": _conformal(network, calibrated, judged),
            "noise network": _own(network, judged),
            "sparse Bayesian": _own(sparse_bayesian(prior), tuple(part[:few] for part in judged)),
        }
        for intervals, covered in shares.items():
            cell = {"components": count, "noise_std": noise, "periods": periods, "intervals": intervals}
            rows += [cell | {"promised": p, "covered": c} for p, c in zip(PROMISED, covered, strict=True)]
    table = pd.DataFrame(rows).sort_values(list(rows[0]), ignore_index=True)
    write_atomically(path, table.to_csv(index=False, float_format="%.4f").encode())


def _draw(test: FrozenSet, windows: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Windows (B, N) of a cell and what will be observed after them, (B, H), from a stream of their own."""
    stream = random_stream(0, f"{purpose} {test.name} {test.process.noise_std}")
    batch: SignalBatch = test.process.sample(windows, test.lookback + HORIZON, test.lookback, generator=stream)
    return batch.past, batch.observed[:, test.lookback :]


def _own(forecaster: ProbabilisticForecaster, judged: tuple[Tensor, Tensor]) -> np.ndarray:
    past, future = judged
    return calibration(forecaster.distribution(past, HORIZON).observed, future, PROMISED)


def _conformal(forecaster: ProbabilisticForecaster, calibrated: tuple, judged: tuple) -> list[float]:
    intervals = conformal(forecaster, *calibrated)
    past, future = judged
    ends = [intervals(past, HORIZON, share) for share in PROMISED]
    return [((low <= future) & (future <= high)).double().mean().item() for low, high in ends]
