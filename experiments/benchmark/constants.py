"""The scores of ``forecast`` under other constants, on the development series, by which they were chosen.

A value takes a minute or two of one core.
"""

import warnings
from importlib import import_module
from unittest.mock import patch

import numpy as np
import pandas as pd

from experiments.benchmark.scoring import LEVELS, repeat, score
from experiments.benchmark.series import LIST, Series, development
from experiments.keys import key
from experiments.table import Table
from harmonics_lib.series.forecasts import forecast

#: By constant of a module of ``harmonics_lib.series``: its values, one at a time; those of use are among them.
VALUES = {
    "ensemble._POWER": (2, 4, 6, 8, 12),
    "ensemble._FADING": (0, 1, 2),
    "ensemble._RECENT": (25, 50, 100),
    "ensemble._RATIO": (1, 2, 3, 5),
    "ensemble._INDEPENDENT": (0.5, 1, 2, 4),
    "candidates._HIGHEST": (100, 200, 300, 400, 500),
    "candidates._LOW": (6, 10, 20),
    "candidates._BROAD": (0, 200, 500),
    "candidates._LOGARITHMS": (1.3, 2, 4),
}


def tables() -> list[tuple]:
    """The table ``forecast_constants``, the keys of its parts, and how a part is computed.

    A row for each ``value`` of a ``constant``: ``relative``, the geometric mean over series of the MASE relative to
    that of the seasonal naive forecast, the same for each class, and the coverage of intervals, means over series.
    """
    listed = pd.read_csv(LIST, keep_default_na=False, dtype=str).query("half == 'development'")
    made = key(forecast, scores, listed.to_csv(index=False), LEVELS)
    parts = {(constant, value): made for constant, values in VALUES.items() for value in values}
    return [(Table("forecast_constants", ["constant", "value"]), parts, scores_with)]


def scores_with(constant: str, value: float) -> pd.DataFrame:
    """The row of one value of a constant."""
    module, name = constant.split(".")
    with patch.object(import_module(f"harmonics_lib.series.{module}"), name, value), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.DataFrame([scores(development())])


def scores(series: dict[str, Series]) -> dict[str, float]:
    """Means over series of the scores of ``forecast``."""
    rows = pd.DataFrame({name: scores_on(one) for name, one in series.items()}).T
    relative = np.log(rows["relative"].astype(float))
    kinds = relative.groupby([one.kind for one in series.values()]).mean().pipe(np.exp)
    covered = {name: rows[name].mean() for name in rows if name.startswith("cover")}
    return {"relative": float(np.exp(relative.mean()))} | kinds.to_dict() | covered


def scores_on(one: Series) -> dict[str, float]:
    """Relative MASE on a series, and the share of its samples inside each interval."""
    rows = []
    for past, future in one.windows():
        naive = pd.DataFrame({"mean": repeat(past.to_numpy(), one)})
        row = score(past, future, one.seasons, forecast(past, one.horizon, LEVELS))
        rows.append(row | {"naive": score(past, future, one.seasons, naive)["mase"]})
    means = pd.DataFrame(rows).mean()
    return {"relative": means["mase"] / means["naive"]} | means.filter(like="cover").to_dict()
