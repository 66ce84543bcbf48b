"""One table for every method: its errors on every cell of the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from harmonics_lib.arguments import check_choice, check_function, check_kind, check_whole, describe, join_values
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.scores import decibels, score_batch
from harmonics_lib.evaluation.testsets import FrozenSet, Grid
from harmonics_lib.forecasters.base import ForecastFunction, check_forecaster_function, cpu_threads
from harmonics_lib.signals.process import SignalBatch

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is made: importing it takes half a second


#: Steps that the table of the grid has one by one, and horizons over which it has the mean of all steps.
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)
HORIZONS = (5, 10, 20, 50)
#: The columns that say which cell of the grid a row is of.
CELL = ("components", "noise_std", "periods")
_STEPS = ("step_from", "step_to")


def evaluate(
    forecasters: Mapping[str, ForecastFunction],
    grid: Grid | None = None,
    oracles: Mapping[str, Callable[[SignalBatch], ForecastFunction]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Score every forecaster on every cell of the grid, against the clean continuation.

    The table has the columns of the published one, ``load_table("grid")``, so that ``pd.concat`` of the
    two puts a method of your own among ours.

    Methods and cells are scored by joblib, one after the other unless it is told otherwise:
    ``with joblib.parallel_config(backend="loky", n_jobs=8):`` around the call shares them among
    processes, ``backend="dask"`` or ``"ray"`` among machines. The table is the same.

    Args:
        forecasters: by name.
        grid: the published one unless given.
        oracles: methods that are shown the truth: functions of a cell's batch that return its forecaster.
        progress: show a bar.

    Returns:
        A row for each method, cell, and range of steps ``step_from`` to ``step_to``: ``mse`` with
        its 95 % bootstrap interval (``low``, ``high``) over signals, ``median_mse``, ``nmse_db``, and
        ``crps``, the mean continuous ranked probability score (see ``normal_crps``; the absolute
        error of a forecaster that gives no distribution); for the cell, the number of ``unstable``
        forecasts.

    Raises:
        ValueError: what are no forecasters or grid; a forecast of the wrong shape or that is not finite.
    """
    import pandas as pd
    from joblib import Parallel, delayed

    for name, forecaster in _check_named("forecasters", forecasters).items():
        check_forecaster_function(f"forecasters[{name!r}]", forecaster)
    informed = _check_named("oracles", {} if oracles is None else oracles)
    if not forecasters and not informed:
        raise ValueError("forecasters must name at least one forecaster, got none")
    grid = Grid() if grid is None else check_kind("grid", grid, Grid, "a Grid")
    makers: list[tuple[str, Callable, bool]] = [(name, method, False) for name, method in forecasters.items()]
    makers += [(name, make, True) for name, make in informed.items()]
    jobs = [(*maker, *cell) for cell in grid.cells().items() for maker in makers]  # a cell's methods in a row
    jobs = tqdm(jobs, disable=not progress, desc="grid")
    table = pd.concat(Parallel()(delayed(_evaluate_cell)(*job) for job in jobs))
    return table.sort_values(["method", *CELL, *_STEPS], ignore_index=True)


def _evaluate_cell(name: str, method: Callable, oracle: bool, cell: tuple, test: FrozenSet) -> pd.DataFrame:
    """The rows of one method and one cell; an ``oracle`` makes its forecaster from the cell's signals."""
    batch = test.batch()
    rows = score_cell(method(batch) if oracle else method, batch)
    for place, (column, value) in enumerate(zip(["method", *CELL], (name, *cell), strict=True)):
        rows.insert(place, column, value)
    return rows


def score_cell(forecaster: ForecastFunction, batch: SignalBatch) -> pd.DataFrame:
    """The rows of ``evaluate`` for signals of one cell, a row for each range of steps; computed in one thread."""
    import pandas as pd

    horizon = batch.future.shape[1]
    with cpu_threads(1):
        scored = score_batch(forecaster, batch, horizon)
    spans = sorted({(h, h) for h in STEPS if h <= horizon} | {(1, h) for h in HORIZONS if h <= horizon})
    samples = _over(spans, scored.errors)  # (B, spans)
    low, high = bootstrap_interval(samples)
    mse = samples.mean(axis=0)
    columns = {
        "mse": mse,
        "low": low,
        "high": high,
        "median_mse": np.median(samples, axis=0),
        "nmse_db": decibels(mse, _over(spans, scored.power)),
        "crps": _over(spans, scored.ranked).mean(axis=0),
    }
    table = pd.DataFrame(spans, columns=_STEPS)
    rounded = {name: [float(f"{value:.4g}") for value in values] for name, values in columns.items()}
    return table.assign(**rounded, unstable=scored.unstable)  # so many digits that saving changes none


def _check_named(name: str, functions: Mapping[str, Callable]) -> Mapping[str, Callable]:
    """``functions``, if it maps names to functions."""
    for key, function in check_kind(name, functions, Mapping, "a mapping from names to functions").items():
        check_kind(f"a name of {name}", key, str, "a text")
        check_function(f"{name}[{key!r}]", function)
    return functions


def _check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``table`` has these columns of a table of ``evaluate``."""
    import pandas as pd

    check_kind(name, table, pd.DataFrame, "a table of evaluate")
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{name} must have the columns of a table of evaluate, got none called {join_values(missing)}")


def over_horizon(table: pd.DataFrame, horizon: int, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that hold means over the first ``horizon`` steps.

    Args:
        cell: what ``method``, ``components``, ``noise_std`` or ``periods`` have to be: a value, or several.

    Raises:
        ValueError: what is no such table, or a horizon or a cell that the table does not have.
    """
    _check_table("table", table, _STEPS)
    horizon = check_whole("horizon", horizon)
    known = sorted(set(table[(table.step_from == 1) & (table.step_to > 1)].step_to))
    if horizon not in known:
        raise ValueError(f"horizon must be one of {', '.join(map(str, known))}, got {describe(horizon)}")
    return _select(table[(table.step_from == 1) & (table.step_to == horizon)], cell)


def single_steps(table: pd.DataFrame, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that hold single steps; ``cell`` and errors as in ``over_horizon``."""
    _check_table("table", table, _STEPS)
    return _select(table[table.step_from == table.step_to], cell).sort_values("step_to")


def _select(rows: pd.DataFrame, cell: dict) -> pd.DataFrame:
    for column, wanted in cell.items():
        check_choice("what is selected by", column, list(rows))
        values = list(wanted) if isinstance(wanted, (list, tuple, set)) else [wanted]
        if not all(map(np.isscalar, values)):
            raise ValueError(f"{column} must be a value or a list of values, got {describe(wanted)}")
        chosen = rows[rows[column].isin(values)]
        if chosen.empty and not rows.empty:
            raise ValueError(f"{column} must be among {join_values(rows[column].unique(), 6)}, got {describe(wanted)}")
        rows = chosen
    return rows


def _over(spans: list[tuple[int, int]], values: np.ndarray) -> np.ndarray:
    """(…, spans) means of values (…, H) over the steps from first to last of each span."""
    return np.stack([values[..., first - 1 : last].mean(axis=-1) for first, last in spans], axis=-1)
