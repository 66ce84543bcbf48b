"""The table of the Bayes limit: what can be reached on windows of the grid, beside what methods reach there.

It takes half an hour of one core, and so has a command of its own (``make limit``). The sampler's
columns of cells that the table has are kept; the other methods' are computed each time.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.bayes_limit import bayes_limit, exact_one_component
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.linear import known_period_oracle, linear_mmse
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch
from harmonics_lib.training.directory import write_atomically

CELLS = Grid(noise_std=(0.01, 0.03, 0.1, 0.3), integer_periods=(True,))
WINDOWS = 100
HORIZON = 10
_PROCESS = HarmonicProcess((1, 45), (2, 99))
_SWEEPS = {1: 1000, 2: 1000, 5: 1000, 10: 500, 20: 300, 45: 150}  # by components: a sweep takes 0.01 to 3 ms
_SAMPLED = ["posterior_mean", "from_nothing", "from_truth", "converged"]
_KEY = ["components", "noise_std", "window"]


def write_limit(path: Path, cells: Grid = CELLS, windows: int = WINDOWS) -> None:
    """Bring the table at ``path`` up to date, cell by cell: killed, it goes on after the last cell that it finished.

    Its columns: components, noise_std, window; the mean squared error over ten steps of
    posterior_mean (both chains), from_nothing and from_truth (each chain), exact (one component
    with the true law of its amplitude; else empty), sparse_bayesian, linear_mmse and known_periods;
    and whether the chains converged (see ``BayesLimit``).
    """
    known = dict(list(pd.read_csv(path).groupby(_KEY[:2]))) if path.exists() else {}
    for (count, noise, _), test in tqdm(cells.cells().items(), desc="Bayes limit"):
        batch = test.batch()[:windows]
        cell = pd.DataFrame({"components": count, "noise_std": noise, "window": np.arange(len(batch))})
        old = known.get((count, noise))
        sampled = _sample(batch, _SWEEPS[count]) if old is None else old.reset_index()[_SAMPLED]
        known[count, noise] = pd.concat([cell, sampled, _others(batch)], axis=1)
        table = pd.concat(known.values()).sort_values(_KEY)
        write_atomically(path, table.to_csv(index=False, float_format="%.4g").encode())


def _sample(batch: SignalBatch, sweeps: int) -> pd.DataFrame:
    limit = bayes_limit(batch, HORIZON, sweeps)
    forecasts = {"posterior_mean": limit.mean, "from_nothing": limit.from_nothing, "from_truth": limit.from_truth}
    return pd.DataFrame(_errors(batch, forecasts) | {"converged": limit.converged.astype(int)})


def _others(batch: SignalBatch) -> pd.DataFrame:
    one = batch.amplitudes.shape[1] == 1
    forecasts = {"exact": exact_one_component(batch, HORIZON) if one else np.full((len(batch), HORIZON), np.nan)}
    methods = {
        "sparse_bayesian": sparse_bayesian(_PROCESS),
        "linear_mmse": linear_mmse(_PROCESS),
        "known_periods": known_period_oracle(batch),
    }
    forecasts |= {name: forecaster(batch.past, HORIZON).numpy() for name, forecaster in methods.items()}
    return pd.DataFrame(_errors(batch, forecasts))


def _errors(batch: SignalBatch, forecasts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(B,) mean squared error of each, over the horizon."""
    truth = batch.future[:, :HORIZON].numpy()
    return {name: np.square(forecast - truth).mean(axis=1) for name, forecast in forecasts.items()}
