"""Training by stochastic gradients: schedule, checkpoint, resume.

A curriculum is data: a tuple of ``Stage`` records. Signals are made on the fly and never repeat.
"""

import copy
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import fmean

import torch
from torch import nn
from tqdm import tqdm

from harmonics_lib.arguments import check_device, check_kind, check_whole, shown
from harmonics_lib.forecasters.base import cpu_threads
from harmonics_lib.networks.recurrent import initialise
from harmonics_lib.signals.process import random_stream
from harmonics_lib.training.directory import RunDirectory, RunError, read_weights
from harmonics_lib.training.distributed import Ranks, join_ranks
from harmonics_lib.training.run import Run, TrainingConfig
from harmonics_lib.training.wandb_mirror import start_wandb


class TrainingDiverged(FloatingPointError):
    """The loss or its gradient is no longer finite."""


def train(
    run: Run,
    run_dir: Path | str,
    *,
    device: str | torch.device = "cpu",
    threads: int = 1,
    track: bool = False,
    progress: bool | Path = True,
) -> Path:
    """Train ``run.network`` in place through all stages, resuming whatever ``run_dir`` holds.

    A run that was killed and is started again ends with the weights and the history, bit for
    bit, of a run that was not (one process on a CPU; same machine, same number of threads).

    Under ``torchrun`` every process draws its own share of each batch, gradients are averaged, and
    the first process alone reads and writes ``run_dir``.

    Args:
        device: ``"cpu"`` or ``"cuda"``; a process of ``torchrun`` takes the GPU of its own number.
        threads: CPU threads of PyTorch; small networks are fastest with one.
        track: mirror the history to W&B.
        progress: show a bar on stderr, or write it to a file.

    Returns:
        ``run_dir``.

    Raises:
        ValueError: what is no run, directory, or device of this machine; a batch that the processes cannot share, or
            a precision that the device does not have.
        RunError: ``run_dir`` holds another run or a broken checkpoint.
        TrainingDiverged: the loss is not finite; the last good checkpoint is kept.
    """
    check_kind("run", run, Run, "a Run")
    check_kind("progress", progress, (bool, Path), "True, False or a Path")
    threads = check_whole("threads", threads, maximum=1024)
    if not isinstance(run_dir, (str, Path)) or not str(run_dir) or Path(run_dir).is_file():
        raise ValueError(f"run_dir must be the path of a directory, got {shown(run_dir)}")
    ranks, device = join_ranks(check_device(device))
    _check(run, ranks, device)
    with cpu_threads(threads):
        _Trainer(run, Path(run_dir), device, ranks).train(track, progress if ranks.first else False)
    return Path(run_dir)


def _check(run: Run, ranks: Ranks, device: torch.device) -> None:
    """Raise ``ValueError`` for a run that could not come to its end here."""
    if run.config.batch_size % ranks.count:
        raise ValueError(f"expected a batch_size that {ranks.count} processes can share, got {run.config.batch_size}")
    if len(fingerprints := set(ranks.gather(run.fingerprint))) > 1:
        raise ValueError(f"expected the same run in every process, got {', '.join(sorted(fingerprints))}")
    if run.config.precision == "bfloat16" and (missing := _bfloat16_error(run, device)):
        raise ValueError(
            f"expected precision='float32', for this {device.type} cannot train a {type(run.network).__name__} in "
            f"bfloat16 ({missing})"
        )


def supports_bfloat16(run: Run, device: str | torch.device = "cpu") -> bool:
    """Whether this machine can train the run's network with ``precision="bfloat16"``, be it by slow emulation."""
    return _bfloat16_error(run, torch.device(device)) is None


def _bfloat16_error(run: Run, device: torch.device) -> str | None:
    """Why one gradient step on two signals fails in bfloat16, in a line; None where it succeeds.

    Tried and not looked up: which layers PyTorch has in bfloat16 depends on processor and version.
    """
    stage, network = run.stages[0], copy.deepcopy(run.network).to(device)
    batch = stage.sample(2, random_stream(0, "bfloat16", device))
    try:
        with torch.autocast(device.type, torch.bfloat16):
            network.loss(batch).backward()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


