"""Scores of forecasts and their comparison: MASE, interval score, coverage, and a model confidence set."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from experiments.benchmark.series import Series

LEVELS = (80, 90, 95)
#: A method: past samples, horizon and seasons -> a table with ``mean`` and, with intervals, ``lo-90``, ``hi-90``, …
Method = Callable[[pd.Series, int, tuple[int, ...]], pd.DataFrame]


def naive_scale(past: np.ndarray, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast inside the past samples, the unit of MASE."""
    return float(np.abs(past[season:] - past[:-season]).mean())


def interval_score(future: np.ndarray, low: np.ndarray, high: np.ndarray, level: float) -> float:
    """Mean width of a central interval, plus 2 / (1 - level) times the distance of samples outside it.

    Source: Gneiting and Raftery (2007), equation 43.
    """
    outside = np.maximum(low - future, 0) + np.maximum(future - high, 0)
    return float((high - low + 2 / (1 - level) * outside).mean())


def score(past: pd.Series, future: pd.Series, seasons: tuple[int, ...], table: pd.DataFrame) -> dict[str, float]:
    """Scores of one forecast: ``mase``, ``msis`` at 90 %, and the share of samples inside each interval."""
    truth, season = future.to_numpy(), seasons[0]
    scale = naive_scale(past.to_numpy(), season)
    scores = {"mase": float(np.abs(truth - table["mean"].to_numpy()).mean() / scale)}
    stated = [level for level in LEVELS if f"lo-{level}" in table]
    ends = {level: [table[f"{end}-{level}"].to_numpy() for end in ("lo", "hi")] for level in stated}
    if 90 in ends:
        scores["msis"] = interval_score(truth, *ends[90], 0.9) / scale
    inside = {level: ((low <= truth) & (truth <= high)).mean() for level, (low, high) in ends.items()}
    return scores | {f"cover{level}": float(share) for level, share in inside.items()}


def relative_mase(method: Callable, series: dict[str, Series]) -> pd.DataFrame:
    """MASE of a function (past, horizon) -> (horizon,) means or a table, and its ratio to that of seasonal naive.

    For tuning: ``relative_mase(f, development())["relative"]`` has the relative MASE of each series,
    whose geometric mean is the benchmark's number; ``kind`` is its class.
    """
    rows = {}
    for name, one in series.items():
        errors, naive = [], []
        for past, future in one.windows():
            ahead = method(past, one.horizon)
            mean = ahead["mean"] if isinstance(ahead, pd.DataFrame) else ahead
            for scores, values in ((errors, np.asarray(mean)), (naive, repeat(past.to_numpy(), one))):
                scores.append(score(past, future, one.seasons, pd.DataFrame({"mean": values}))["mase"])
        rows[name] = {"kind": one.kind, "mase": np.mean(errors), "relative": np.mean(errors) / np.mean(naive)}
    return pd.DataFrame(rows).T.astype({"mase": float, "relative": float})


def repeat(past: np.ndarray, one: Series) -> np.ndarray:
    """The seasonal naive forecast: the last season, again and again."""
    return np.resize(past[-one.seasons[0] :], one.horizon)


def ratio(errors: np.ndarray, others: np.ndarray, draws: int = 10_000) -> tuple[float, float, float]:
    """The geometric mean of errors / others, and the ends of its 95 % bootstrap interval over series."""
    logs = np.log(errors / others)
    means = np.random.default_rng(0).choice(logs, (draws, len(logs))).mean(axis=1)
    return tuple(float(np.exp(value)) for value in (logs.mean(), *np.quantile(means, (0.025, 0.975))))


def confidence_set(losses: pd.DataFrame) -> pd.Series:
    """P-values of the model confidence set: methods above 0.1 are those that contain the best with 90 % confidence.

    Args:
        losses: a row for each series, which are independent of one another, and a column for each method.

    Source: Hansen, Lunde and Nason (2011), by the arch package.
    """
    from arch.bootstrap import MCS

    test = MCS(losses, size=0.1, reps=10_000, block_size=1, method="R", seed=0)
    test.compute()
    return test.pvalues["Pvalue"]
