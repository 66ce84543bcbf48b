"""Time to train one seed of the seq2seq GRU of notebook 04, as it is published."""

import statistics

from common import published, signals, train_rate, write

run = published("seq2seq_gru")
rates = [train_rate(run, steps=200) for _ in range(5)]
figures = {
    "signals": signals(run),
    "signals_per_second": statistics.median(rates),
    "seconds": signals(run) / statistics.median(rates),
    "seconds_max": signals(run) / min(rates),
}
write("seq2seq_gru", figures)
