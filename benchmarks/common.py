"""Shared by the benchmarks: the loop that they are held against, alternating rounds, and the file of results."""

import json
import statistics
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"


def loop_signal(rng: np.random.Generator, length: int, components: tuple[int, int], periods=(2, 99), lookback=None):
    """One signal at a time, one sine after the other: the straightforward way. (length,) float64."""
    count = rng.integers(components[0], components[1] + 1)
    amplitudes = rng.random(count)
    amplitudes /= amplitudes.sum()
    time_axis, signal = np.arange(length), np.zeros(length)
    for amplitude in amplitudes:
        period = rng.integers(periods[0], periods[1] + 1)
        signal += amplitude * np.sin(2 * np.pi * time_axis / period + 2 * np.pi * rng.random())
    return signal / np.abs(signal[:lookback]).max()


def rate(work, units: int, seconds: float = 1.0) -> float:
    """Units per second of ``work()``, which does ``units`` of them, over at least ``seconds``."""
    work()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work()
        calls += 1
    return units * calls / (time.perf_counter() - started)


def compare(fast, slow, rounds: int = 5) -> dict:
    """Call the two rate functions in turn; their median rates and the ratio of each round."""
    pairs = [(fast(), slow()) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    return {
        "fast_per_second": statistics.median(a for a, _ in pairs),
        "slow_per_second": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def write(name: str, figures: dict) -> None:
    """Store figures (nested dicts of numbers), three significant digits, under ``results/benchmarks``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(figures), indent=1, sort_keys=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {text}")


def _rounded(data):
    if isinstance(data, dict):
        return {str(key): _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return float(f"{data:.3g}") if isinstance(data, float) else data
