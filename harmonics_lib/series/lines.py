"""Sinusoids of given periods beside coloured noise, as a Gaussian process whose variances are learned.

The covariance is C = sum_g w_g R_g + s^2 I. The atoms R_g are a sinusoid of each period, a
sinusoid of each period that loses its phase in ten cycles, and exponentials of several memories. The
covariance is Toeplitz, and so are the equations of the forecast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from harmonics_lib.forecasters.toeplitz import autocorrelation, diagonal_sums, solve_toeplitz
from harmonics_lib.series.origins import Past

_LONGEST = 1000  # samples that are used
_CYCLES = 10  # after which a sinusoid with width has lost its phase
_MEMORIES = (1, 3, 10, 30, 100, 300)  # of the coloured noise, in samples
_SHARES = (0.3, 0.2, 0.5)  # of the variance at the start: sinusoids, those with width, coloured noise
_WHITE, _LEVEL = 0.01, 100.0  # variances of white noise at the start and of the level, relative to the window's
_FIRST, _AGAIN = 20, 5  # updates for the first group of origins, and for the others, which start where it ended
_UNKNOWN = 1e-9  # keeps the weights of atoms of which the samples say nothing


def given_lines(past: Past, horizon: int, periods: Sequence[float]) -> np.ndarray:
    """(n, horizon) forecasts with sinusoids of these periods, in samples.

    The variances w_g start from shares of the window's. With y = C^-1 x, v_g = y' R_g y and u_g = tr(C^-1 R_g), the
    update w_g <- w_g v_g / u_g rests where the likelihood is level.

    Sources: Stoica and Babu (2012) for the update; Rasmussen and Williams (2006), equation 2.23, for the forecast.
    """
    size = min(_LONGEST, past.first)
    atoms = _atoms(periods, size + horizon)
    weights, updates = _start(len(periods)), _FIRST
    ahead = np.full((len(past.ends), horizon), math.nan)
    for rows, part in past.groups():
        windows = part.x[part.ends[:, None] - size + np.arange(size)]  # (r, N)
        level, unit = windows[0].mean(), windows[0].std() or 1.0
        windows, count = (windows - level) / unit, updates
        for _ in range(count):
            weights = _update(weights, atoms[:, :size], windows[0])
        updates = _AGAIN
        ahead[rows] = level + unit * _continue(weights, atoms, windows, horizon)
    return ahead


def _atoms(periods: Sequence[float], length: int) -> np.ndarray:
    """(2 P + M, length) autocovariances of variance 1."""
    cycles = np.arange(length) / np.array(periods)[:, None]  # (P, length)
    lines = np.cos(2 * np.pi * cycles)
    memories = np.exp(-np.arange(length) / np.array(_MEMORIES)[:, None])
    return np.concatenate([lines, lines * np.exp(-cycles / _CYCLES), memories])


def _start(count: int) -> np.ndarray:
    """(2 P + M + 1,) variances of the atoms and of the white noise."""
    numbers = (count, count, len(_MEMORIES))
    shares = [np.full(number, share / number) for number, share in zip(numbers, _SHARES, strict=True)]
    return np.r_[(*shares, _WHITE)]


def _solve(weights: np.ndarray, atoms: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """(r, N) solutions of C y = x, and the first column of the inverse of C, (1, N)."""
    lags = weights[:-1] @ atoms + _LEVEL
    lags[0] += weights[-1]
    solutions, first = solve_toeplitz(torch.from_numpy(lags)[None], torch.from_numpy(windows)[None])
    return solutions[0].numpy(), first


def _update(weights: np.ndarray, atoms: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The variances after one update, from a window (N,)."""
    (solution,), first = _solve(weights, atoms, window[None])
    correlation = autocorrelation(torch.from_numpy(solution)).numpy()
    traces = diagonal_sums(first)[0].numpy()
    fit, expected = (np.r_[atoms @ sums, sums[0]] for sums in (correlation, traces))
    return weights * (fit + _UNKNOWN) / (expected + _UNKNOWN)


def _continue(weights: np.ndarray, atoms: np.ndarray, windows: np.ndarray, horizon: int) -> np.ndarray:
    """(r, horizon) conditional means after windows (r, N)."""
    size = windows.shape[1]
    solutions, _ = _solve(weights, atoms[:, :size], windows)
    covariances = weights[:-1] @ atoms + _LEVEL  # (N + horizon,)
    rows = np.lib.stride_tricks.sliding_window_view(covariances, size)[1:, ::-1]  # (horizon, N)
    return solutions @ rows.T
