"""The Bayes limit on windows of the grid, and the errors of methods on the same windows.

The sampler takes half an hour of one core, the methods take a few seconds.
"""

import numpy as np
import pandas as pd

from experiments.bayes_limit import bayes_limit, exact_one_component
from experiments.grid import WHOLE
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.evaluation.testsets import Grid
from harmonics_lib.forecasters.linear import known_period_oracle, linear_mmse
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.signals.process import SignalBatch

CELLS = Grid(noise_std=(0.01, 0.03, 0.1, 0.3), integer_periods=(True,))
WINDOWS = 100
HORIZON = 10
SWEEPS = {1: 1000, 2: 1000, 5: 1000, 10: 500, 20: 300, 45: 150}  # by components: a sweep takes 0.01 to 3 ms
METHODS = {
    "sparse_bayesian": lambda batch: sparse_bayesian(WHOLE),
    "linear_mmse": lambda batch: linear_mmse(WHOLE),
    "known_periods": known_period_oracle,
}


def tables() -> list[tuple]:
    """The tables ``bayes_limit`` and ``bayes_limit_methods``, the keys of their parts, and the functions of a part.

    The first has a row for each window: the mean squared errors over ten steps of ``posterior_mean`` (both
    chains), ``from_nothing`` and ``from_truth`` (one chain each) and ``exact`` (for one component, with
    the true prior of its amplitude), and whether the chains ``converged`` (see ``BayesLimit``). The second
    has the errors of ``sparse_bayesian``, ``linear_mmse`` and ``known_periods`` on the same windows.
    """
    processes = {(count, noise): test.process for (count, noise, _), test in CELLS.cells().items()}
    sampler = {
        cell: key(bayes_limit, WINDOWS, HORIZON, SWEEPS[cell[0]], process.periods)
        for cell, process in processes.items()
    }
    some = windows(*next(iter(processes)))[:1]
    methods = key(*processes.values(), WINDOWS, HORIZON, {name: make(some) for name, make in METHODS.items()})
    columns = ["components", "noise_std"]
    return [
        (Table("bayes_limit", columns), sampler, limit_errors),
        (Table("bayes_limit_methods", columns), dict.fromkeys(processes, methods), method_errors),
    ]


def windows(count: int, noise: float) -> SignalBatch:
    """The first windows of a cell."""
    return CELLS.cells()[count, noise, "whole"].batch()[:WINDOWS]


def limit_errors(count: int, noise: float) -> pd.DataFrame:
    """Errors of the sampler's forecasts on the windows of a cell."""
    batch = windows(count, noise)
    limit = bayes_limit(batch, HORIZON, SWEEPS[count])
    forecasts = {"posterior_mean": limit.mean, "from_nothing": limit.from_nothing, "from_truth": limit.from_truth}
    exact = exact_one_component(batch, HORIZON) if count == 1 else np.full((len(batch), HORIZON), np.nan)
    return errors(batch, forecasts).assign(
        converged=limit.converged.astype(int), exact=errors(batch, {"exact": exact})["exact"]
    )


def method_errors(count: int, noise: float) -> pd.DataFrame:
    """Errors of methods on the windows of a cell."""
    batch = windows(count, noise)
    return errors(batch, {name: make(batch)(batch.past, HORIZON).numpy() for name, make in METHODS.items()})


def errors(batch: SignalBatch, forecasts: dict[str, np.ndarray]) -> pd.DataFrame:
    """The mean squared error of each forecast (B, HORIZON), a row for each window."""
    truth = batch.future[:, :HORIZON].numpy()
    squares = {name: np.square(ahead - truth).mean(axis=1) for name, ahead in forecasts.items()}
    return pd.DataFrame({"window": np.arange(len(batch))} | squares)
