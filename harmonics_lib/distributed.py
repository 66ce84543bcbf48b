"""Several processes that train one network together, each started by ``torchrun``."""

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """This process among its fellows: number ``rank`` of ``count``; alone, every exchange is the identity."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reads and writes."""
        return self.rank == 0

    def from_first(self, value):
        """What the first process has, for all."""
        box = [value]
        if self.count > 1:
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value) -> list:
        """The value of every process, in the order of their ranks."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def parallel(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over all processes (DistributedDataParallel)."""
        return DistributedDataParallel(module) if self.count > 1 else module


@contextmanager
def joined_ranks(device: torch.device):
    """``Ranks`` and the device of this process: a GPU each (NCCL) where ``device`` is cuda, else Gloo.

    A process that ``torchrun`` did not start is alone.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Ranks(), device
        return
    cuda = device.type == "cuda"
    if cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        # DistributedDataParallel sits in reference cycles; left to the interpreter's end, it would keep
        # Gloo's threads alive past it, and they abort the process (pytorch/pytorch#179291).
        gc.collect()
        distributed.destroy_process_group()
