"""Time to train one seed of the seq2seq GRU as in notebook 04."""

import os
import statistics

from common import train_rate, write

from harmonics_lib import HarmonicProcess, Seq2SeqGRU, Stage, TrainingConfig

STEPS, BATCH = 7000, 256

os.environ["HARMONICS_PROGRESS"] = os.devnull
stage = Stage(HarmonicProcess((3, 6), (2, 99)), 200)
config = TrainingConfig(0, BATCH, 0.005, report_every=250)
rates = [train_rate(Seq2SeqGRU(), stage, config) for _ in range(5)]
figures = {
    "signals": STEPS * BATCH,
    "signals_per_second": statistics.median(rates),
    "seconds": STEPS * BATCH / statistics.median(rates),
    "seconds_max": STEPS * BATCH / min(rates),
}
write("seq2seq_gru", figures)
