"""``Forecast``: a table of forecasts that can draw itself after the series that it continues."""

from __future__ import annotations

import pandas as pd

_HISTORY = 3  # horizons of the series that are drawn before the forecast


class Forecast(pd.DataFrame):
    """A forecast: ``mean``, and ``lo-80``, ``hi-80`` and so on, a row for each future sample.

    ``attrs`` says how it was made: see ``forecast``.
    """

    _metadata = ["history"]  # noqa: RUF012 - as pandas wants it

    @property
    def _constructor(self):
        return Forecast

    def plot(self, samples: int | None = None, ax=None, **style):
        """Draw the end of the series, its continuation and the intervals; the matplotlib axes.

        Args:
            samples: of the series to draw; None for three times as many as are forecast, at least 50.
            ax: axes to draw on; None for new ones.
            style: arguments of ``pandas.Series.plot`` for the forecast.

        Raises:
            ValueError: the table has no column ``mean`` or no series before it.
        """
        history = getattr(self, "history", None)
        if history is None or "mean" not in self:
            raise ValueError("expected a forecast of one series with its mean, as forecast() returns it")
        samples = max(50, _HISTORY * len(self)) if samples is None else samples
        before, ahead = _with_times(history.iloc[-samples:]), _with_times(self)
        ax = before.to_frame("series").plot(ax=ax, color="black", lw=1, x_compat=True)  # a table has axes of its own
        line = style.pop("color", "C0")
        for name in (column[3:] for column in self.columns if column.startswith("lo-")):
            low, high = (ahead[f"{end}-{name}"].to_numpy() for end in ("lo", "hi"))
            ax.fill_between(ahead.index, low, high, color=line, alpha=0.2, lw=0, label=f"{name} %")
        ahead["mean"].plot(ax=ax, color=line, label="forecast", x_compat=True, **style)
        ax.legend()
        return ax


def _with_times(table):
    """A table or series whose periods are points in time, as matplotlib draws them."""
    return table.to_timestamp() if isinstance(table.index, pd.PeriodIndex) else table
