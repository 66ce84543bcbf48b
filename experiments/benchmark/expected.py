"""What the scores of the development half promise of the test half, written down before that is scored."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from experiments.benchmark.methods import METHODS
from experiments.benchmark.scoring import LEVELS

OWN, REFERENCE, BEST = "forecast", "seasonal naive", "best given the season"
RIVALS = ("median of four, season", "AutoARIMA, season", "AutoReg, season", "MSTL, season")
#: Quantities of the benchmark's summary, and of which method.
QUANTITIES = [
    *(("relative", name) for name in (OWN, *RIVALS)),
    *(("of_ours", name) for name in (*RIVALS, BEST)),
    *((f"cover{level}", OWN) for level in LEVELS),
    ("msis", OWN),
]


def expected(scores: pd.DataFrame, counts: Mapping[str, int], draws: int = 10_000) -> pd.DataFrame:
    """``expected``, the mean of random draws, and ``low`` and ``high``, which hold 95 % of them.

    A draw is as many series of each class as the other half has, from the scored series. These are themselves
    drawn with replacement before, because they too are a sample of their class. Nothing allows for methods
    that were tuned on the scored series, so a worse score of the other half shows by how much they were.

    Args:
        scores: mase, msis and coverage of each method on each series, with its class as ``kind``.
        counts: number of series of each class in the other half.
        draws: number of draws.

    Returns:
        A row for each of ``QUANTITIES``. "best given the season" is the rival with the least error in a draw.
    """
    kinds, rng = scores.groupby("series")["kind"].first(), np.random.default_rng(0)
    rows = [_draw(np.flatnonzero(kinds == kind), count, draws, rng) for kind, count in counts.items()]
    rows, shares = np.concatenate(rows, axis=1), np.zeros((draws, len(kinds)))
    np.add.at(shares, (np.arange(draws)[:, None], rows), 1 / rows.shape[1])  # (draws, scored series)
    relative, msis = (np.exp(shares @ _relative(scores, name)) for name in ("mase", "msis"))
    rivals = [name for name, method in METHODS.items() if method.given == "season" and name != f"{OWN}, season"]
    values = {("relative", name): relative[name] for name in (OWN, *RIVALS)}
    values |= {("of_ours", name): relative[OWN] / relative[name] for name in RIVALS}
    values["of_ours", BEST] = relative[OWN] / relative[rivals].min(axis=1)
    for level in LEVELS:
        values[f"cover{level}", OWN] = shares @ _wide(scores, f"cover{level}")[OWN]
    values["msis", OWN] = msis[OWN]
    table = pd.DataFrame(values)[QUANTITIES]
    ends = {"expected": table.mean(), "low": table.quantile(0.025), "high": table.quantile(0.975)}
    return pd.DataFrame(ends).rename_axis(["quantity", "method"])


def _draw(places: np.ndarray, count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, count) places, each draw from places that are drawn with replacement themselves."""
    first = rng.choice(places, (draws, len(places)))
    return np.take_along_axis(first, rng.integers(len(places), size=(draws, count)), axis=1)


def _relative(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Logarithms of a score relative to that of the seasonal naive forecast, a row a series, a column a method."""
    return np.log(_wide(scores, name).div(_wide(scores, name)[REFERENCE], axis=0))


def _wide(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    return scores.pivot(index="series", columns="method", values=name)
