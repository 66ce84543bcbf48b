"""Tables of the benchmark: scores of every method on every series, and what they come to."""

import time
import warnings
from collections.abc import Iterator
from functools import cache, partial
from importlib.util import find_spec

import numpy as np
import pandas as pd

from experiments.benchmark import series
from experiments.benchmark.methods import METHODS, seasonal_naive
from experiments.benchmark.scoring import LEVELS, confidence_set, ratio, score
from experiments.keys import key
from experiments.table import Table

HALVES = {"development": series.development, "test": series.test}
REFERENCE, OWN = "seasonal naive", "forecast"


def tables(half: str) -> Iterator[tuple]:
    """The tables of a half, the keys of their parts, and how a part is computed.

    ``benchmark_HALF``: the scores of ``score``, each a mean over a series' origins, the seconds a forecast,
    and ``failed``, how many forecasts a library gave up, where the seasonal naive forecast stands in.
    ``benchmark_HALF_summary``: ``summary``, once all scores are there and ``arch`` is installed.
    """
    listed = pd.read_csv(series.LIST, keep_default_na=False, dtype=str).query("half == @half")
    data = key(listed.drop(columns="half").to_csv(index=False), LEVELS)
    scores = Table(f"benchmark_{half}", ["method", "series"])
    keys = {name: method.key(data) for name, method in METHODS.items()}
    parts = {(name, one): keys[name] for name in METHODS for one in listed["name"]}
    yield scores, parts, partial(score_on_series, half)
    made = None if scores.stale(parts) or not find_spec("arch") else key(summary, scores.rows.to_csv())
    yield Table(f"benchmark_{half}_summary", ["method"]), {(name,): made for name in METHODS}, partial(row_of, half)


def score_on_series(half: str, name: str, one: str) -> pd.DataFrame:
    """The scores of a method on a series: a row."""
    known = HALVES[half]()[one]
    rows = [score_window(name, past, future, known.seasons) for past, future in known.windows()]
    means = pd.DataFrame(rows).mean()
    return pd.DataFrame([means.drop("failed").to_dict() | {"failed": sum(row["failed"] for row in rows)}])


def score_window(name: str, past: pd.Series, future: pd.Series, seasons: tuple[int, ...]) -> dict[str, float]:
    """The scores of one forecast, its seconds, and whether it failed."""
    begun, failed = time.perf_counter(), 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            ahead = METHODS[name].run(past, len(future), seasons).reset_index(drop=True)
            failed = int(len(ahead) != len(future) or not np.isfinite(ahead.to_numpy(dtype=float)).all())
        except Exception:  # the libraries raise whatever their solvers do
            failed = 1
    seconds = time.perf_counter() - begun
    if failed:
        ahead = seasonal_naive(past, len(future), seasons)
    seconds = ahead.attrs.get("seconds", seconds)
    return score(past, future, seasons, ahead) | {"seconds": seconds, "failed": failed}


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """What the scores come to, a row for each method.

    ``relative``, ``low`` and ``high``: relative MASE, the geometric mean over series of the MASE relative to
    that of the seasonal naive forecast, and its 95 % interval; also for each class of series. ``msis``:
    the same of the interval score. ``cover80`` and so on, ``seconds``: means. ``failed``: forecasts.
    ``confidence``: p-value of the model confidence set of logarithms of relative MASE. ``of_ours``,
    ``of_ours_low``, ``of_ours_high``: relative MASE of ``forecast`` relative to that of the method.

    Args:
        scores: the table of a half, with the class of each series as ``kind``.
    """
    mase, msis = (scores.pivot(index="series", columns="method", values=name) for name in ("mase", "msis"))
    relative = mase.div(mase[REFERENCE], axis=0)
    kinds = np.log(relative).groupby(scores.groupby("series")["kind"].first()).mean().pipe(np.exp).T
    ends = ["", "_low", "_high"]
    parts = {
        name: dict(zip(["relative", "low", "high"], ratio(mase[name], mase[REFERENCE]), strict=True))
        | dict(zip([f"of_ours{end}" for end in ends], ratio(mase[OWN], mase[name]), strict=True))
        for name in mase
    }
    means = scores.groupby("method")[[*(f"cover{level}" for level in LEVELS), "seconds"]].mean()
    table = pd.DataFrame(parts).T.join(kinds).join(means)
    table["msis"] = np.exp(np.log(msis.div(msis[REFERENCE], axis=0)).mean(skipna=False))
    table["failed"] = scores.groupby("method")["failed"].sum()
    table["confidence"] = confidence_set(np.log(relative))
    table.insert(0, "given", {name: METHODS[name].given for name in table.index})
    return table.sort_values("relative")


def row_of(half: str, name: str) -> pd.DataFrame:
    """A method's row of ``summary``."""
    return summarise(half).loc[[name]]


@cache
def summarise(half: str) -> pd.DataFrame:
    """``summary`` of a half's table as it is now."""
    kinds = pd.read_csv(series.LIST).set_index("name")["kind"]
    rows = Table(f"benchmark_{half}", ["method", "series"]).rows
    return summary(rows.assign(kind=rows["series"].map(kinds)))


def show(half: str) -> str:
    """The summary of a half as text."""
    rows = Table(f"benchmark_{half}_summary", ["method"]).rows
    if rows.empty:
        return "no summary: it needs the scores of every method, and the arch package"
    return rows.sort_values("relative").to_string(index=False, float_format="{:.2f}".format)
