"""One style and one colour per method for the whole report. Functions take ``ax`` and return it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harmonics_lib.evaluation.scores import Score
from harmonics_lib.forecasters import registry
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.paths import stills
from harmonics_lib.published.runs import TrainedNetwork
from harmonics_lib.signals.process import SignalBatch

#: Colour, line style and marker of every method that is drawn.
METHODS = {name: method.style for name, method in registry.METHODS.items() if method.style}

_STYLE: Any = {
    "figure.figsize": (7.0, 3.2),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "axes.prop_cycle": plt.cycler(color=["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"]),
}


def use_style() -> None:
    """Set the report's style for all following figures, independent of a personal ``matplotlibrc``."""
    plt.rcdefaults()
    plt.rcParams.update(_STYLE)


def method_style(method: str) -> dict:
    """Keyword arguments of ``ax.plot`` for a method.

    Raises:
        ValueError: the method has no style.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    colour, line, marker = METHODS[method]
    return {"color": colour, "linestyle": line, "marker": marker, "label": method}


def _mark_every(points: int) -> int:
    """The distance of markers on a line of many points: about ten markers a line."""
    return max(1, points // 10)


def plot_spectrum(ax: Axes, frequencies, amplitudes, **style) -> Axes:
    """Stems of amplitudes (K,) against frequencies (K,) in cycles per sample."""
    style = {"linefmt": METHODS["DFT"][0], "markerfmt": "o", "basefmt": " "} | style
    ax.stem(np.asarray(frequencies), np.asarray(amplitudes), **style)
    ax.set(xlabel="frequency (cycles/sample)", ylabel="amplitude")
    return ax


def plot_forecasts(ax: Axes, signal, forecasts: dict, lookback: int, first: int = 0) -> Axes:
    """A signal (T,) from sample ``first``, its lookback shaded, and forecasts (method -> (H,)) after it."""
    signal = np.asarray(signal)
    ax.axvspan(first, lookback - 1, color="#eeeeee", zorder=0)
    ax.plot(np.arange(first, len(signal)), signal[first:], **method_style("truth"))
    for method, forecast in forecasts.items():
        forecast = np.asarray(forecast)
        every = _mark_every(len(forecast))
        ax.plot(np.arange(lookback, lookback + len(forecast)), forecast, markevery=every, **method_style(method))
    ax.set(xlabel="time (samples)", ylabel="signal (lookback peak = 1)")
    return ax


def plot_by_step(ax: Axes, method: str, values, low=None, high=None, first: int = 1) -> Axes:
    """Errors (H,) by step ahead on a logarithmic axis, with their intervals ``low`` to ``high``, (H,), as a band."""
    steps = np.arange(first, first + len(values))
    ax.semilogy(steps, values, markevery=_mark_every(len(values)), **method_style(method))
    if low is not None:
        ax.fill_between(steps, low, high, color=METHODS[method][0], alpha=0.25, linewidth=0)
    ax.set(xlabel="step ahead (samples)", ylabel="MSE (lookback peak = 1)")
    return ax


def plot_scores(ax: Axes, scores: Mapping[str, Score], seeds: Mapping[str, list[Score]] | None = None) -> Axes:
    """Errors by step of several methods with their 95 % bands; the scores of more ``seeds`` are thin dotted lines."""
    for method, score in scores.items():
        plot_by_step(ax, method, score.by_step, *score.interval(by_step=True))
    for method, others in (seeds or {}).items():
        for other in others:
            steps = np.arange(1, len(other.by_step) + 1)
            ax.semilogy(steps, other.by_step, ":", color=METHODS[method][0], linewidth=0.8)
    ax.set_xticks(np.arange(1, len(score.by_step) + 1))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_examples(
    batch: SignalBatch,
    forecasters: Mapping[str, Forecaster],
    errors,
    horizon: int,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99),
    columns: int = 3,
    context: int = 8,
) -> Figure:
    """A gallery of forecasts of the signals at quantiles of an error.

    The upper panel shows the median signal with its whole lookback. Each lower panel shows the signal at
    one quantile with the end of its lookback.

    Args:
        batch: the signals.
        forecasters: method -> forecaster.
        errors: (B,) errors of the method that selects the signals.
        horizon: number of steps to forecast.
        quantiles: of the errors, one for each lower panel.
        columns: lower panels in a row.
        context: samples of the lookback in the lower panels.
    """

    def draw(ax, quantile, first):
        row = np.argsort(errors)[int(quantile * (len(errors) - 1))]
        lookback = batch.past[row : row + 1]
        ahead = {name: forecaster(lookback, horizon)[0] for name, forecaster in forecasters.items()}
        plot_forecasts(ax, batch.clean[row, : batch.lookback + horizon], ahead, batch.lookback, first)
        ax.set(title=f"{quantile:.0%} quantile: MSE {errors[row]:.0e}", xlabel="", ylabel="signal")

    height = -(-len(quantiles) // columns)
    figure = plt.figure(figsize=(9, 0.5 + 2.1 * (height + 1)))
    whole, *panels = figure.subplot_mosaic([["whole"] * columns, *_rows(len(quantiles), columns)]).values()
    draw(whole, 0.5, 0)
    for ax, quantile in zip(panels, quantiles, strict=True):
        draw(ax, quantile, batch.lookback - context)
    for ax in (whole, *panels[-columns:]):
        ax.set_xlabel("time (samples)")
    figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncol=4)
    return figure


def _rows(count: int, columns: int) -> list[list]:
    """Rows of a mosaic with the panels 0, 1, …; the rest of the last row is empty."""
    cells = [*range(count), *["."] * (-count % columns)]
    return [cells[at : at + columns] for at in range(0, len(cells), columns)]


def plot_seeds_history(ax: Axes, trained: Sequence[TrainedNetwork], **style) -> Axes:
    """The validation losses of one network from several seeds, a line each."""
    for seed, (network, line) in enumerate(zip(trained, ("-", "--", ":", "-.") * len(trained), strict=False)):
        plot_history(ax, network.history, f"seed {seed}", linestyle=line, **style)
    ax.legend()
    return ax


def plot_history(ax: Axes, history: dict, label: str, **style) -> Axes:
    """Validation loss, logarithmic, against training signals; ``history``: columns of a run's history, (rows,) each."""
    ax.semilogy(np.array(history["signals"]) / 1e6, history["validation_loss"], label=label, **style)
    ax.set(xlabel="training signals (millions)", ylabel="validation loss (MSE)")
    return ax


