"""Time to train the sentinel LSTM of notebook 08: the tutorial's stages against ours, long and short, one thread."""

import os
import statistics
from dataclasses import replace

from common import RESULTS, train_rate, write

from harmonics_lib.tracking import read_config
from harmonics_lib.training import rebuild

os.environ["HARMONICS_PROGRESS"] = os.devnull

PUBLISHED = {"tutorial": "sentinel_growing", "ours": "sentinel_better", "short": "sentinel_short"}


def seconds(name: str) -> float:
    """Time of the training of a published network, from the rate of 100 steps of each of its stages."""
    network, stages, config = rebuild(read_config(RESULTS.parent / "models" / name))
    config = replace(config, report_every=1000)  # validation is not what is timed
    rates = [train_rate(network, replace(stage, steps=100), config) for stage in stages]
    return sum(stage.steps * config.batch_size / rate for stage, rate in zip(stages, rates, strict=True))


rounds = [{name: seconds(run) for name, run in PUBLISHED.items()} for _ in range(5)]
figures = {f"{name}_seconds": statistics.median(round_[name] for round_ in rounds) for name in PUBLISHED}
for name in ("ours", "short"):
    figures[f"{name}_share"] = statistics.median(round_[name] / round_["tutorial"] for round_ in rounds)
write("sentinel_lstm", figures)