class _Loss(nn.Module):
    """The loss of a network as the output of a module, which is what DistributedDataParallel wraps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, batch, **options):
        return self.network.loss(batch, **options)


class _Trainer:
    """The state of a run between two steps: all that a checkpoint holds."""

    def __init__(self, run: Run, path: Path, device: torch.device, ranks: Ranks):
        network, stages, config = run.network, run.stages, run.config
        self.run, self.network, self.config, self.path = run, network, config, path
        self.schedule = [stage for stage in range(len(stages)) for _ in range(stages[stage].steps)]
        self.device, self.ranks = device, ranks
        self.data = random_stream(config.seed, "data" if ranks.first else f"data of rank {ranks.rank}", device)
        initialise(network.cpu(), random_stream(config.seed, "initialisation"))
        self.loss = ranks.parallel(_Loss(network.to(device)))
        self.optimizers = _optimizers(network, config)
        self.step = self.saved = 0
        hardest = max(reversed(stages), key=lambda stage: max(process.components[1] for process in stage.processes))
        self.validation = hardest.sample(config.validation_size, random_stream(config.seed, "validation", device))

    def train(self, track: bool, progress: bool | Path) -> None:
        weights, checkpoint = self.ranks.on_first(self._open)
        if weights:
            self.network.load_state_dict(weights)
            return
        if checkpoint:
            self._restore(checkpoint)
        self.ranks.on_first(lambda: self.run_directory.rewind_history(self.step))
        name, mirror = type(self.network).__name__, None
        if track and self.ranks.first:
            mirror = start_wandb(self.run_directory, f"{name}-{self.run.fingerprint}")
        try:
            with _progress_bar(progress, total=self.run.steps, initial=self.step, desc=name) as bar:
                while self.step < self.run.steps:
                    self._report(self._interval(bar), bar, mirror)
        finally:
            if mirror:
                mirror.finish()
        self.ranks.on_first(lambda: self.run_directory.finish(self.network.state_dict()))

    def _open(self) -> tuple[dict | None, dict | None]:
        """Final weights, or else the latest checkpoint, of the run directory."""
        self.run_directory = RunDirectory(self.path, self.run.description)
        if self.run_directory.finished:
            return read_weights(self.path), None
        return None, self.run_directory.load_checkpoint()

    def _interval(self, bar) -> float:
        """Steps up to the next report; their mean training loss."""
        every = self.config.report_every
        count = min(every - self.step % every, self.run.steps - self.step)
        losses = []
        for _ in range(count):
            losses.append(self._gradient_step())
            bar.update(1)
        return math.fsum(losses) / count

    def _gradient_step(self) -> float:
        stage = self.run.stages[self.schedule[self.step]]
        batch = stage.sample(self.config.batch_size // self.ranks.count, self.data)
        for peak, optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(peak, self.step, self.run.steps)
        forcing = {"teacher_forcing": stage.teacher_forcing, "generator": self.data} if stage.teacher_forcing else {}
        with self._autocast():
            loss = self.loss(batch, **forcing)
        self.network.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        value = loss.item()
        self._check_finite(loss=value, gradient_norm=norm.item())
        for _, optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return value

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _report(self, train_loss: float, bar, mirror) -> None:
        losses = self.ranks.gather(train_loss)
        streams = self.ranks.gather(self.data.get_state())
        row = self.ranks.on_first(lambda: self._write(fmean(losses), streams))
        self.saved = self.step
        bar.set_postfix_str(f"loss {row['train_loss']:.2e}, validation {row['validation_loss']:.2e}")
        if mirror:
            mirror.log({"train loss": row["train_loss"], "validation loss": row["validation_loss"]}, step=self.step)

    def _write(self, train_loss: float, streams: list[torch.Tensor]) -> dict:
        """Validate, and write the row of the history and the checkpoint."""
        with torch.no_grad():
            validation_loss = self.network.loss(self.validation).item()
        self._check_finite(validation_loss=validation_loss)
        row = {
            "step": self.step,
            "signals": self.step * self.config.batch_size,
            "stage": self.schedule[self.step - 1],
            "learning_rate": self.config.rate(self.config.learning_rate, self.step - 1, self.run.steps),
            "train_loss": train_loss,
            "validation_loss": validation_loss,
        }
        self.run_directory.append_history(row)
        self.run_directory.save_checkpoint(
            {
                "step": self.step,
                "device": self.device.type,
                "network": self.network.state_dict(),
                "optimizers": [optimizer.state_dict() for _, optimizer in self.optimizers],
                "data": streams,
            }
        )
        return row

    def _check_finite(self, **numbers: float) -> None:
        if all(math.isfinite(number) for number in numbers.values()):
            return
        where = f"the checkpoint of step {self.saved} in {self.path} is good"
        good = where if self.saved else "there is no checkpoint yet"
        raise TrainingDiverged(
            f"step {self.step}: {', '.join(f'{name} {number}' for name, number in numbers.items())}; {good}; "
            f"try a learning_rate below {self.config.learning_rate} or a clip_norm below {self.config.clip_norm}"
        )

    def _restore(self, checkpoint: dict) -> None:
        begun = (len(checkpoint["data"]), checkpoint["device"])
        if begun != (self.ranks.count, self.device.type):
            raise RunError(
                f"the run was begun by {begun[0]} process(es) on {begun[1]}, this is {self.ranks.count} on "
                f"{self.device.type}: random streams do not move; go on as before, or delete "
                f"{self.path / 'checkpoint.pt'} to start anew"
            )
        self.step = self.saved = checkpoint["step"]
        self.network.load_state_dict(checkpoint["network"])
        for (_, optimizer), state in zip(self.optimizers, checkpoint["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.data.set_state(checkpoint["data"][self.ranks.rank])


def _optimizers(network: nn.Module, config: TrainingConfig) -> list[tuple[float, torch.optim.Optimizer]]:
    """Every optimiser with its peak rate. A column is no matrix: it has nothing to make orthogonal."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters if config.muon_rate and p.ndim == 2 and min(p.shape) > 1]
    rest = [p for p in parameters if all(p is not matrix for matrix in matrices)]
    adam = torch.optim.Adam(rest, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)
    if not matrices:
        return [(config.learning_rate, adam)]
    muon = torch.optim.Muon(matrices, lr=config.muon_rate, weight_decay=0.0)
    return [(config.learning_rate, adam), (config.muon_rate, muon)]


@contextmanager
def _progress_bar(progress: bool | Path, **options) -> Iterator[tqdm]:
    """A bar on stderr, in a file, or nowhere."""
    to_file = isinstance(progress, Path)
    look = {"unit": "step", "dynamic_ncols": not to_file, "mininterval": 0.5, "disable": progress is False}
    with (
        open(progress, "w") if to_file else nullcontext(sys.stderr) as stream,
        tqdm(file=stream, **look, **options) as bar,
    ):
        yield bar
