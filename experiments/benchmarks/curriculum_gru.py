"""Training speed of the curriculum GRU under different settings of PyTorch and of the machine.

Each setting runs in its own process, alternately, in several rounds. Rates are medians; ratios are
to the default of the same round. ``loop`` is the straightforward implementation: the same network and
batch, with signals drawn one at a time in a ``DataLoader``, and PyTorch's default threads and allocator.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import torch
from common import Mixtures, published, rate, train_rate, write
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from harmonics_lib import random_stream
from harmonics_lib.networks.recurrent import CurriculumGRU

RUN = published("curriculum_gru")
STAGE, BATCH = RUN.stages[-1], RUN.config.batch_size  # the last stage is the longest, of all component counts
ROUNDS, STEPS = 3, 60
DEFAULT = {"threads": 1, "bfloat16": False, "compile": False, "changes": {}, "environment": "ours", "processes": 1}
SETTINGS = {
    "default": {},
    "adam_alone": {"changes": {"muon_rate": 0.0}},
    "system_allocator": {"environment": "system allocator"},
    "two_threads": {"threads": 2},
    "two_processes": {"processes": 2},
    "bfloat16": {"bfloat16": True},
    "compile": {"compile": True},
    "bfloat16_compile": {"bfloat16": True, "compile": True},
    "loop": {"loop": True, "environment": "plain"},
}


class VariedGRU(CurriculumGRU):
    """The curriculum GRU with matrix products in bfloat16, or with a compiled loss."""

    def __init__(self, bfloat16: bool, compiled: bool, **settings):
        super().__init__(**settings)
        self.bfloat16 = bfloat16
        if compiled:
            self.loss = torch.compile(self.loss)

    def loss(self, batch, **options):
        """The loss, in autocast to bfloat16 if that is set."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            return super().loss(batch, **options)


def our_rate(settings: dict) -> float:
    """Signals per second of ``train`` as in notebook 05, with these settings."""
    varied = RUN.settings | {"bfloat16": settings["bfloat16"], "compiled": settings["compile"]}
    config = replace(RUN.config, **settings["changes"])
    run = replace(RUN, network=VariedGRU, settings=varied, config=config)
    return train_rate(run, STEPS, threads=settings["threads"])


def loop_rate(steps: int = 30) -> float:
    """Signals per second of the same network on batches of signals that are drawn one at a time."""
    network, process, seen = RUN.build(), STAGE.process, STAGE.lookback
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    law = {"components": process.components, "periods": process.periods, "lookback": seen}
    mixtures = Mixtures(BATCH * steps, length=seen + STAGE.horizon, **law)
    started = time.perf_counter()
    for signal in DataLoader(mixtures, batch_size=BATCH):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(signal[:, :seen], STAGE.horizon), signal[:, seen:]).backward()
        optimizer.step()
    return BATCH * steps / (time.perf_counter() - started)


def measure(settings: dict) -> float:
    """The rate in a fresh process, or in several that share each batch."""
    taken = {"ours": (), "system allocator": ("MALLOC_",), "plain": ("MALLOC_", "OMP_")}[settings["environment"]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={settings['processes']}"]
    command = [sys.executable, *(launcher if settings["processes"] > 1 else []), __file__, json.dumps(settings)]
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(result.stdout.split()[-1])


def matmul_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """Floating-point operations per second of one thread in a large matrix product."""
    torch.set_num_threads(1)
    matrix = torch.randn(size, size, dtype=dtype)
    return rate(lambda: matrix @ matrix, 2 * size**3, seconds=2)


def operations() -> float:
    """Floating-point operations in the matrix products of one signal, forward and backward."""
    length = STAGE.lookback + STAGE.horizon
    batch = STAGE.process.sample(BATCH, length, STAGE.lookback, generator=random_stream(0, "benchmark"))
    with FlopCounterMode(display=False) as counter:
        RUN.build().loss(batch).backward()
    return counter.get_total_flops() / BATCH


if len(sys.argv) > 1:
    settings = json.loads(sys.argv[1])
    speed = loop_rate() if settings.get("loop") else our_rate(settings)
    if os.environ.get("RANK", "0") == "0":
        print(speed)
    sys.exit()

rounds = [{name: measure(DEFAULT | change) for name, change in SETTINGS.items()} for _ in range(ROUNDS)]
figures = {}
for name in SETTINGS:
    ratios = [speeds[name] / speeds["default"] for speeds in rounds]
    figures[name] = {
        "signals_per_second": statistics.median(speeds[name] for speeds in rounds),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }
matmul = {"float32": matmul_rate(torch.float32), "bfloat16": matmul_rate(torch.bfloat16)}
default = figures["default"]["signals_per_second"]
figures |= {
    "batch": BATCH,
    "speed_up_over_loop": 1 / figures["loop"]["ratio"],
    "minutes_for_30_million": 30e6 / default / 60,
    "operations_per_signal": operations(),
    "matmul_per_second": matmul,
    "share_of_matmul_rate": operations() * default / matmul["float32"],
}
write("curriculum_gru", figures)
