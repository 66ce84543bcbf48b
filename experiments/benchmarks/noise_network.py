"""Windows a second of the noise network and of sparse Bayesian inference, one core, batches of 256, and their ratio."""

import statistics

import torch
from common import rate, write

from harmonics_lib import HarmonicProcess, load_forecaster, random_stream, sparse_bayesian

ROUNDS, WINDOWS = 5, 256
noisy = HarmonicProcess((1, 45), (2, 99), noise_std=0.1)
past = noisy.sample(WINDOWS, 100, 100, generator=random_stream(0, "benchmark"), dtype=torch.float64).past
inference, network = sparse_bayesian(HarmonicProcess((1, 45), (2, 99))), load_forecaster("noise_network")
METHODS = {
    "sparse_bayesian": lambda: inference(past, 10),
    "noise_network": lambda: network(past.float(), 10),
}
rounds = [{name: rate(method, WINDOWS) for name, method in METHODS.items()} for _ in range(ROUNDS)]
write(
    "noise_network",
    {
        "windows": WINDOWS,
        "per_second": {name: statistics.median(speeds[name] for speeds in rounds) for name in METHODS},
        "ratio": statistics.median(speeds["noise_network"] / speeds["sparse_bayesian"] for speeds in rounds),
    },
)
