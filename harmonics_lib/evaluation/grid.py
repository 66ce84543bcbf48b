"""One table for every method: its errors on every cell of the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from harmonics_lib.arguments import (
    check_choice,
    check_function,
    check_kind,
    check_whole,
    listed,
    shown,
)
from harmonics_lib.evaluation.intervals import bootstrap_interval
from harmonics_lib.evaluation.scores import (
    _decibels,
    _score,
)
from harmonics_lib.evaluation.testsets import FrozenSet, Grid
from harmonics_lib.forecasters.base import (
    Forecaster,
    cpu_threads,
)
from harmonics_lib.signals.process import SignalBatch

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is made: importing it takes half a second


#: Steps that the table of the grid has one by one, and horizons over which it has the mean of all steps.
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)
HORIZONS = (5, 10, 20, 50)
_CELL = ["components", "noise_std", "periods"]
_STEPS = ("step_from", "step_to")
_PROBE = 2  # signals a cell that tell whether a method still forecasts as it did


def evaluate(
    forecasters: Mapping[str, Forecaster],
    grid: Grid | None = None,
    known: pd.DataFrame | None = None,
    oracles: Mapping[str, Callable[[SignalBatch], Forecaster]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Score every forecaster on every cell of the grid, against the clean continuation.

    What ``known`` has of a method and a cell is kept, if the method still forecasts the first two
    signals of the cell as it did then; so a method is added by one call, and a method that
    changed is scored anew. Rows of methods and cells that are not asked for are kept as they are.

    Methods and cells are scored by joblib, one after the other unless it is told otherwise:
    ``with joblib.parallel_config(backend="loky", n_jobs=8):`` around the call shares them among
    processes, ``backend="dask"`` or ``"ray"`` among machines. The table is the same.

    Args:
        forecasters: by name.
        grid: the published one unless given.
        known: an earlier table.
        oracles: methods that are shown the truth: functions of a cell's batch that return its forecaster.
        progress: show a bar.

    Returns:
        A row for each method, cell, and range of steps ``step_from`` to ``step_to``: ``mse`` with
        its 95 % bootstrap interval (``low``, ``high``) over signals, ``median_mse``, ``nmse_db``, and
        ``crps``, the mean continuous ranked probability score (see ``normal_crps``; the absolute
        error of a forecaster that gives no distribution); for the cell, the number of ``unstable``
        forecasts, and ``probe``, by which a change is noticed.

    Raises:
        ValueError: what are no forecasters, grid or table; a forecast of the wrong shape or that is not finite.
    """
    import pandas as pd
    from joblib import Parallel, delayed

    _check_named("forecasters", forecasters)
    _check_named("oracles", oracles := {} if oracles is None else oracles)
    if not forecasters and not oracles and known is None:
        raise ValueError("forecasters must name at least one forecaster, got none")
    grid = Grid() if grid is None else check_kind("grid", grid, Grid, "a Grid")
    if known is not None:
        _check_table("known", known, ["method", *_CELL])
    makers = {name: lambda batch, method=method: method for name, method in forecasters.items()} | dict(oracles)
    jobs = {(name, *cell): test for cell, test in grid.cells().items() for name in makers}  # a cell's methods in a row
    old = {} if known is None else dict(list(known.groupby(["method", *_CELL])))
    scored = Parallel(return_as="generator")(
        delayed(_score_again)(makers[key[0]], test, old.get(key)) for key, test in jobs.items()
    )
    parts = [rows for key, rows in old.items() if key not in jobs]
    for key, rows in zip(jobs, tqdm(scored, total=len(jobs), disable=not progress, desc="grid"), strict=True):
        parts.append(rows.assign(**dict(zip(["method", *_CELL], key, strict=True))))
    table = pd.concat(parts, ignore_index=True)
    order = ["method", *_CELL, "step_from", "step_to"]
    columns = [*order, "mse", "low", "high", "median_mse", "nmse_db", "crps", "unstable", "probe"]
    return table.reindex(columns=columns).sort_values(order, ignore_index=True)


