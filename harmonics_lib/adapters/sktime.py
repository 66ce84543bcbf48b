"""``HarmonicForecaster``: ``forecast`` as a forecaster of sktime."""

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster

from harmonics_lib.adapters import FORECAST, continue_series


class HarmonicForecaster(BaseForecaster):
    """The average of candidates by their earlier errors; see ``harmonics_lib.forecast``.

    Args:
        method: "forecast", or a forecaster of windows or its name, such as "auto, given nothing".
        seasons: lengths of seasons in samples that "forecast" tries beside those that it finds.
        periods: periods in samples of sinusoids that the series may contain.

    Example:
        >>> from sktime.datasets import load_airline
        >>> from harmonics_lib.adapters.sktime import HarmonicForecaster
        >>> ends = HarmonicForecaster().fit(load_airline()).predict_interval(fh=[1, 2, 3], coverage=0.9)
    """

    _tags = {  # noqa: RUF012, so it is in sktime
        "y_inner_mtype": "pd.Series",
        "scitype:y": "univariate",
        "requires-fh-in-fit": False,
        "capability:missing_values": True,
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:update": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "python_dependencies": "harmonics-lib",
    }

    def __init__(self, method=FORECAST, seasons=None, periods=None):
        self.method, self.seasons, self.periods = method, seasons, periods
        super().__init__()

    def _fit(self, y, X, fh):
        self._series = y
        return self

    def _update(self, y, X=None, update_params=True):
        self._series = y.combine_first(self._series).rename(y.name)
        return self

    def _predict(self, fh, X):
        return self._ahead(fh, None)["mean"].rename(self._series.name)

    def _predict_quantiles(self, fh, X, alpha):
        levels = [round(100 * abs(2 * one - 1), 8) for one in alpha]
        table = self._ahead(fh, sorted({level for level in levels if level >= 1}) or None)
        ends = ["lo" if one < 0.5 else "hi" for one in alpha]
        names = [f"{end}-{level:.10g}" if level >= 1 else "mean" for end, level in zip(ends, levels, strict=True)]
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return pd.DataFrame(table[names].to_numpy(), table.index, columns)

    def _ahead(self, fh, level) -> pd.DataFrame:
        """The table of ``forecast`` at the steps of a horizon."""
        steps = np.asarray(fh.to_relative(self.cutoff).to_pandas(), dtype=int)
        table = continue_series(self._series, int(steps.max()), level, self.method, self.seasons, self.periods)
        return table.iloc[steps - 1].set_axis(fh.to_absolute_index(self.cutoff))

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        return [{}, {"seasons": [4]}, {"method": "lines with width"}]
