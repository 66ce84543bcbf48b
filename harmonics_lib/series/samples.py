"""The samples of a series: reading them from lists, arrays and Series, and filling in those that are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harmonics_lib.arguments import describe, join_values
from harmonics_lib.forecasters.recurrence import burg_weights
from harmonics_lib.series.index import Axis

if TYPE_CHECKING:
    import pandas as pd

SHORTEST = 3  # samples of a series
_FEW = 24  # samples, below which a warning says that there are few
_MOST_MISSING = 0.5  # share of the samples
_RECENT = 20_000  # samples, of which the missing ones are estimated; before them, lines join the neighbours
_ORDER, _ROUNDS = 32, 3  # of the autoregression that estimates missing samples, and its estimates
_RIDGE = 1e-9  # on the diagonal of its equations, relative to them
_ZEROS = 0.02  # share of zeros from which on a series of numbers of at least 0 is held to have the limit 0


@dataclass(frozen=True)
class Samples:
    """A series on equal steps without missing samples at its end.

    Attributes:
        values: (N,) samples divided by ``unit``, the missing ones filled in.
        observed: (N,) whether a sample was observed.
        unit: a power of two near the peak of the samples if their squares would overflow, else 1.
        skipped: missing samples at the end, which are the first steps of the forecast.
        floor: 0 for counts and for other series of at least 0 that are 0 at times, else None.
        axis: of the index.
        history: the series as it was read.
        doubts: what makes its forecast less certain, in sentences.
    """

    values: np.ndarray
    observed: np.ndarray
    unit: float
    skipped: int
    floor: float | None
    axis: Axis
    history: pd.Series
    doubts: tuple[str, ...]

    @classmethod
    def of(cls, series) -> Samples:
        """The samples of any one-dimensional series.

        Raises:
            ValueError: the series is not one-dimensional or not of finite real numbers; more than half of its samples
                are missing, or less than three are there; or its index has unequal steps.
        """
        read = _read(series)
        values = read.to_numpy(dtype=float, na_value=math.nan, copy=True)
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise ValueError(f"series must be finite, got {values[infinite[0]]} at position {infinite[0]}")
        count = int(np.isfinite(values).sum())
        if count < SHORTEST:
            raise ValueError(f"series must have at least {SHORTEST} samples, got {count}")
        axis = Axis.of(read.index)
        values = _on_grid(values, axis.positions)
        seen = np.flatnonzero(np.isfinite(values))
        recent = values[seen[0] : seen[-1] + 1]
        observed, unit = np.isfinite(recent), _unit(recent)
        filled, doubts = fill_missing(recent / unit, observed), tuple(_doubts(axis, values, count))
        return cls(
            filled, observed, unit, len(values) - 1 - int(seen[-1]), _floor(recent[observed]), axis, read, doubts
        )


def _doubts(axis: Axis, values: np.ndarray, count: int) -> Iterator[str]:
    """What makes the forecast of ``values`` (N,), of which ``count`` are there, less certain."""
    if axis.falling:
        yield "the dates of series decrease, so its forecast continues into the past; reverse it"
    if count < len(values):
        yield f"{len(values) - count} of {len(values)} samples of series are missing and were estimated"
    if count < _FEW:
        yield f"series has {count} samples, too few to tell how good its forecast is; its interval is a guess"
    elif np.nanmin(values) == np.nanmax(values):
        yield f"series is constant; its forecast is {np.nanmin(values):g}, its interval has no width"


def _on_grid(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values on all places of a grid, missing where the index has none.

    Raises:
        ValueError: more than half are missing.
    """
    length = int(positions[-1]) + 1
    missing = length - int(np.isfinite(values).sum())
    if missing > _MOST_MISSING * length:
        raise ValueError(f"series must have at least half of its samples, got {length - missing} of {length}")
    grid = np.full(length, math.nan)
    grid[positions] = values
    return grid


