"""Time to train the small LSTM: our full run against the reference loop's three million signals.

The reference loop builds one signal at a time in a ``DataLoader`` and takes batches of 32; it is
timed over a few hundred batches at the number of threads that suits it best.
"""

import time

import numpy as np
import torch
from common import compare, loop_signal, rate, write
from torch.utils.data import DataLoader, Dataset

from harmonics_lib import HarmonicProcess, SmallLSTM, random_stream

LENGTH, LOOKBACK = 105, 100
REFERENCE_SIGNALS, OUR_SIGNALS, OUR_BATCH = 3_000_000, 10_000 * 64, 64


class Mixtures(Dataset):
    """Fresh signals, one at a time, with targets one sample ahead."""

    def __init__(self, size: int):
        self.size, self.rng = size, np.random.default_rng(0)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index):
        signal = torch.from_numpy(loop_signal(self.rng, LENGTH, (3, 6))).float()
        return signal, signal.roll(-1)


def reference_rate(threads: int, batches: int = 300) -> float:
    torch.set_num_threads(threads)
    network = SmallLSTM()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)
    started = time.perf_counter()
    for signal, target in DataLoader(Mixtures(32 * batches), batch_size=32, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(signal)[0], target).backward()
        optimizer.step()
    return 32 * batches / (time.perf_counter() - started)


def our_rate() -> float:
    torch.set_num_threads(1)
    network, generator = SmallLSTM(), random_stream(0, "benchmark")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.006)
    process = HarmonicProcess((3, 6), (2, 99))

    def step():
        loss = network.loss(process.sample(OUR_BATCH, LENGTH, LOOKBACK, generator=generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss.item()

    return rate(step, OUR_BATCH, seconds=8)


threads = max((1, 2), key=lambda count: reference_rate(count, batches=100))
figures = compare(our_rate, lambda: reference_rate(threads), rounds=3)
ours, reference = OUR_SIGNALS / figures["fast_per_second"], REFERENCE_SIGNALS / figures["slow_per_second"]
write(
    "small_lstm",
    figures
    | {
        "reference_threads": threads,
        "our_signals": OUR_SIGNALS,
        "reference_signals": REFERENCE_SIGNALS,
        "our_seconds": ours,
        "reference_seconds": reference,
        "share_of_reference_time": OUR_SIGNALS / REFERENCE_SIGNALS / figures["ratio"],
    },
)
