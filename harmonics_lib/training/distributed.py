"""Distributed training: several processes, started by ``torchrun``, train one network."""

import atexit
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, of which this one is number ``rank`` of ``count``; by default a single one."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reads and writes."""
        return self.rank == 0

    def gather(self, value) -> list:
        """The value of every process, in the order of their ranks."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def on_first(self, work: Callable):
        """The result of ``work()`` in the first process, in all of them; if it fails there, all raise its error."""
        if self.count == 1:
            return work()
        outcome: list[Any] = [None, None]  # the result, the error
        if self.first:
            try:
                outcome[0] = work()
            except Exception as error:
                outcome[1] = error
        distributed.broadcast_object_list(outcome, src=0)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def parallel(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over all processes (DistributedDataParallel)."""
        return DistributedDataParallel(module) if self.count > 1 else module


def join_ranks(device: torch.device) -> tuple[Ranks, torch.device]:
    """``Ranks`` and the device of this process: a GPU each (NCCL) where ``device`` is cuda, else Gloo.

    A process that ``torchrun`` did not start is alone. The group lasts as long as the process.

    Raises:
        ValueError: more processes on this machine than it has GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return Ranks(), device
    cuda = device.type == "cuda"
    if cuda:
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(f"expected at most one process a GPU, got process {local + 1} on {gpus} GPUs")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo")
        atexit.register(_leave)
    return Ranks(distributed.get_rank(), distributed.get_world_size()), device


def _leave() -> None:
    gc.collect()  # DistributedDataParallel is in reference cycles and keeps the group alive
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this process writes: a single process, or the first one of ``torchrun``."""
    return os.environ.get("RANK", "0") == "0"
