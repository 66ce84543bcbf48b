"""The methods that ``make peers`` compares: where each comes from, its settings, and what it assumes.

Other libraries live in an environment of their own (``make peers``); ours are scored in either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from experiments.grid import process_of
from experiments.keys import key
from harmonics_lib.evaluation.grid import score_cell
from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.registry import Given, build
from harmonics_lib.signals.process import SignalBatch

OURS = "harmonics-lib"
PACKAGES = ("darts", "lightgbm", "mlforecast", "neuralforecast", "pydmd", "statsforecast", "statsmodels")
LEARNED = ("NHITS", "PatchTST", "LightGBM")
SLOW, FAST = (200,), (200, 1000)  # windows of a cell; the first 200 are those that every method has forecast


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        package: that it comes from.
        settings: in words, and what else was tried.
        assumes: of the signal, in words.
        make: builds its forecaster from the signals of a cell, of which it may use only what ``assumes`` states.
        windows: of each cell that it forecasts.
        periods: of the cells that it forecasts; whole ones stand for all where a method is slow, and cannot tell.
        lookbacks: with which it forecasts the measured series, 100 samples and a long one; none for ours.
    """

    package: str
    settings: str
    assumes: str
    make: Callable[[SignalBatch], Forecaster]
    windows: tuple[int, ...] = FAST
    periods: tuple[str, ...] = ("whole", "any")
    lookbacks: tuple[str, ...] = ("100", "long")

    @property
    def words(self) -> dict[str, str]:
        """What the table says of it."""
        told = {"package": self.package, "version": version(self.package)}
        return told | {"settings": self.settings, "assumes": self.assumes}

    def key(self, batches: Sequence[SignalBatch]) -> str | None:
        """Of ours, that of its code; of another library, that of its version and settings, or None where it is not."""
        if self.package == OURS:
            return key(score_cell, [self.make(batch) for batch in batches])
        if not all(map(find_spec, PACKAGES)):
            return None
        return key(self.package, version(self.package), self.settings)


def _ours(name: str, settings: str, assumes: str) -> Method:
    return Method(OURS, settings, assumes, lambda batch: build(name, Given(process_of(batch))), lookbacks=())


def _adapter(place: str, name: str, *told) -> Forecaster:
    """What a function of ``local`` or ``learned`` makes, which only the peers' environment can import."""
    return getattr(import_module(f"experiments.peers.{place}"), name)(*told)


_TOLD = "1 to 45 sinusoids, periods of 2 to 99, whole or any as the cell has them"
_TRAINED = "the signals that it was trained on: those of the noise network"

METHODS = {
    "sparse Bayesian": _ours("sparse Bayesian", "its own", _TOLD),
    "auto": _ours("auto", "its own", _TOLD),
    "linear prediction": _ours("linear prediction", "order 66, its own ridge", "a recurrence"),
    "linear MMSE": _ours("linear MMSE", "its own", _TOLD + ", in the mean"),
    "persistence": _ours("persistence", "none", "nothing"),
    "AutoARIMA": Method(
        "statsforecast",
        "as it comes, without a season; tried: stationary up to order 10 (better with 5 components only), "
        "regression on sines and cosines of the 2, 4 and 6 strongest peaks (better with 1, worse with 20, three times "
        "the time)",
        "a short recurrence driven by white noise, once or twice integrated or not",
        lambda batch: _adapter("local", "auto_arima"),
        SLOW,
        ("whole",),
        ("100",),
    ),
    "AutoETS": Method(
        "statsforecast",
        "every form, season of the strongest peak up to 24; tried: a season always (worse)",
        "a level, a slope and one season that drift",
        lambda batch: _adapter("local", "auto_ets"),
        SLOW,
    ),
    "AutoCES": Method(
        "statsforecast",
        "season of the strongest peak",
        "complex level and one season that drift",
        lambda batch: _adapter("local", "auto_ces"),
        SLOW,
    ),
    "MSTL": Method(
        "statsforecast",
        "seasons of the 2 strongest peaks, AutoETS for the rest; tried: 1 season (better with 1 component), 3 seasons, "
        "AutoARIMA for the rest",
        "two seasons of whole periods of at most half the window, and a trend",
        lambda batch: _adapter("local", "mstl"),
        SLOW,
    ),
    "AutoReg": Method(
        "statsmodels",
        "order up to N / 3 by AIC, no constant; tried: BIC, HQIC, up to 16 to 45 lags, a constant",
        "a recurrence driven by white noise",
        lambda batch: _adapter("local", "autoreg"),
    ),
    "UnobservedComponents": Method(
        "statsmodels",
        "cycles with the periods of the 3 strongest peaks, no level; tried: 5 and 8 cycles, one cycle of any period, "
        "a level",
        "three sinusoids of the periodogram's periods whose amplitudes and phases drift, and noise",
        lambda batch: _adapter("local", "unobserved_components"),
        SLOW,
    ),
    "Gaussian process": Method(
        "scikit-learn",
        "periodic kernels at the 5 strongest peaks, a squared exponential and noise, by marginal likelihood; "
        "tried: 1, 2 and 3 peaks, no squared exponential (worse), amplitudes that drift",
        "five waveforms that repeat themselves, something smooth, and white noise",
        lambda batch: _adapter("local", "gaussian_process"),
        SLOW,
        ("whole",),
        ("100",),
    ),
    "Hankel DMD": Method(
        "pydmd",
        "2 N / 3 delays, rank by Gavish and Donoho's threshold, exact modes, optimal amplitudes; "
        "tried: 33 to 75 delays, rank by 90, 99 and 99.5 % of the energy, forward and backward, total least squares, "
        "BOPDMD",
        "a sum of exponentials",
        lambda batch: _adapter("local", "hankel_dmd"),
    ),
    "Hankel DMD, told": Method(
        "pydmd",
        "as Hankel DMD, but 0.6 N delays, and told the number of sinusoids; tried: 0.5 N and 0.55 N (worse in noise)",
        "a sum of as many exponentials as there are",
        lambda batch: _adapter("local", "hankel_dmd_known_count", batch),
        lookbacks=(),
    ),
    "FFT": Method(
        "darts",
        "the strongest bin; tried: 3, 5, 10, all",
        "the window repeats itself",
        lambda batch: _adapter("local", "darts_fft"),
    ),
    "NHITS": Method(
        "neuralforecast",
        "3 stacks of 2 layers of 512 at full resolution, 24,000 steps of 512 signals; "
        "tried: pooling and interpolation as by default (worse)",
        _TRAINED,
        lambda batch: _adapter("learned", "network", "NHITS"),
        lookbacks=("100",),
    ),
    "PatchTST": Method(
        "neuralforecast",
        "3 layers of 128 units, patches of 16 every 8, no dropout, 6,000 steps of 512 signals; "
        "tried in its place: TiDE (worse)",
        _TRAINED,
        lambda batch: _adapter("learned", "network", "PatchTST"),
        lookbacks=("100",),
    ),
    "LightGBM": Method(
        "mlforecast",
        "400 trees of 63 leaves for each step ahead, on 100 lags of 40,000 signals; "
        "tried: one model, one step ahead and run on (worse)",
        _TRAINED,
        lambda batch: _adapter("learned", "lightgbm"),
        lookbacks=("100",),
    ),
}
