"""Tables of the benchmark: scores of every method on every series, and what they come to."""

import time
import warnings
from collections.abc import Iterator
from functools import cache, partial
from importlib.util import find_spec

import numpy as np
import pandas as pd

from experiments.benchmark import series
from experiments.benchmark.expected import OWN, QUANTITIES, REFERENCE, expected
from experiments.benchmark.methods import COSTLY, METHODS, seasonal_naive
from experiments.benchmark.scoring import LEVELS, confidence_set, ratio, score
from experiments.keys import key
from experiments.table import Table

HALVES = {"development": series.development, "test": series.test}
ALL = "all"


def tables(half: str) -> Iterator[tuple]:
    """The tables of a half, the keys of their parts, and how a part is computed.

    ``benchmark_HALF``: the scores of ``score``, each a mean over a series' origins, the ``seconds`` of processor
    time a forecast, and ``failed``, how many forecasts a library gave up, where the seasonal naive forecast stands in.
    ``benchmark_HALF_summary``: ``summary`` of all series and of each class, once all scores are there and ``arch``
    is installed. With the development half come ``benchmark_expected`` (see ``expected``) and ``benchmark_costly``,
    the scores of ``COSTLY`` on every fourth series.
    """
    listed = pd.read_csv(series.LIST, keep_default_na=False, dtype=str).query("half == @half")
    data = key(listed.drop(columns="half").to_csv(index=False), LEVELS)
    scores = Table(f"benchmark_{half}", ["method", "series"])
    keys = {name: method.key(data) for name, method in METHODS.items()}
    parts = {(name, one): keys[name] for name in METHODS for one in listed["name"]}
    yield scores, parts, partial(score_on_series, half)
    written = None if scores.stale(parts) or not find_spec("arch") else rows_of(half).to_csv()
    made = written and key(summary, written)
    summaries = {(name, kind): made for name in METHODS for kind in (ALL, *sorted(set(listed["kind"])))}
    yield Table(f"benchmark_{half}_summary", ["method", "kind"]), summaries, partial(row_of, half)
    if half == "development":
        expectations = Table("benchmark_expected", ["quantity", "method"])
        made = None if len(expectations.rows) else made  # what was expected is written once
        yield expectations, dict.fromkeys(QUANTITIES, made), row_expected
        slow = {(name, one): method.key(data) for name, method in COSTLY.items() for one in listed["name"].iloc[::4]}
        yield Table("benchmark_costly", ["method", "series"]), slow, partial(score_on_series, half)


def score_on_series(half: str, name: str, one: str) -> pd.DataFrame:
    """The scores of a method on a series: a row."""
    known = HALVES[half]()[one]
    rows = [score_window(name, past, future, known.seasons) for past, future in known.windows()]
    means = pd.DataFrame(rows).mean()
    return pd.DataFrame([means.drop("failed").to_dict() | {"failed": sum(row["failed"] for row in rows)}])


def score_window(name: str, past: pd.Series, future: pd.Series, seasons: tuple[int, ...]) -> dict[str, float]:
    """The scores of one forecast, its seconds of processor time, and whether it failed."""
    begun, failed = time.process_time(), 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            ahead = (METHODS | COSTLY)[name].run(past, len(future), seasons).reset_index(drop=True)
            failed = int(len(ahead) != len(future) or not np.isfinite(ahead.to_numpy(dtype=float)).all())
        except Exception:  # the libraries raise whatever their solvers do
            failed = 1
    seconds = time.process_time() - begun
    if failed:
        ahead = seasonal_naive(past, len(future), seasons)
    seconds = ahead.attrs.get("seconds", seconds)
    return score(past, future, seasons, ahead) | {"seconds": seconds, "failed": failed}


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """What the scores come to, a row for each method.

    ``series``: their number. ``relative``, ``low`` and ``high``: relative MASE, the geometric mean over series of
    the MASE relative to that of the seasonal naive forecast, and its 95 % interval. ``msis``: the same of the
    interval score. ``cover80`` and so on, ``seconds``: means. ``failed``: forecasts. ``of_ours``, ``of_ours_low``,
    ``of_ours_high``: relative MASE of ``forecast`` relative to that of the method. ``confidence``: p-value of the
    model confidence set of logarithms of relative MASE; classes of series are too small for one.
    """
    mase, msis = (scores.pivot(index="series", columns="method", values=name) for name in ("mase", "msis"))
    ends = ["", "_low", "_high"]
    parts = {
        name: dict(zip(["relative", "low", "high"], ratio(mase[name], mase[REFERENCE]), strict=True))
        | dict(zip([f"of_ours{end}" for end in ends], ratio(mase[OWN], mase[name]), strict=True))
        for name in mase
    }
    means = scores.groupby("method")[[*(f"cover{level}" for level in LEVELS), "seconds"]].mean()
    table = pd.DataFrame(parts).T.join(means)
    table["msis"] = np.exp(np.log(msis.div(msis[REFERENCE], axis=0)).mean(skipna=False))
    table["failed"] = scores.groupby("method")["failed"].sum()
    table["confidence"] = np.nan
    table.insert(0, "series", len(mase))
    table.insert(0, "given", {name: METHODS[name].given for name in table.index})
    return table.sort_values("relative")


def row_of(half: str, name: str, kind: str) -> pd.DataFrame:
    """A method's row of ``summary``, of all series or of a class."""
    return summarise(half, kind).loc[[name]]


@cache
def summarise(half: str, kind: str) -> pd.DataFrame:
    """``summary`` of a half's table as it is now, of all series with the model confidence set, or of a class."""
    scores = rows_of(half)
    if kind != ALL:
        return summary(scores[scores["kind"] == kind])
    mase = scores.pivot(index="series", columns="method", values="mase")
    return summary(scores).assign(confidence=confidence_set(np.log(mase.div(mase[REFERENCE], axis=0))))


def rows_of(half: str) -> pd.DataFrame:
    """The published scores of a half, with the class of each series as ``kind``."""
    rows = Table(f"benchmark_{half}", ["method", "series"]).rows
    return rows.assign(kind=rows["series"].map(pd.read_csv(series.LIST).set_index("name")["kind"]))


def show(half: str) -> str:
    """The summary of a half as text, with relative MASE by class."""
    rows = Table(f"benchmark_{half}_summary", ["method", "kind"]).rows
    if rows.empty:
        return "no summary: it needs the scores of every method, and the arch package"
    kinds = rows.pivot(index="method", columns="kind", values="relative").drop(columns=ALL)
    table = rows[rows["kind"] == ALL].drop(columns="kind").set_index("method").join(kinds)
    return table.sort_values("relative").to_string(float_format="{:.2f}".format)


def row_expected(quantity: str, method: str) -> pd.DataFrame:
    """A row of ``expected`` of the test half."""
    return all_expected().loc[[(quantity, method)]]


@cache
def all_expected() -> pd.DataFrame:
    """``expected`` of the test half, by the development half as it is now."""
    listed = pd.read_csv(series.LIST).query("half == 'test'")
    return expected(rows_of("development"), listed.groupby("kind").size().to_dict())