def plot_seeds(ax: Axes, groups: dict[str, list[float]], label: str | None = None, **style) -> Axes:
    """Errors on a logarithmic axis: a row per group (name -> (seeds,)), a dot per seed, a bar at the median."""
    style = {"color": "black", "marker": "o"} | style
    rows = np.arange(len(groups))
    for row, errors in zip(rows, groups.values(), strict=True):
        spread = row + np.linspace(-0.2, 0.2, len(errors)) if len(errors) > 3 else np.full(len(errors), row)
        ax.plot(np.sort(errors), spread, linestyle="", label=label if row == 0 else None, **style)
        middle = np.quantile(errors, 0.5, method="higher")  # an observed value, even for an even number of seeds
        ax.plot(middle, row, marker="|", markersize=16, color=style["color"])
    ax.set(xscale="log", yticks=rows, yticklabels=groups, ylim=(len(groups) - 0.5, -0.5))
    return ax


def explore(draw: Callable[..., Figure], **controls) -> None:
    """In a live notebook, show ``draw(**values)`` with a slider or a list for each value.

    In the report, and without ipywidgets, it does nothing.

    Args:
        controls: as for ``ipywidgets.interact``: (lowest, highest) for a slider, a list of choices.
    """
    if stills():
        return
    try:
        from ipywidgets import interact
    except ImportError:
        return

    def show(**values):
        figure = draw(**values)
        display(figure)
        plt.close(figure)

    interact(show, **controls)
