"""Time to train the sentinel LSTM of notebook 08: the tutorial's stages against ours, long and short, one thread."""

import statistics

from common import published, train_rate, write

PUBLISHED = {"tutorial": "sentinel_growing", "ours": "sentinel_better", "short": "sentinel_short"}


def seconds(name: str) -> float:
    """Time of the training of a published network, from the rate of 100 steps of each of its stages."""
    run = published(name)
    rates = [train_rate(run, steps=100, stage=stage) for stage in range(len(run.stages))]
    return sum(stage.steps * run.config.batch_size / rate for stage, rate in zip(run.stages, rates, strict=True))


rounds = [{name: seconds(run) for name, run in PUBLISHED.items()} for _ in range(5)]
figures = {f"{name}_seconds": statistics.median(round_[name] for round_ in rounds) for name in PUBLISHED}
for name in ("ours", "short"):
    figures[f"{name}_share"] = statistics.median(round_[name] / round_["tutorial"] for round_ in rounds)
write("sentinel_lstm", figures)
