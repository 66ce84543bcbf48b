"""Published tables, metrics and benchmarks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from harmonics_lib.arguments import check_choice, check_name
from harmonics_lib.checksums import read_verified
from harmonics_lib.paths import published_dirs, results_dir

if TYPE_CHECKING:
    import pandas as pd

#: The tables that ``load_table`` reads: what a row is, and what its columns hold.
TABLES = {
    "grid": "the comparison of all methods: see evaluate for the columns (make grid)",
    "bayes_limit": "the Bayes limit, a row a window: see experiments.limit for the columns (make limit)",
    "bayes_limit_methods": "errors of methods on the windows of the Bayes limit (make limit)",
    "coverage": "how often intervals hold the truth: see experiments.coverage for the columns (make coverage)",
    "measured": "errors on measured series, a row a method, series, lookback, horizon and window: the mean squared "
    "error over so many steps, relative to the variance of the window (make measured)",
    "measured_one_step": "errors of one step of auto_forecaster, relative to the windows' standard deviations, "
    "a row for each series and each of 100 samples in a row (make measured)",
    "tides": "squared errors of forecasts of the level of the sea, a row a method, length of window, horizon, origin: "
    "see experiments.tides for the columns (make tides)",
    "worlds": "mean squared errors of 24 steps in worlds that break assumptions of the methods, a row a method, world "
    "and window (make worlds)",
    "benchmark_development": "scores of every method on each series that methods may be tuned on, means over origins: "
    "see experiments.benchmark.tables for the columns (make benchmark)",
    "benchmark_development_summary": "what these scores come to, a row a method and class of series, or all: see "
    "experiments.benchmark.tables.summary for the columns (make benchmark)",
    "benchmark_costly": "scores of rivals that are too slow for all series, on every fourth of the development half "
    "(make benchmark)",
    "benchmark_test": "the same on series by which nothing was chosen (make benchmark HALF=test)",
    "benchmark_test_summary": "what these scores come to (make benchmark HALF=test)",
    "benchmark_expected": "what the development half lets expect of the test half, written before that was scored: see "
    "experiments.benchmark.expected (make benchmark)",
    "tuning": "errors under other constants than those that were tuned: see experiments.tuning for the columns "
    "(make tuning)",
    "width_tuning": "errors of broad_lines under other constants, a row a value: see experiments.tuning (make tuning)",
    "expected_errors": "errors of sparse Bayesian inference beside those that the loss of the noise network expects, "
    "a row a cell: see experiments.tuning for the columns (make tuning)",
    "peers": "scores of other libraries, and of ours on the same windows: the columns of evaluate but crps; "
    "windows, of how many a row is the mean; failed, in how many of them the last value stands in for a library that "
    "gave up (make peers)",
    "peers_methods": "what each method of peers is: its package, version, settings, what it assumes, the seconds "
    "for a thousand windows, and for training (make peers)",
    "peers_measured": "errors of other libraries on measured series: relative_errors averaged over the first horizon "
    "steps after the window that is row origin of measured_windows (make peers)",
}


def load_table(name: str) -> pd.DataFrame:
    """A published table.

    Args:
        name: one of ``TABLES``, which says what a row is and what the columns hold.

    Raises:
        ValueError: the name is unknown, or the table is not published, or damaged.

    Example:
        >>> grid = load_table("grid")
        >>> bool(grid[grid.method == "auto"].mse.max() < 1)
        True
    """
    import pandas as pd

    root, path = _find("metrics", f"{check_choice('name', name, TABLES)}.csv")
    content = read_verified(root, path)
    try:
        return pd.read_csv(io.BytesIO(content))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: it is no table ({error})") from error


def load_metrics(name: str) -> dict:
    """The published metrics of a notebook: ``{"values", "claims", "provenance"}``, claims in the notebook's order.

    Raises:
        ValueError: no metrics of that name are published, or the file is damaged.

    Example:
        >>> sorted(load_metrics("06_limits"))
        ['claims', 'provenance', 'values']
    """
    return _load_json("metrics", name)


def load_benchmark(name: str) -> dict:
    """The last measurements of a benchmark by ``make bench``; times differ from run to run.

    Raises:
        ValueError: no benchmark of that name is published, or the file is damaged.
    """
    return _load_json("benchmarks", name)


def published_metrics() -> list[str]:
    """Names of the notebooks whose metrics are published, in order."""
    return sorted(path.stem for path in (results_dir() / "metrics").glob("[0-9]*.json"))


def _load_json(kind: str, name: str) -> dict:
    root, path = _find(kind, f"{check_name(name)}.json")
    content = read_verified(root, path)
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is no JSON ({error})") from error


def _find(kind: str, file: str) -> tuple[Path, Path]:
    """The first folder of results that has the file, and the path of the file."""
    roots = published_dirs()
    for root in roots:
        if (path := root / kind / file).exists():
            return root, path
    known = sorted({other.stem for root in roots for other in (root / kind).glob(f"*{path.suffix}")})
    known = [name for name in known if "." not in name]  # without grid.keys.json, the keys of a table
    raise ValueError(f"no {kind} {path.stem} are published; there are {', '.join(known) or 'none'}")
