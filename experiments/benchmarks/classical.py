"""Speed of forecasters in windows per second, relative to linear prediction, and memory for a batch of windows."""

import json
import resource
import statistics
import subprocess
import sys
import warnings

import torch
from common import rate, write

from harmonics_lib import HarmonicProcess, UnstableForecast, load_forecaster, random_stream
from harmonics_lib.forecasters.registry import build

warnings.simplefilter("ignore", UnstableForecast)  # noisy windows, which linear prediction makes grow
ROUNDS, WINDOWS = 3, 512
METHODS = {
    "linear_prediction": "linear prediction",
    "linear_mmse": "linear MMSE",
    "nonlinear_least_squares": "nonlinear least squares",
    "auto": "auto",
    "matrix_pencil": "matrix pencil",
    "sparse_bayesian": "sparse Bayesian",
    "sparse_bayesian_any_period": "sparse Bayesian, any period",
    "curriculum_gru": "curriculum GRU, 2 to 99",
    "noise_network": "noise network",
}
METHODS = {key: build(name, load=load_forecaster) for key, name in METHODS.items()}
noisy = HarmonicProcess((1, 45), (2, 99), noise_std=0.1)
past = noisy.sample(WINDOWS, 100, 100, generator=random_stream(0, "benchmark"), dtype=torch.float64).past


def peak() -> int:
    """Peak memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory(name: str) -> float:
    """Increase of the peak memory in bytes by a forecast of the batch, in a new process after a small forecast."""
    return float(subprocess.run([sys.executable, __file__, name], check=True, stdout=subprocess.PIPE, text=True).stdout)


if len(sys.argv) > 1:
    METHODS[sys.argv[1]](past[:4], 10)
    before = peak()
    METHODS[sys.argv[1]](past, 10)
    print(json.dumps(peak() - before))
    sys.exit()

# Memory first: a process that is started takes over the peak of the one that starts it.
megabytes = {name: statistics.median(memory(name) for _ in range(ROUNDS)) / 1e6 for name in METHODS}
rounds = [{name: rate(lambda m=m: m(past, 10), WINDOWS) for name, m in METHODS.items()} for _ in range(ROUNDS)]
write(
    "classical",
    {
        "windows": WINDOWS,
        "per_second": {name: statistics.median(speeds[name] for speeds in rounds) for name in METHODS},
        "ratio": {name: statistics.median(s[name] / s["linear_prediction"] for s in rounds) for name in METHODS},
        "megabytes": megabytes,
    },
)
