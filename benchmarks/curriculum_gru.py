"""How fast the curriculum GRU trains, and what each setting of PyTorch and of the machine does to it.

Each setting runs in a process of its own, in turn, several rounds; rates are medians, ratios are
to the default of the same round. ``loop`` is the straightforward way: the same network and batch,
but each signal is built on its own in a ``DataLoader``, with PyTorch's default threads and allocator.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import torch
from common import Mixtures, rate, train_rate, write
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from harmonics_lib import CurriculumGRU, HarmonicProcess, Stage, TrainingConfig, random_stream
from harmonics_lib.report import KERNEL_ENVIRONMENT

BATCH, ROUNDS, STEPS = 512, 3, 60
PROCESS = HarmonicProcess((1, 45), (10, 99))
DEFAULT = {
    "threads": 1,
    "precision": "float32",
    "compile": False,
    "muon_rate": 0.02,
    "environment": "ours",
    "processes": 1,
}
SETTINGS = {
    "default": {},
    "adam_alone": {"muon_rate": 0.0},
    "system_allocator": {"environment": "system allocator"},
    "two_threads": {"threads": 2},
    "two_processes": {"processes": 2},
    "bfloat16": {"precision": "bfloat16"},
    "compile": {"compile": True},
    "bfloat16_compile": {"precision": "bfloat16", "compile": True},
    "loop": {"loop": True, "environment": "plain"},
}


def our_rate(settings: dict) -> float:
    """Signals per second of ``train`` as in notebook 05, but for ``settings``."""
    network = CurriculumGRU()
    if settings["compile"]:
        network.loss = torch.compile(network.loss)
    recipe = {"learning_rate": 0.003, "muon_rate": settings["muon_rate"], "precision": settings["precision"]}
    config = TrainingConfig(0, BATCH, report_every=10_000, validation_size=8, **recipe)
    return train_rate(network, Stage(PROCESS, STEPS, horizon=10), config, settings["threads"])


def loop_rate(steps: int = 30) -> float:
    """Signals per second of the same network on the same batches, each signal built on its own."""
    network = CurriculumGRU()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    signals = Mixtures(BATCH * steps, length=110, components=(1, 45), periods=(10, 99), lookback=100)
    started = time.perf_counter()
    for signal in DataLoader(signals, batch_size=BATCH):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(signal[:, :100], 10), signal[:, 100:]).backward()
        optimizer.step()
    return BATCH * steps / (time.perf_counter() - started)


def measure(settings: dict) -> float:
    """The rate in a fresh process, or in several that share each batch."""
    taken = {"ours": (), "system allocator": ("MALLOC_",), "plain": tuple(KERNEL_ENVIRONMENT)}[settings["environment"]]
    environment = os.environ | KERNEL_ENVIRONMENT | {"HARMONICS_PROGRESS": os.devnull}
    environment = {name: value for name, value in environment.items() if not name.startswith(taken)}
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
    batch = PROCESS.sample(BATCH, 110, 100, generator=random_stream(0, "benchmark"))
    with FlopCounterMode(display=False) as counter:
        CurriculumGRU().loss(batch).backward()
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
