"""The seasons of a series that nobody gave: from its autocorrelation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_LEAST = 0.2  # autocorrelation of a season
_READ = 5000  # samples


def seasons_of(x: np.ndarray, given: Iterable[int]) -> list[int]:
    """Lengths of seasons to try: those that are given, or else the largest autocorrelations of samples x (N,).

    Seasons of which the series does not contain two are left out.
    """
    fitting = [season for season in dict.fromkeys(given) if 2 * season <= len(x)]
    if fitting:
        return fitting
    x = x[-_READ:]
    line = np.polyval(np.polyfit(np.arange(len(x)), x, 1), np.arange(len(x)))
    likely = [peak for peak in map(_peak, (np.diff(x), x - line)) if peak is not None]
    return list(dict.fromkeys(likely))


def _peak(x: np.ndarray) -> int | None:
    """The lag of the highest peak of the autocorrelation of samples x (N,), up to a third of them, or None."""
    count = len(x)
    spectrum = np.abs(np.fft.rfft(x - x.mean(), 2 * count)) ** 2
    products = np.fft.irfft(spectrum)[:count]
    if count < 12 or not products[0] > 0:
        return None
    correlation = products / products[0] * count / (count - np.arange(count))
    lags = np.arange(2, count // 3)
    peaks = lags[(correlation[lags] > correlation[lags - 1]) & (correlation[lags] >= correlation[lags + 1])]
    peaks = peaks[correlation[peaks] > max(_LEAST, 2 / np.sqrt(count))]
    return int(peaks[np.argmax(correlation[peaks])]) if len(peaks) else None
