"""Published tables and metrics, read back."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harmonics_lib.arguments import check_name

if TYPE_CHECKING:
    import pandas as pd
from harmonics_lib.paths import _shipped_results, results_dir
from harmonics_lib.published.store import _intact


def load_benchmark(name: str) -> dict:
    """What ``make bench`` measured last; times differ from run to run, so a report only quotes them.

    Raises:
        ValueError: none of that name is published, or the file is damaged.
    """
    return _load_json("benchmarks", name, (_shipped_results(),))


def load_metrics(notebook: str) -> dict:
    """The published metrics of a notebook: ``{"values", "claims", "provenance"}``, claims in the notebook's order.

    Raises:
        ValueError: none of that notebook are published, or the file is damaged.
    """
    return _load_json("metrics", notebook, (results_dir(),))


def _load_json(kind: str, name: str, roots: Sequence[Path]) -> dict:
    """What the first of these folders that has such a file holds in it."""
    check_name(name)
    for root in roots:
        if (path := root / kind / f"{name}.json").exists():
            try:
                return json.loads(_intact(root, path))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is damaged: it is no JSON ({error})") from error
    known = ", ".join(sorted(other.stem for root in roots for other in (root / kind).glob("*.json"))) or "none"
    raise ValueError(f"no {kind} {name} are published; there are {known}")


def published_metrics() -> list[str]:
    """Names of the notebooks whose metrics are published, in order."""
    return sorted(path.stem for path in (results_dir() / "metrics").glob("[0-9]*.json"))


def load_grid() -> pd.DataFrame:
    """The published comparison of all methods, to be looked at or handed to ``evaluate`` as ``known``.

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("grid")


def load_bayes_limit() -> pd.DataFrame:
    """The published table of the Bayes limit, a row for each window (its columns: ``report.limit.write_limit``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("bayes_limit")


def load_coverage() -> pd.DataFrame:
    """The published coverage of intervals (its columns: ``report.coverage.write_coverage``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("coverage")


def load_measured_errors() -> pd.DataFrame:
    """The published errors on the measured series (``make measured``).

    A row for each series, lookback, method, window and horizon: the mean squared error over so many
    steps, relative to the variance of the window.

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("measured")


def load_one_step_errors() -> pd.DataFrame:
    """Published errors of one step of ``auto_forecaster``, relative to the windows' standard deviations.

    A row for each of 100 samples in a row, a column for each measured series (``make measured``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("measured_one_step")


def load_peers() -> pd.DataFrame:
    """The published scores of other libraries, and of ours on the same windows (``make peers``).

    The columns are those of ``evaluate`` but ``crps`` and ``probe``, and ``windows``, of how many of a
    cell's a row is the mean, and ``failed``, how many of them a library gave up, where the last value
    stands in. What each method is, its version, settings and times: ``load_peer_methods``.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_table("peers")


def load_peer_methods() -> dict[str, dict]:
    """By method of ``load_peers``: its package, version, settings, what it assumes, seconds a thousand windows.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_json("metrics", "peers", (results_dir(), _shipped_results()))


def load_peers_measured() -> pd.DataFrame:
    """The published errors of other libraries on measured series: method, series, lookback, origin, horizon, error.

    A row is the mean of ``measured.relative_errors`` over the first ``horizon`` steps after the window that is row
    ``origin`` of ``measured_windows``.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_table("peers_measured")


def _load_table(name: str) -> pd.DataFrame:
    import pandas as pd

    for results in (results_dir(), _shipped_results()):
        if (path := results / "metrics" / f"{name}.csv").exists():
            try:
                return pd.read_csv(io.BytesIO(_intact(results, path)))
            except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
                raise ValueError(f"{path} is damaged: it is no table ({error})") from error
    raise ValueError(f"no table {name} is published: expected {path}")
