"""``forecast`` as a model of sktime, statsforecast, darts and scikit-learn, a module each, and their models as ours.

A module imports its host when it is imported; nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harmonics_lib.arguments import check_choice, describe, join_values
from harmonics_lib.forecasters.base import Forecaster, ForecastFunction, ask, central_interval, window_forecaster
from harmonics_lib.forecasters.registry import METHODS, build
from harmonics_lib.published.networks import load_forecaster
from harmonics_lib.series.forecasts import _ends_of_levels, forecast
from harmonics_lib.series.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

FORECAST = "forecast"  # the method of ``forecast``; any other one is a forecaster of windows
_WINDOW = 1000  # samples at most that a forecaster of windows reads


def continue_series(
    series: pd.Series,
    horizon: int,
    level: float | Sequence[float] | None,
    method: str | ForecastFunction = FORECAST,
    seasons: int | Sequence[int] | None = None,
    periods: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The table of ``forecast``, by ``forecast`` or by any forecaster of windows.

    Args:
        series, horizon, level, seasons, periods: as in ``forecast``, which alone reads seasons and periods.
        method: "forecast"; or a forecaster, or its name in ``harmonics_lib.forecasters.registry``, such as "auto,
            given nothing", which continues the last 1,000 samples without their mean.

    Raises:
        ValueError: the method is unknown, or has no intervals and a level is asked for; or as ``forecast``.
    """
    if isinstance(method, str) and method == FORECAST:
        return forecast(series, horizon, level, seasons=seasons, periods=periods)
    if isinstance(method, str):
        known = [FORECAST, *(name for name, entry in METHODS.items() if entry.make)]
        method = build(check_choice("method", method, known), load=load_forecaster)
    samples = Samples.of(series)
    window = torch.from_numpy(samples.values[-_WINDOW:])[None]
    ahead, prediction = ask(method, window - window.mean(), samples.skipped + horizon)
    columns = {"mean": ahead}
    for ends, share in _ends_of_levels(level).items():
        if prediction is None:
            raise ValueError(f"method must have intervals where a level is asked for, got {method}")
        columns |= zip(ends, central_interval(prediction.observed, share), strict=True)
    values = {name: samples.unit * (part + window.mean())[0, samples.skipped :] for name, part in columns.items()}
    import pandas as pd

    return pd.DataFrame({name: part.numpy() for name, part in values.items()}, index=samples.axis.ahead(horizon))


def model_forecaster(model) -> Forecaster:
    """A model of sktime, statsforecast, darts or scikit-learn as a forecaster, fitted anew to every window.

    Raises:
        ValueError: the model is of none of these.

    Example:
        >>> from harmonics_lib.adapters.sklearn import HarmonicEstimator
        >>> model_forecaster(HarmonicEstimator())(torch.ones(2, 24), 3)
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """
    host = host_of(model)
    if host is None:
        hosts = join_values(_CONTINUE)
        raise ValueError(f"model must be one of {hosts}, got {describe(model)}")

    def estimate(x: Tensor, horizon: int) -> Tensor:
        ahead = [_CONTINUE[host](model, window, horizon) for window in x.numpy()]
        return torch.from_numpy(np.array(ahead, dtype=float).reshape(len(x), horizon))

    return window_forecaster(estimate, minimum=3)


def host_of(model) -> str | None:
    """The package that a model is made for: "darts", "statsforecast", "sktime", "sklearn" or None."""
    bases = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    return next((host for host in _CONTINUE if host in bases), None)


def _by_darts(model, window: np.ndarray, horizon: int):
    from darts import TimeSeries

    return model.untrained_model().fit(TimeSeries.from_values(window)).predict(horizon).values()


def _by_sktime(model, window: np.ndarray, horizon: int):
    import pandas as pd

    return model.clone().fit(pd.Series(window)).predict(fh=np.arange(1, horizon + 1))


def _by_sklearn(model, window: np.ndarray, horizon: int):
    from sklearn.base import clone

    return clone(model).fit(window).predict(horizon)


_CONTINUE = {
    "darts": _by_darts,
    "statsforecast": lambda model, window, horizon: model.new().forecast(y=window, h=horizon)["mean"],
    "sktime": _by_sktime,
    "sklearn": _by_sklearn,
}
