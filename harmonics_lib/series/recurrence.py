"""Linear prediction of one long series from many origins, fast: the engine of most candidates of ``forecast``.

``linear_prediction`` solves least squares for each window of a batch. Here the normal equations come
from their first row by a recursion and are solved by Cholesky's factors, twenty times as fast. Squaring
costs half of the digits, so a series without noise has a candidate of its own.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from harmonics_lib.forecasters.recurrence import CRITERIA

_TINY = 1e-12  # of the mean diagonal of the normal equations, without which rounding makes them indefinite


def linear_prediction_weights(x: np.ndarray, order: int, ridge: float) -> np.ndarray:
    """(order,) weights of the modified covariance method for samples x (N,), latest first.

    Args:
        x: samples.
        order: number of weights, less than N.
        ridge: added to the diagonal of the normal equations for each equation, in squared units of x.

    Sources: Marple (1980) for forward and backward equations, Makhoul (1975) for the recursion.
    """
    gram = covariances(x, order)
    gram = gram + gram[::-1, ::-1]
    normal, target = gram[1:, 1:], gram[1:, :1]
    diagonal = np.diag_indices_from(normal)
    normal[diagonal] += 2 * (len(x) - order) * ridge + _TINY * normal[diagonal].mean()
    factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(normal))
    if failed:
        return np.eye(1, order)[0]  # persistence
    return torch.cholesky_solve(torch.from_numpy(target), factor)[:, 0].numpy()


def covariances(x: np.ndarray, order: int) -> np.ndarray:
    """(p + 1, p + 1) sums over t >= p of x[t - i] x[t - j]; each row follows from the row before."""
    length = len(x)
    first = np.array([x[order:] @ x[order - lag : length - lag] for lag in range(order + 1)])
    gram = np.empty((order + 1, order + 1))
    gram[0], gram[:, 0] = first, first
    start, end = x[order - 1 :: -1][:order], x[: length - order - 1 : -1][:order]  # x[p-1-i] and x[N-1-i]
    for row in range(order):
        gram[row + 1, 1:] = gram[row, :-1] + start[row] * start - end[row] * end
    return gram


def burg_weights(x: np.ndarray, most: int) -> np.ndarray:
    """(most,) weights by Burg's method for samples x (N,), latest first; 0 beyond the order that AICc chooses.

    This is ``autoregression`` of one window.

    Sources: Burg (1968); Hurvich and Tsai (1989).
    """
    length, power = len(x), max(float(np.mean(x**2)), np.finfo(float).tiny)
    forward, backward, error = x[1:], x[:-1], power
    weights = chosen = np.zeros(0)
    best = length * math.log(power) + CRITERIA["aicc"](0, length)
    for order in range(1, min(most, length - 3) + 1):
        energy = forward @ forward + backward @ backward
        if energy <= 1e-28 * length * power:  # what is left is rounding
            break
        reflection = 2 * (forward @ backward) / energy
        weights = np.append(weights - reflection * weights[::-1], reflection)
        error = max(error * (1 - reflection**2), 1e-28 * power)
        forward, backward = (forward - reflection * backward)[1:], (backward - reflection * forward)[:-1]
        value = length * math.log(error) + CRITERIA["aicc"](order, length)
        if value < best:
            best, chosen = value, weights
    return np.append(chosen, np.zeros(most - len(chosen)))


def predict(x: np.ndarray, weights: np.ndarray, ends: np.ndarray, horizon: int) -> np.ndarray:
    """(n, horizon) continuations of x (N,) after its first ``ends`` (n,) samples, by weights (p,), latest first."""
    order = len(weights)
    recent = x[ends[:, None] - 1 - np.arange(order)]  # (n, p)
    known = np.concatenate([np.empty((len(ends), horizon)), recent], axis=1)  # filled from the right to the left
    for place in range(horizon, 0, -1):
        known[:, place - 1] = known[:, place : place + order] @ weights
    return known[:, :horizon][:, ::-1]
