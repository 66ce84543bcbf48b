"""Scores of forecasters on every cell of the grid, as a table."""

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
    import pandas as pd  # at run time imported late: it takes half a second


#: Single steps ahead that the table has rows for, and horizons over which it averages all steps.
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)
HORIZONS = (5, 10, 20, 50)
#: The columns that identify the cell of a row.
CELL = ("components", "noise_std", "periods")
_STEPS = ("step_from", "step_to")


def evaluate(
    forecasters: Mapping[str, ForecastFunction],
    grid: Grid | None = None,
    oracles: Mapping[str, Callable[[SignalBatch], ForecastFunction]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Score every forecaster on every cell of the grid, against the clean continuation.

    The table has the columns of the published table ``load_table("grid")``: ``pd.concat`` of the two
    compares your method with ours.

    joblib scores methods and cells, one after the other by default. Under
    ``with joblib.parallel_config(backend="loky", n_jobs=8):`` it distributes them over processes, with
    ``backend="dask"`` or ``"ray"`` over machines. The table is the same.

    Args:
        forecasters: by name.
        grid: the cells; by default the published grid.
        oracles: methods that are given the truth, by name: functions of a cell's batch that return its forecaster.
        progress: show a progress bar.

    Returns:
        A row for each method, cell, and range of steps ``step_from`` to ``step_to``. Its columns are
        ``mse`` with its 95 % bootstrap interval (``low``, ``high``) over signals, ``median_mse``,
        ``nmse_db``, ``crps`` (see ``normal_crps``; the absolute error of a forecaster without a
        distribution) and the number of ``unstable`` forecasts of the cell.

    Raises:
        ValueError: the forecasters or the grid are not such, or a forecast has the wrong shape or is not finite.

    Example:
        >>> from harmonics_lib import Grid, persistence
        >>> table = evaluate({"persistence": persistence()}, Grid((1,), (0.0,), (True,), size=10, horizon=5))
        >>> list(table.step_to)
        [1, 5, 2, 3, 5]
    """
    import pandas as pd
    from joblib import Parallel, delayed

    for name, forecaster in _check_functions("forecasters", forecasters).items():
        check_forecaster_function(f"forecasters[{name!r}]", forecaster)
    oracle_makers = _check_functions("oracles", {} if oracles is None else oracles)
    if not forecasters and not oracle_makers:
        raise ValueError("forecasters must name at least one forecaster, got none")
    grid = Grid() if grid is None else check_kind("grid", grid, Grid, "a Grid")
    makers: list[tuple[str, Callable, bool]] = [(name, method, False) for name, method in forecasters.items()]
    makers += [(name, make, True) for name, make in oracle_makers.items()]
    jobs = [(*maker, *cell) for cell in grid.cells().items() for maker in makers]  # a cell's methods in a row
    jobs = tqdm(jobs, disable=not progress, desc="grid")
    table = pd.concat(Parallel()(delayed(_evaluate_cell)(*job) for job in jobs))
    return table.sort_values(["method", *CELL, *_STEPS], ignore_index=True)


def _evaluate_cell(name: str, method: Callable, oracle: bool, cell: tuple, test: FrozenSet) -> pd.DataFrame:
    """The rows of one method and one cell; an ``oracle`` builds its forecaster from the cell's signals."""
    batch = test.batch()
    rows = score_cell(method(batch) if oracle else method, batch)
    for place, (column, value) in enumerate(zip(["method", *CELL], (name, *cell), strict=True)):
        rows.insert(place, column, value)
    return rows


def score_cell(forecaster: ForecastFunction, batch: SignalBatch) -> pd.DataFrame:
    """The rows of ``evaluate`` for the signals of one cell, one for each range of steps, computed in one thread."""
    import pandas as pd

    horizon = batch.future.shape[1]
    with cpu_threads(1):
        result = score_batch(forecaster, batch, horizon)
    spans = sorted({(h, h) for h in STEPS if h <= horizon} | {(1, h) for h in HORIZONS if h <= horizon})
    samples = _average_spans(spans, result.errors)  # (B, spans)
    low, high = bootstrap_interval(samples)
    mse = samples.mean(axis=0)
    columns = {
        "mse": mse,
        "low": low,
        "high": high,
        "median_mse": np.median(samples, axis=0),
        "nmse_db": decibels(mse, _average_spans(spans, result.power)),
        "crps": _average_spans(spans, result.ranked).mean(axis=0),
    }
    table = pd.DataFrame(spans, columns=_STEPS)
    rounded = {name: [float(f"{value:.4g}") for value in values] for name, values in columns.items()}
    return table.assign(**rounded, unstable=result.unstable)  # rounded as in the published table


def _check_functions(name: str, functions: Mapping[str, Callable]) -> Mapping[str, Callable]:
    """``functions``, if it maps names to functions."""
    for key, function in check_kind(name, functions, Mapping, "a mapping from names to functions").items():
        check_kind(f"a name of {name}", key, str, "a text")
        check_function(f"{name}[{key!r}]", function)
    return functions


def _check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``table`` is a table of ``evaluate`` with these columns."""
    import pandas as pd

    check_kind(name, table, pd.DataFrame, "a table of evaluate")
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{name} must have the columns of evaluate's table, got one without {join_values(missing)}")


def over_horizon(table: pd.DataFrame, horizon: int, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that are means over the first ``horizon`` steps.

    Args:
        table: as ``evaluate`` returns it.
        horizon: number of steps.
        cell: a value or a list of values for ``method``, ``components``, ``noise_std`` or ``periods``.

    Raises:
        ValueError: the table is of another kind, or does not have the horizon or the cell.

    Example:
        >>> from harmonics_lib import load_table
        >>> rows = over_horizon(load_table("grid"), 10, method="auto", components=5, noise_std=0.1)
        >>> sorted(rows.periods)
        ['any', 'whole']
    """
    _check_table("table", table, _STEPS)
    horizon = check_whole("horizon", horizon)
    known = sorted(set(table[(table.step_from == 1) & (table.step_to > 1)].step_to))
    if horizon not in known:
        raise ValueError(f"horizon must be one of {', '.join(map(str, known))}, got {describe(horizon)}")
    return _select(table[(table.step_from == 1) & (table.step_to == horizon)], cell)


def single_steps(table: pd.DataFrame, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` for single steps; ``cell`` and errors as in ``over_horizon``."""
    _check_table("table", table, _STEPS)
    return _select(table[table.step_from == table.step_to], cell).sort_values("step_to")


def _select(rows: pd.DataFrame, cell: dict) -> pd.DataFrame:
    for column, wanted in cell.items():
        check_choice("a selection's column", column, list(rows))
        values = list(wanted) if isinstance(wanted, (list, tuple, set)) else [wanted]
        if not all(map(np.isscalar, values)):
            raise ValueError(f"{column} must be a value or a list of values, got {describe(wanted)}")
        chosen = rows[rows[column].isin(values)]
        if chosen.empty and not rows.empty:
            raise ValueError(f"{column} must be among {join_values(rows[column].unique(), 6)}, got {describe(wanted)}")
        rows = chosen
    return rows


def _average_spans(spans: list[tuple[int, int]], values: np.ndarray) -> np.ndarray:
    """(…, spans) means of values (…, H) over the steps from the first to the last of each span."""
    return np.stack([values[..., first - 1 : last].mean(axis=-1) for first, last in spans], axis=-1)
