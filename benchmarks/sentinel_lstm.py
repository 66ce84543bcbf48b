"""Time to train the sentinel LSTM of notebook 08: the tutorial's stages against ours, long and short, one thread."""

import os
import statistics

from common import train_rate, write

from harmonics_lib import HarmonicProcess, SentinelLSTM, Stage, TrainingConfig

os.environ["HARMONICS_PROGRESS"] = os.devnull

BAND = HarmonicProcess(1, (25, 200), integer_periods=False, uniform="frequency")
TUTORIAL = TrainingConfig(0, 20, 0.001, adam_epsilon=0.02, report_every=1000)
OURS = TrainingConfig(0, 20, 0.01, muon_rate=0.02, report_every=1000)
RECIPES = {  # steps at each horizon
    "tutorial": (TUTORIAL, {50: 10_000, 100: 6000, 200: 8000, 400: 20_000}),
    "ours": (OURS, {50: 4000, 100: 4000, 200: 4000, 400: 12_000}),
    "short": (OURS, {50: 400, 100: 400, 200: 400, 400: 2800}),
}


def seconds(config: TrainingConfig, stages: dict[int, int]) -> float:
    """Time of a whole training, from the rate of 100 steps at each horizon."""
    rates = {horizon: train_rate(SentinelLSTM(), Stage(BAND, 100, horizon=horizon), config) for horizon in stages}
    return sum(steps * config.batch_size / rates[horizon] for horizon, steps in stages.items())


rounds = [{name: seconds(*recipe) for name, recipe in RECIPES.items()} for _ in range(5)]
figures = {f"{name}_seconds": statistics.median(round_[name] for round_ in rounds) for name in RECIPES}
for name in ("ours", "short"):
    figures[f"{name}_share"] = statistics.median(round_[name] / round_["tutorial"] for round_ in rounds)
write("sentinel_lstm", figures)
