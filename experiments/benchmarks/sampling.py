"""Signals per second: ``HarmonicProcess.sample`` against a loop that builds one signal at a time."""

import numpy as np
import torch
from common import compare, loop_signal, rate, write

from harmonics_lib import HarmonicProcess, random_stream

torch.set_num_threads(1)
LENGTH, LOOKBACK, COMPONENTS, BATCH = 110, 100, (3, 45), 512


def batched(integer_periods: bool) -> float:
    process = HarmonicProcess(COMPONENTS, (2, 99), integer_periods)
    generator = random_stream(0, "benchmark")
    return rate(lambda: process.sample(BATCH, LENGTH, LOOKBACK, generator=generator), BATCH)


def loop() -> float:
    rng = np.random.default_rng(0)
    return rate(lambda: [loop_signal(rng, LENGTH, COMPONENTS, lookback=LOOKBACK) for _ in range(200)], 200)


write(
    "sampling",
    {
        "integer_periods": compare(lambda: batched(True), loop),
        "continuous_periods": compare(lambda: batched(False), loop),
    },
)
