"""Windows a second of forecasters that need no training, and their ratio to linear prediction."""

import statistics

import torch
from common import rate, write

from harmonics_lib import (
    HarmonicProcess,
    linear_mmse,
    linear_prediction,
    load_forecaster,
    matrix_pencil,
    random_stream,
    sparse_bayesian,
)

ROUNDS = 3
process = HarmonicProcess((1, 45), (2, 99))
METHODS = {
    "linear_prediction": linear_prediction(),
    "linear_mmse": linear_mmse(process),
    "matrix_pencil": matrix_pencil(unit_circle=True),
    "sparse_bayesian": sparse_bayesian(process),
    "sparse_bayesian_any_period": sparse_bayesian(HarmonicProcess((1, 45), (2, 99), integer_periods=False)),
    "curriculum_gru": load_forecaster("curriculum_gru_2_99"),
}
noisy = HarmonicProcess((1, 45), (2, 99), noise_std=0.1)
past = noisy.sample(512, 100, 100, generator=random_stream(0, "benchmark"), dtype=torch.float64).past

rounds = [{name: rate(lambda m=m: m(past, 10), len(past)) for name, m in METHODS.items()} for _ in range(ROUNDS)]
write(
    "classical",
    {
        "per_second": {name: statistics.median(speeds[name] for speeds in rounds) for name in METHODS},
        "ratio": {name: statistics.median(s[name] / s["linear_prediction"] for s in rounds) for name in METHODS},
    },
)
