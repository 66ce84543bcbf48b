"""``Harmonic``: ``forecast`` as a model of statsforecast."""

import numpy as np
import pandas as pd
from statsforecast.models import _TS, _add_fitted_pi

from harmonics_lib.adapters import FORECAST, continue_series
from harmonics_lib.series.recurrence import linear_prediction_weights, predict


class Harmonic(_TS):
    """The average of candidates by their earlier errors; see ``harmonics_lib.forecast``.

    Its intervals are its own. Its fitted values are one-step forecasts of linear prediction of the whole series.

    Args:
        method: "forecast", or a forecaster of windows or its name, such as "auto, given nothing".
        seasons: lengths of seasons in samples that "forecast" tries beside those that it finds.
        periods: periods in samples of sinusoids that the series may contain.
        alias: name of its column.

    Example:
        >>> from statsforecast import StatsForecast
        >>> from harmonics_lib.adapters.statsforecast import Harmonic
        >>> table = StatsForecast([Harmonic()], freq="D").forecast(df=df, h=14, level=[80, 95])  # doctest: +SKIP
    """

    def __init__(self, method=FORECAST, seasons=None, periods=None, alias="Harmonic"):
        self.method, self.seasons, self.periods, self.alias = method, seasons, periods, alias
        self.prediction_intervals = None  # asked for by the host: other intervals than the model's

    def fit(self, y, X=None):
        self.y_ = np.array(y, dtype=float)
        return self

    def predict(self, h, X=None, level=None):
        return self.forecast(self.y_, h, level=level)

    def predict_in_sample(self, level=None):
        return _fitted(self.y_, level)

    def forecast(self, y, h, X=None, X_future=None, level=None, fitted=False):
        series = pd.Series(np.array(y, dtype=float))
        table = continue_series(series, h, level and sorted(level), self.method, self.seasons, self.periods)
        ends = {f"{end}-{one}": table[f"{end}-{one:.10g}"] for end in ("lo", "hi") for one in level or ()}
        result = {name: part.to_numpy() for name, part in ({"mean": table["mean"]} | ends).items()}
        return result | (_fitted(series.to_numpy(), level) if fitted else {})

    def forward(self, y, h, X=None, X_future=None, level=None, fitted=False):
        return self.forecast(y, h, level=level, fitted=fitted)


def _fitted(y: np.ndarray, level: list | None) -> dict[str, np.ndarray]:
    """One-step forecasts by linear prediction of the whole series, NaN for the first samples, with normal intervals."""
    order, fitted, centred = max(1, min(len(y) // 4, 100)), np.full(len(y), np.nan), y - y.mean()
    weights = linear_prediction_weights(centred, order, 0.0)
    fitted[order:] = predict(centred, weights, np.arange(order, len(y)), 1)[:, 0] + y.mean()
    return _add_fitted_pi({"fitted": fitted}, np.nanstd(y - fitted), sorted(level or ()))
