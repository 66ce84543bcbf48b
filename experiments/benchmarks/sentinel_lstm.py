"""Time to train the sentinel LSTM of notebook 08: the tutorial's stages against ours, long and short, one thread."""

import statistics
from dataclasses import replace

from common import RESULTS, published, train_rate, write

from harmonics_lib import Run
from harmonics_lib.training.directory import read_config


def tutorial() -> Run:
    """The tutorial's third training as one run: it differs from what is published in its settings of Adam only."""
    at_once, told = published("sentinel_200"), read_config(RESULTS.parent / "runs" / "sentinel_told")
    stages = (
        replace(at_once.stages[0], horizon=horizon, steps=steps) for horizon, steps, *_ in told["training"]["stages"]
    )
    return replace(at_once, stages=tuple(stages))


def seconds(run: Run) -> float:
    """Time of a training, from the rate of 100 steps of each of its stages."""
    rates = [train_rate(run, steps=100, stage=stage) for stage in range(len(run.stages))]
    return sum(stage.steps * run.config.batch_size / rate for stage, rate in zip(run.stages, rates, strict=True))


RUNS = {"tutorial": tutorial(), "ours": published("sentinel_better"), "short": published("sentinel_short")}
rounds = [{name: seconds(run) for name, run in RUNS.items()} for _ in range(5)]
figures = {f"{name}_seconds": statistics.median(round_[name] for round_ in rounds) for name in RUNS}
for name in ("ours", "short"):
    figures[f"{name}_share"] = statistics.median(round_[name] / round_["tutorial"] for round_ in rounds)
write("sentinel_lstm", figures)
