"""Adapters of libraries that fit a model to each window. Each adapter imports only its own library.

Settings were chosen by the error over ten steps on windows of 1, 5 and 20 components, with and without
noise of 0.1, from their own random stream ("peers tuning"). ``methods`` lists the settings that were tried.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.signal import find_peaks, periodogram
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, ExpSineSquared, WhiteKernel
from torch import Tensor

from harmonics_lib.forecasters.base import Forecaster
from harmonics_lib.forecasters.window import Window
from harmonics_lib.signals.process import SignalBatch

ContinueWindow = Callable[[np.ndarray, int], np.ndarray]  # a window (N,) and a horizon -> (horizon,)


@dataclass(frozen=True)
class PerWindow(Forecaster):
    """A forecaster that continues one window after the other.

    If the library fails, the forecast is the last value, as with statsforecast's ``fallback_model=Naive()``.
    ``failed`` counts these windows.
    """

    continue_window: ContinueWindow
    minimum: int = 12
    _failures: list[Exception | None] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def failed(self) -> int:
        return len(self._failures)

    def _estimate(self, window: Window, horizon: int) -> Tensor:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return torch.tensor(np.stack([self._continue(samples, horizon) for samples in window.x.numpy(force=True)]))

    def _continue(self, samples: np.ndarray, horizon: int) -> np.ndarray:
        failure = None
        try:
            ahead = np.asarray(self.continue_window(samples, horizon), dtype=float)
        except Exception as error:  # the libraries raise whatever their solvers do
            ahead, failure = np.full(horizon, np.nan), error
        if ahead.shape == (horizon,) and np.isfinite(ahead).all():
            return ahead
        self._failures.append(failure)
        return np.full(horizon, samples[-1])


def peak_frequencies(window: np.ndarray) -> np.ndarray:
    """Frequencies of the peaks of a window's periodogram (Hann, zero-padded eightfold), the strongest first."""
    frequencies, power = periodogram(window, window="hann", nfft=8 * len(window))
    peaks, _ = find_peaks(power)
    return frequencies[peaks[np.argsort(-power[peaks])]]


def seasons(window: np.ndarray, longest: int) -> list[int]:
    """Whole periods of these peaks, from 2 samples to ``longest``; [1], no season, where there is none."""
    periods = [round(1 / frequency) for frequency in peak_frequencies(window)]
    return [period for period in dict.fromkeys(periods) if 2 <= period <= longest] or [1]


def auto_arima() -> Forecaster:
    """ARIMA whose orders are searched stepwise by the corrected AIC, differenced as a test of KPSS says."""
    from statsforecast.models import AutoARIMA

    return PerWindow(lambda window, horizon: AutoARIMA().forecast(y=window, h=horizon)["mean"])


def auto_ets() -> Forecaster:
    """Exponential smoothing whose form is chosen by the corrected AIC, with the season of the strongest peak."""
    from statsforecast.models import AutoETS

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        model = AutoETS(season_length=seasons(window, longest=24)[0])  # it has no longer ones
        return model.forecast(y=window, h=horizon)["mean"]

    return PerWindow(continue_window)


def auto_ces() -> Forecaster:
    """Complex exponential smoothing, its form chosen by the corrected AIC, with the season of the strongest peak."""
    from statsforecast.models import AutoCES

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        model = AutoCES(season_length=seasons(window, longest=len(window) // 2)[0])
        return model.forecast(y=window, h=horizon)["mean"]

    return PerWindow(continue_window)


def mstl(count: int = 2) -> Forecaster:
    """Seasons by repeated LOESS, of the ``count`` strongest peaks, and exponential smoothing of what they leave."""
    from statsforecast.models import MSTL

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        model = MSTL(season_length=seasons(window, longest=len(window) // 2 - 1)[:count])
        return model.forecast(y=window, h=horizon)["mean"]

    return PerWindow(continue_window)


def autoreg() -> Forecaster:
    """Autoregression by least squares, without a constant, of at most N / 3 lags, as many as the AIC says."""
    from statsmodels.tsa.ar_model import ar_select_order

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        chosen = ar_select_order(window, len(window) // 3, ic="aic", trend="n")
        return chosen.model.fit().forecast(horizon)

    return PerWindow(continue_window)


def unobserved_components(count: int = 3) -> Forecaster:
    """Stochastic cycles with the periods of the ``count`` strongest peaks, and noise, by maximum likelihood."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        cycles = [{"period": 1 / frequency, "harmonics": 1} for frequency in peak_frequencies(window)[:count]]
        model = UnobservedComponents(window, freq_seasonal=cycles, irregular=True)
        return model.fit(disp=0, method="lbfgs", maxiter=50).forecast(horizon)

    return PerWindow(continue_window)


def gaussian_process(count: int = 5) -> Forecaster:
    """Periodic kernels at the ``count`` strongest peaks, a smooth rest and noise, by marginal likelihood."""

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        power, times = window.var(), np.arange(len(window) + horizon)[:, None]
        kernel = WhiteKernel(power / 100, (1e-10, 1e2)) + ConstantKernel(power / 4, (1e-6, 1e2)) * RBF(5.0, (1, 1e3))
        for period in 1 / peak_frequencies(window)[:count]:
            repeating = ExpSineSquared(3.0, period, "fixed", (0.9 * period, 1.1 * period))
            kernel += ConstantKernel(power / count, (1e-6, 1e2)) * repeating
        model = GaussianProcessRegressor(kernel).fit(times[: len(window)], window)
        return model.predict(times[len(window) :])

    return PerWindow(continue_window)


def hankel_dmd(rank: int = 0, share: float = 2 / 3) -> Forecaster:
    """Dynamic mode decomposition of the window's Hankel matrix; rank 0 is Gavish and Donoho's threshold."""
    from pydmd import HankelDMD

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        model = HankelDMD(svd_rank=rank, d=round(share * len(window)), exact=True, opt=True)
        model.fit(window[None])
        model.dmd_time["tend"] = len(window) + horizon - 1
        return model.reconstructed_data[0, -horizon:].real

    return PerWindow(continue_window)


def hankel_dmd_known_count(batch: SignalBatch) -> Forecaster:
    """``hankel_dmd`` given the number of sinusoids: two exponentials for each, in a matrix of 60 by 41."""
    return hankel_dmd(rank=2 * batch.periods.shape[1], share=0.6)


def darts_fft(count: int = 1) -> Forecaster:
    """Extrapolation of the strongest ``count`` bins of the window's DFT."""
    from darts import TimeSeries
    from darts.models import FFT

    logging.getLogger("darts").setLevel(logging.ERROR)

    def continue_window(window: np.ndarray, horizon: int) -> np.ndarray:
        model = FFT(nr_freqs_to_keep=count)
        model.fit(TimeSeries.from_values(window))
        return model.predict(horizon).values()[:, 0]

    return PerWindow(continue_window)