def _unit(values: np.ndarray) -> float:
    """1, or a power of two near the peak of values if their squares would overflow or underflow."""
    peak = np.nanmax(np.abs(values))
    return 1.0 if peak == 0 or 1e-100 < peak < 1e100 else 2.0 ** min(math.frexp(peak)[1], 1023)


def _floor(values: np.ndarray) -> float | None:
    """0 if samples cannot be negative, as far as they tell: counts, or at least 0 and often 0."""
    if values.min() < 0:
        return None
    counts = (values == np.rint(values)).all()
    return 0.0 if counts or (values == 0).mean() > _ZEROS else None


def _check_dimension(series) -> np.ndarray | Sequence:
    """An array or sequence, if it has one dimension and no fields."""
    try:
        if isinstance(series, Tensor):
            series = (series.double() if series.is_floating_point() else series).numpy(force=True)
        array = np.asarray(series)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, a tensor without values
        raise ValueError(f"series must have one dimension and values, got {describe(series)}") from error
    if array.ndim != 1:
        raise ValueError(f"series must have one dimension, got {type(series).__name__} of shape {array.shape}")
    if array.dtype.names:
        raise ValueError(f"series must hold real numbers, got records with the fields {join_values(array.dtype.names)}")
    return series


def _read(series) -> pd.Series:
    """A pandas Series of real numbers, with positions from 0 as its index if it had none."""
    import pandas as pd

    series = series if isinstance(series, pd.Series) else pd.Series(_check_dimension(series))
    if len(series) == 0:
        raise ValueError(f"series must have at least {SHORTEST} samples, got 0")
    if series.dtype == object:  # numbers and pandas.NA
        series = series.convert_dtypes()
    if series.isna().all():
        series = series.astype(float)
    if not pd.api.types.is_any_real_numeric_dtype(series):
        raise ValueError(f"series must hold real numbers, got values of dtype {series.dtype}")
    return series


def fill_missing(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Values (N,) whose missing ones make the errors of an autoregression smallest.

    Lines between neighbours are the first estimate. Then Burg's autoregression of all samples and the missing
    samples that fit it best, forward and backward, are estimated in turn. Only missing samples among the
    last 20,000 are estimated in this way; those before them stay on the lines.

    Source: Janssen, Veldhuis and Vries (1986).
    """
    time = np.arange(len(values), dtype=float)
    filled = np.interp(time, time[observed], values[observed])
    recent = slice(max(0, len(values) - _RECENT), None)
    missing, order = ~observed[recent], min(_ORDER, int(observed[recent].sum()) // 5)
    if not missing.any() or order < 1:
        return filled
    low, high = values[observed].min(), values[observed].max()
    line = np.polyval(np.polyfit(time[observed], values[observed], 1), time)[recent]
    for _ in range(_ROUNDS):
        rest = filled[recent] - line
        rest[missing] = _interpolate(rest, missing, order)
        filled[recent] = np.clip(rest + line, low, high)
    filled[observed] = values[observed]
    return filled


def _interpolate(x: np.ndarray, missing: np.ndarray, order: int) -> np.ndarray:
    """The samples of x (N,) at ``missing`` that make the errors of its autoregression smallest."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    weights = burg_weights(torch.from_numpy(x)[None], order)[0].numpy()
    errors, count = np.r_[-weights[::-1], 1.0], len(x) - order
    forward = sparse.diags_array(list(np.tile(errors[:, None], count)), offsets=range(order + 1), shape=(count, len(x)))
    backward = sparse.diags_array(
        list(np.tile(errors[::-1, None], count)), offsets=range(order + 1), shape=(count, len(x))
    )
    filters = sparse.vstack([forward, backward]).tocsc()
    of_missing, target = filters[:, missing], -(filters[:, ~missing] @ x[~missing])
    gram = (of_missing.T @ of_missing).tocsc()
    ridge = _RIDGE * gram.diagonal().mean()
    return splu(gram + ridge * sparse.eye_array(gram.shape[0], format="csc")).solve(of_missing.T @ target)
