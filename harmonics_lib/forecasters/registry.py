"""The methods of the report by name: factory, what each is given, and plot style.

A new method is one entry here. Networks are entered by the name of their publication, because this
package does not depend on published results.

Example:
    >>> build("linear MMSE", Given(HarmonicProcess((1, 45), (2, 99))))
    linear_mmse(process=HarmonicProcess(components=(1, 45), periods=(2, 99), ...), noise_std=None)
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from harmonics_lib.arguments import check_choice
from harmonics_lib.forecasters.auto import auto_forecaster
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.baselines import dft_extrapolation, persistence, seasonal_naive, window_mean
from harmonics_lib.forecasters.broad import broad_lines
from harmonics_lib.forecasters.linear import linear_mmse
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import (
    autoregression,
    burg,
    cadzow,
    linear_prediction,
    matrix_pencil,
    tufts_kumaresan,
)
from harmonics_lib.forecasters.sparse import sparse_bayesian
from harmonics_lib.forecasters.wrappers import differenced
from harmonics_lib.signals.process import HarmonicProcess


@dataclass(frozen=True)
class Given:
    """The information on the signals that a method may be given.

    Attributes:
        process: range of the number of components and of the periods, and whether these are whole numbers.
        season: period in samples of the seasonal naive forecast.
        lookback: samples of a window.
    """

    process: HarmonicProcess = field(default_factory=lambda: HarmonicProcess((1, 45), (2, 99)))
    season: int = 1
    lookback: int = 100

    @property
    def any_period(self) -> HarmonicProcess:
        """The process with continuous periods."""
        return replace(self.process, integer_periods=False)

    @property
    def long_periods(self) -> HarmonicProcess:
        """1 to 45 components of periods up to ten times the lookback, of uniform frequencies."""
        return HarmonicProcess((1, 45), (2, 10 * self.lookback), integer_periods=False, uniform="frequency")


@dataclass(frozen=True)
class Method:
    """A method of the report.

    Attributes:
        given: the information that it is given, in words.
        make: builds its forecaster, or the name of a published network; None for entries that are only drawn.
        style: colour, line and marker; None if it is not drawn.
    """

    given: str
    make: Callable[[Given], Forecaster] | str | None
    style: tuple[str, str, str] | None = None


_NOTHING = "nothing"
_PERIODS = "the range of the periods, and whether they are whole numbers"
_RANGE = "the range of the periods"
_TRAINED = "the signals that it was trained on"

#: Colours are those of Okabe and Ito (2008) and of the same kind, distinct for colour-blind readers.
METHODS: dict[str, Method] = {
    "truth": Method("the future", None, ("#000000", "-", "")),
    "window mean": Method(_NOTHING, lambda given: window_mean()),
    "persistence": Method(_NOTHING, lambda given: persistence(), ("#999999", ":", "s")),
    "seasonal naive": Method("the season", lambda given: seasonal_naive(given.season), ("#661100", "-.", "v")),
    "DFT": Method(_NOTHING, lambda given: dft_extrapolation(), ("#E69F00", "--", "^")),
    "tapered DFT": Method(_NOTHING, lambda given: dft_extrapolation("hann"), ("#CC79A7", "-.", "v")),
    "small LSTM": Method(_TRAINED, "small_lstm", ("#0072B2", "-", "o")),
    "seq2seq GRU": Method(_TRAINED, "seq2seq_gru", ("#009E73", "--", "D")),
    "curriculum GRU": Method(_TRAINED, "curriculum_gru", ("#D55E00", "-", "P")),
    "curriculum GRU, 2 to 99": Method(_TRAINED, "curriculum_gru_2_99", ("#D55E00", ":", "X")),
    "linear prediction": Method(_NOTHING, lambda given: linear_prediction(), ("#56B4E9", "-", ">")),
    "linear prediction, plain": Method(
        "that there is no noise", lambda given: linear_prediction(ridge=0), ("#56B4E9", "--", "<")
    ),
    "linear prediction, a third": Method(_NOTHING, lambda given: linear_prediction(given.lookback // 3)),
    "linear prediction, differences": Method(_NOTHING, lambda given: differenced(linear_prediction())),
    "Tufts-Kumaresan": Method(_NOTHING, lambda given: tufts_kumaresan(), ("#117733", "-.", "h")),
    "Burg": Method(_NOTHING, lambda given: burg(), ("#999933", ":", "p")),
    "matrix pencil": Method(_NOTHING, lambda given: matrix_pencil(unit_circle=True), ("#44AA99", "--", "d")),
    "matrix pencil, free poles": Method(_NOTHING, lambda given: matrix_pencil()),
    "autoregression": Method(_NOTHING, lambda given: autoregression(), ("#999933", "--", "<")),
    "Cadzow": Method(_NOTHING, lambda given: cadzow(), ("#117733", "--", "H")),
    "nonlinear least squares": Method(_NOTHING, lambda given: nonlinear_least_squares(), ("#332288", "-", "o")),
    "linear MMSE": Method(_PERIODS, lambda given: linear_mmse(given.process), ("#8C510A", "-.", "^")),
    "linear MMSE, any period": Method(_RANGE, lambda given: linear_mmse(given.any_period), ("#8C510A", ":", "v")),
    "linear MMSE, long periods": Method(_NOTHING, lambda given: linear_mmse(given.long_periods)),
    "sparse Bayesian": Method(_PERIODS, lambda given: sparse_bayesian(given.process), ("#882255", "-", "*")),
    "sparse Bayesian, any period": Method(
        _RANGE, lambda given: sparse_bayesian(given.any_period), ("#882255", ":", "s")
    ),
    "sparse Bayesian, line": Method(_RANGE, lambda given: sparse_bayesian(given.any_period, trend="line")),
    "sparse Bayesian, long periods": Method(_NOTHING, lambda given: sparse_bayesian(given.long_periods)),
    "sparse Bayesian, long periods, level": Method(
        _NOTHING, lambda given: sparse_bayesian(given.long_periods, trend="level")
    ),
    "sparse Bayesian, differences": Method(
        _NOTHING, lambda given: differenced(sparse_bayesian(given.long_periods, trend="level"))
    ),
    "lines with width": Method(_NOTHING, lambda given: broad_lines(), ("#004488", "-", "s")),
    "auto": Method(_PERIODS, lambda given: auto_forecaster(given.process), ("#EE6677", "-", "D")),
    "auto, given nothing": Method(_NOTHING, lambda given: auto_forecaster()),
    "curriculum GRU, noise": Method(_TRAINED, None, ("#D55E00", "--", "P")),
    "noise network": Method(_TRAINED, "noise_network", ("#AA4499", "-", "X")),
    "known periods": Method("periods, noise and power of each signal", None, ("#000000", "--", "")),
}


def build(name: str, given: Given | None = None, load: Callable[[str], Forecaster] | None = None) -> Forecaster:
    """The forecaster of that name.

    Args:
        name: one of ``METHODS``.
        given: information on the signals; None for 1 to 45 components of whole periods from 2 to 99.
        load: loads a published network by name, such as ``load_forecaster``.

    Raises:
        ValueError: the name is unknown or not that of a forecaster, or a network has no ``load``.
    """
    make = METHODS[check_choice("name", name, METHODS)].make
    if isinstance(make, str):
        if load is None:
            raise ValueError(f"name must be that of an untrained method where there is no load, got {name!r}")
        return load(make)
    if make is None:
        raise ValueError(f"name must be that of a forecaster, got {name!r}, which is only drawn")
    return make(given or Given())
