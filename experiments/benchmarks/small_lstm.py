"""Time to train the small LSTM: our published run against the reference loop's three million signals.

The reference loop builds one signal at a time in a ``DataLoader`` and takes batches of 32; it is
timed over a few hundred batches at the number of threads that suits it best.
"""

import time

import torch
from common import Mixtures, compare, published, signals, train_rate, write
from torch.utils.data import DataLoader

from harmonics_lib.networks.recurrent import SmallLSTM

RUN = published("small_lstm")
REFERENCE_SIGNALS, OUR_SIGNALS = 3_000_000, signals(RUN)


def reference_rate(threads: int, batches: int = 300) -> float:
    torch.set_num_threads(threads)
    network = SmallLSTM()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)
    started = time.perf_counter()
    for signal in DataLoader(Mixtures(32 * batches, length=105, components=(3, 6)), batch_size=32, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(signal)[0], signal.roll(-1, dims=1)).backward()
        optimizer.step()
    return 32 * batches / (time.perf_counter() - started)


threads = max((1, 2), key=lambda count: reference_rate(count, batches=100))
figures = compare(lambda: train_rate(RUN, steps=500), lambda: reference_rate(threads), rounds=3)
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
