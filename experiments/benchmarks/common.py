"""Common parts of the benchmarks: the reference loop, alternating rounds, and the file of results."""

import json
import statistics
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from harmonics_lib import Run, train
from harmonics_lib.paths import results_dir
from harmonics_lib.published.store import record_checksums
from harmonics_lib.training.directory import read_config, write_atomically

RESULTS = results_dir() / "benchmarks"


def loop_signal(rng: np.random.Generator, length: int, components: tuple[int, int], periods=(2, 99), lookback=None):
    """One signal (length,), in double precision, as a straightforward sum of sines in a Python loop."""
    count = rng.integers(components[0], components[1] + 1)
    amplitudes = rng.random(count)
    amplitudes /= amplitudes.sum()
    time_axis, signal = np.arange(length), np.zeros(length)
    for amplitude in amplitudes:
        period = rng.integers(periods[0], periods[1] + 1)
        signal += amplitude * np.sin(2 * np.pi * time_axis / period + 2 * np.pi * rng.random())
    return signal / np.abs(signal[:lookback]).max()


class Mixtures(Dataset):
    """New signals for a ``DataLoader``, one at a time; the arguments are those of ``loop_signal``."""

    def __init__(self, size: int, **arguments):
        self.size, self.arguments, self.rng = size, arguments, np.random.default_rng(0)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index):
        return torch.from_numpy(loop_signal(self.rng, **self.arguments)).float()


def rate(work, units: int, seconds: float = 1.0) -> float:
    """Units per second of ``work()``, which processes ``units`` per call, over at least ``seconds``."""
    work()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work()
        calls += 1
    return units * calls / (time.perf_counter() - started)


def compare(fast, slow, rounds: int = 5) -> dict:
    """Call two rate functions alternately; returns their median rates and statistics of the ratio."""
    pairs = [(fast(), slow()) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    return {
        "fast_per_second": statistics.median(a for a, _ in pairs),
        "slow_per_second": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def published(name: str) -> Run:
    """The run of a published network, from its ``config.json``."""
    folder = "models" if (RESULTS.parent / "models" / name).exists() else "runs"
    return Run.rebuild(read_config(RESULTS.parent / folder / name))


def signals(run: Run) -> int:
    """Number of signals in the training of a run."""
    return run.steps * run.config.batch_size


def train_rate(run: Run, steps: int, stage: int = -1, threads: int = 1) -> float:
    """Signals per second of ``train`` over ``steps`` of a stage, without validation and start-up (a run of 5 steps)."""
    config = replace(run.config, report_every=10_000, validation_size=8)

    def seconds(steps):
        with tempfile.TemporaryDirectory() as folder:
            short = replace(run, stages=(replace(run.stages[stage], steps=steps),), config=config)
            started = time.perf_counter()
            train(short, folder, threads=threads, progress=False)
            return time.perf_counter() - started

    seconds(5)  # warms up, and compiles where that is asked for
    return steps * config.batch_size / (seconds(steps + 5) - seconds(5))


def write(name: str, figures: dict) -> None:
    """Store figures (nested dicts of numbers), three significant digits, under ``results/benchmarks``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(figures), indent=1, sort_keys=True)
    write_atomically(RESULTS / f"{name}.json", f"{text}\n".encode())
    record_checksums([RESULTS / f"{name}.json"])
    print(f"{name}: {text}")


def _rounded(data):
    if isinstance(data, dict):
        return {str(key): _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return float(f"{data:.3g}") if isinstance(data, float) else data
