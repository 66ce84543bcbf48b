"""``Forecast``: a table of forecasts that can draw itself after the series that it continues, with its spectrum."""

from __future__ import annotations

import math

import pandas as pd

_HISTORY = 3  # horizons of the series that are drawn before the forecast
_DECADES = 1e6  # of the spectrum that are drawn, as a ratio
_PEAKS, _TRIED = 3, 30  # periods that are written beside peaks, and peaks that are tried for them
_APART = 0.2  # difference of the logarithms of two periods that are written beside peaks, at least


class Forecast(pd.DataFrame):
    """A forecast: ``mean``, and ``lo-80``, ``hi-80`` and so on, a row for each future sample.

    ``attrs`` says how it was made: see ``forecast``.
    """

    _metadata = ["history"]  # noqa: RUF012 - as pandas wants it

    @property
    def _constructor(self):
        return Forecast

    def plot(self, samples: int | None = None, ax=None, **style):
        """Draw the end of the series, its continuation and the intervals, and below them the spectrum.

        Args:
            samples: of the series to draw; None for three times as many as are forecast, at least 50.
            ax: axes for the series and the forecast alone; None for a new figure.
            style: arguments of ``pandas.Series.plot`` for the forecast.

        Returns:
            The matplotlib axes of the series; those of the spectrum, in a new figure, are ``ax.figure.axes[1]``.

        Raises:
            ValueError: the table has no column ``mean`` or no series before it.
        """
        history = self._history()
        samples = max(50, _HISTORY * len(self)) if samples is None else samples
        before, ahead = _with_times(history.iloc[-samples:]), _with_times(self)
        alone = ax is not None
        ax = before.to_frame("series").plot(ax=ax, color="black", lw=1, x_compat=True)  # a table has axes of its own
        line = style.pop("color", "C0")
        for name in (column[3:] for column in self.columns if column.startswith("lo-")):
            low, high = (ahead[f"{end}-{name}"].to_numpy() for end in ("lo", "hi"))
            ax.fill_between(ahead.index, low, high, color=line, alpha=0.2, lw=0, label=f"{name} %")
        ahead["mean"].plot(ax=ax, color=line, label="forecast", x_compat=True, **style)
        ax.legend()
        if not alone:
            self.plot_spectrum(_axes_below(ax))
        return ax

    def spectrum(self) -> pd.Series:
        """The power of lines with width in the last 1,000 samples, by period in samples, the longest first.

        It belongs to ``broad_lines``, in the squared unit of the series. Missing samples are interpolated.

        Raises:
            ValueError: there is no series before the forecast, or it has less than 8 samples.
        """
        import torch

        from harmonics_lib.forecasters.broad import broad_lines

        values = self._history().astype(float).interpolate(limit_direction="both").to_numpy()
        frequencies, powers = broad_lines().spectrum(torch.tensor(values[None]))
        return pd.Series(powers[0, 1:].numpy(), pd.Index(1 / frequencies[1:].numpy(), name="period"), name="power")

    def plot_spectrum(self, ax=None):
        """Draw ``spectrum`` with the periods of its three highest peaks; the matplotlib axes.

        Raises:
            ValueError: as ``spectrum``.
        """
        powers = self.spectrum()
        ax = powers.plot(ax=ax, logx=True, color="black", lw=1)
        ax.set(xlabel="period (samples)", ylabel="power", yscale="log", ylim=(powers.max() / _DECADES, None))
        for period, power in self.peaks().items():
            ax.annotate(f"{period:.3g}", (period, power), (0, 3), textcoords="offset points", ha="center")
        return ax

    def peaks(self) -> dict[float, float]:
        """The powers of the three highest peaks of ``spectrum`` by period; no two within a fifth of their periods."""
        powers = self.spectrum()
        peaks: dict[float, float] = {}
        higher = (powers > powers.shift()) & (powers > powers.shift(-1))
        for period, power in powers[higher].nlargest(_TRIED).items():
            if len(peaks) < _PEAKS and all(abs(math.log(period / other)) > _APART for other in peaks):
                peaks[period] = power
        return peaks

    def _history(self) -> pd.Series:
        history = getattr(self, "history", None)
        if history is None or "mean" not in self:
            raise ValueError("expected a forecast of one series with its mean, as forecast() returns it")
        return history


def _axes_below(ax):
    """New axes of half the height below the only ones of a figure."""
    ax.figure.set_size_inches(8, 5)
    ax.figure.set_layout_engine("constrained")
    grid = ax.figure.add_gridspec(2, height_ratios=(2, 1))
    ax.set_subplotspec(grid[0])
    return ax.figure.add_subplot(grid[1])


def _with_times(table):
    """A table or series whose periods are points in time, as matplotlib draws them."""
    return table.to_timestamp() if isinstance(table.index, pd.PeriodIndex) else table