def _check_named(name: str, functions: Mapping[str, Callable]) -> None:
    """Raise ``ValueError`` unless ``functions`` maps names to functions."""
    for key, function in check_kind(name, functions, Mapping, "a mapping from names to functions").items():
        check_kind(f"a name of {name}", key, str, "a text")
        check_function(f"{name}[{key!r}]", function)


def _check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``table`` has these columns of a table of ``evaluate``."""
    import pandas as pd

    check_kind(name, table, pd.DataFrame, "a table of evaluate")
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{name} must have the columns of a table of evaluate, got none called {listed(missing)}")


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
        raise ValueError(f"horizon must be one of {', '.join(map(str, known))}, got {shown(horizon)}")
    return _select(table[(table.step_from == 1) & (table.step_to == horizon)], cell)


def by_step(table: pd.DataFrame, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that hold single steps; ``cell`` and errors as in ``over_horizon``."""
    _check_table("table", table, _STEPS)
    return _select(table[table.step_from == table.step_to], cell).sort_values("step_to")


def _select(rows: pd.DataFrame, cell: dict) -> pd.DataFrame:
    for column, wanted in cell.items():
        check_choice("what is selected by", column, list(rows))
        values = list(wanted) if isinstance(wanted, (list, tuple, set)) else [wanted]
        if not all(map(np.isscalar, values)):
            raise ValueError(f"{column} must be a value or a list of values, got {shown(wanted)}")
        chosen = rows[rows[column].isin(values)]
        if chosen.empty and not rows.empty:
            raise ValueError(f"{column} must be among {listed(rows[column].unique(), 6)}, got {shown(wanted)}")
        rows = chosen
    return rows


def _score_again(
    maker: Callable[[SignalBatch], Forecaster], test: FrozenSet, rows: pd.DataFrame | None
) -> pd.DataFrame:
    """The rows of one method and one cell: those that are known, if they are complete and the method is the same."""
    with cpu_threads(1):
        probe = _probe(maker, test)
        if rows is not None and "crps" in rows and rows.notna().all(axis=None) and _same(probe, rows["probe"].iloc[0]):
            return rows
        return _four_digits(_score_cell(maker, test).assign(probe=probe))


def _probe(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> float:
    """The mean squared error over the first signals of a test set."""
    batch = test.batch()[:_PROBE]
    return _score(maker(batch), batch, test.horizon).mse


def _same(error: float, before: float) -> bool:
    """Within 1 %; below 1e-6, where rounding has its say and differs between processors, within a factor of 30."""
    low, high = sorted((max(error, 1e-12), max(before, 1e-12)))
    return high / low < (30 if high < 1e-6 else 1.01)


def _score_cell(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> pd.DataFrame:
    """Rows for one method and one cell, a row for each range of steps."""
    import pandas as pd

    batch = test.batch()
    scored = _score(maker(batch), batch, test.horizon)
    spans = [(h, h) for h in STEPS if h <= test.horizon] + [(1, h) for h in HORIZONS if h <= test.horizon]
    samples = _over(spans, scored.errors)  # (B, spans)
    low, high = bootstrap_interval(samples)
    mse = samples.mean(axis=0)
    power = _over(spans, scored.power)
    table = pd.DataFrame(spans, columns=["step_from", "step_to"])
    return table.assign(
        mse=mse,
        low=low,
        high=high,
        median_mse=np.median(samples, axis=0),
        nmse_db=_decibels(mse, power),
        crps=_over(spans, scored.ranked).mean(axis=0),
        unstable=scored.unstable,
    )


def _over(spans: list[tuple[int, int]], values: np.ndarray) -> np.ndarray:
    """(…, spans) means of values (…, H) over the steps from first to last of each span."""
    return np.stack([values[..., first - 1 : last].mean(axis=-1) for first, last in spans], axis=-1)


def _four_digits(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the published table has them, so that a table is the same before and after it was saved."""
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: [float(f"{value:.4g}") for value in table[name]] for name in numbers})
