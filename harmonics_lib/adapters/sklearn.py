"""``HarmonicEstimator``: ``forecast`` as an estimator of scikit-learn."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from harmonics_lib.adapters import FORECAST, continue_series


class HarmonicEstimator(BaseEstimator):
    """The average of candidates by their earlier errors; see ``harmonics_lib.forecast``.

    Args:
        method: "forecast", or a forecaster of windows or its name, such as "auto, given nothing".
        seasons: lengths of seasons in samples that "forecast" tries beside those that it finds.
        periods: periods in samples of sinusoids that the series may contain.

    Example:
        >>> from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
        >>> from harmonics_lib.adapters.sklearn import HarmonicEstimator
        >>> y = np.sin(np.arange(120) / 3)
        >>> methods = {"method": ["forecast", "lines with width"]}
        >>> search = GridSearchCV(HarmonicEstimator(), methods, cv=TimeSeriesSplit(3, test_size=12)).fit(y)
        >>> search.best_estimator_.predict(24).shape
        (24,)
    """

    def __init__(self, method=FORECAST, seasons=None, periods=None):
        self.method, self.seasons, self.periods = method, seasons, periods

    def fit(self, y, _=None):
        """Keep a series (N,), an array or a pandas Series."""
        self.y_ = y
        return self

    def predict(self, horizon, level=None):
        """(horizon,) samples; with a level in percent, or several, the table of ``forecast``."""
        check_is_fitted(self)
        table = continue_series(self.y_, horizon, level, self.method, self.seasons, self.periods)
        return table["mean"].to_numpy() if level is None else table

    def score(self, y, _=None):
        """Minus the mean absolute error of a forecast of the next samples y (H,)."""
        return -float(np.abs(np.asarray(y, dtype=float) - self.predict(len(y))).mean())
