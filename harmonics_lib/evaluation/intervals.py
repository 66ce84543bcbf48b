"""Bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from harmonics_lib.arguments import check_coverage, check_whole, describe

_MOST_KEPT = 100_000_000  # draws, a byte each


def bootstrap_interval(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000, block: int = 1) -> tuple:
    """Percentile bootstrap interval (low, high) of the mean of ``samples`` (B, …) over B.

    The intervals are those of ``scipy.stats.bootstrap``, computed a hundred times faster: the mean of a
    resample is a product of the samples with the number of times that each was drawn.

    Args:
        samples: (B, …) finite numbers.
        confidence: share of intervals that cover the mean.
        resamples: number of bootstrap resamples.
        block: samples are drawn in circular blocks of this length, which preserves the correlation of neighbours.

    Returns:
        Two floats for samples (B,), else two arrays (…).

    Raises:
        ValueError: the samples are not finite numbers, the confidence is not between 0 and 1, there are no
            resamples, or the block is longer than the samples.

    Sources: Efron (1979); Künsch (1989) for blocks; Politis and Romano (1992) for circular ones.

    Example:
        >>> low, high = bootstrap_interval(np.arange(100.0))
        >>> bool(low < 49.5 < high)
        True
    """
    samples = _check_samples(samples)
    check_coverage(confidence, "confidence")
    resamples = check_whole("resamples", resamples, maximum=1_000_000)
    block = check_whole("block", block, maximum=len(samples))
    flat = samples.reshape(len(samples), -1)
    draws = _draw_once if resamples * len(samples) <= _MOST_KEPT else _draw
    means = [drawn.astype(float) @ flat / len(samples) for drawn in draws(len(samples), resamples, block)]
    tail = 50 * (1 - confidence)  # percent
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail], axis=0).reshape(2, *samples.shape[1:])
    return (float(low), float(high)) if samples.ndim == 1 else (low, high)


def _draw(count: int, resamples: int, block: int) -> Iterator[np.ndarray]:
    """How many times each of ``count`` samples is drawn, in the order of resamples: (at most 50, count) at a time."""
    rng = np.random.default_rng(0)
    for batch in np.diff([*range(0, resamples, 50), resamples]):
        starts = rng.integers(0, count, (batch, -(-count // block)))
        indices = (starts[..., None] + np.arange(block)).reshape(batch, -1)[:, :count] % count
        indices += count * np.arange(batch)[:, None]
        yield np.bincount(indices.ravel(), minlength=batch * count).reshape(batch, count)


@lru_cache(maxsize=4)
def _draw_once(count: int, resamples: int, block: int) -> list[np.ndarray]:
    """``_draw``, kept in as few bytes as possible: drawing takes most of the time, and is the same for all samples."""
    return [drawn.astype(np.min_scalar_type(drawn.max())) for drawn in _draw(count, resamples, block)]


def _check_samples(samples) -> np.ndarray:
    """(B, …) samples as an array, if they are finite numbers."""
    if np.ma.isMaskedArray(samples):
        raise ValueError("samples must be an array without a mask, got a masked array; use samples.compressed()")
    try:
        array = np.asarray(samples)
    except (ValueError, RuntimeError, TypeError) as error:  # rows of unequal length, a tensor without values
        raise ValueError(f"samples must be an array (B, …) of numbers, got {describe(samples)}") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
        raise ValueError(f"samples must be an array (B, …) of at least one number, got {describe(samples)}")
    if not np.isfinite(array).all():
        raise ValueError(f"samples must be finite, got NaN or infinity in {np.sum(~np.isfinite(array))} places")
    if not math.isfinite(len(array) * (largest := float(np.abs(array).max()))):
        raise ValueError(f"samples must have a finite sum, got values up to {largest:g}")
    return array
