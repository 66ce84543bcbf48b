"""Training by stochastic gradients: stages, schedule, checkpoint, resume.

A curriculum is data: a tuple of ``Stage`` records. Signals are made on the fly and never repeat.
"""

import hashlib
import json
import math
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from harmonics_lib.networks import initialise
from harmonics_lib.signals import HarmonicProcess, random_stream
from harmonics_lib.tracking import RunDirectory, RunError, read_weights, start_wandb


class TrainingDiverged(FloatingPointError):
    """The loss or its gradient is no longer finite."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training on one distribution.

    Args:
        process: where signals come from.
        steps: number of gradient steps.
        lookback, horizon: samples that are seen, and predicted.
        teacher_forcing: probability that a decoder reads the truth instead of its own prediction.
    """

    process: HarmonicProcess
    steps: int
    lookback: int = 100
    horizon: int = 5
    teacher_forcing: float = 0.0

    def __post_init__(self):
        if min(self.steps, self.lookback, self.horizon) < 1:
            raise ValueError(f"a stage needs steps, lookback and horizon of at least 1, got {self}")
        if not 0 <= self.teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is a probability, got {self.teacher_forcing}")


@dataclass(frozen=True)
class TrainingConfig:
    """How to descend: Adam, with linear warm-up and cosine decay over all stages together.

    Args:
        seed: of the streams for data, initialisation and validation.
        batch_size: signals a step.
        learning_rate: its peak.
        final_rate: where the cosine ends, as a fraction of the peak.
        warmup_steps: steps of linear rise from 0.
        clip_norm: largest norm of the gradient.
        report_every: steps between two rows of the history; each row also writes a checkpoint.
        validation_size: signals of the fixed validation batch, drawn from the last stage.
    """

    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.002
    final_rate: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 1.0
    report_every: int = 100
    validation_size: int = 1000

    def __post_init__(self):
        for name in ("batch_size", "learning_rate", "clip_norm", "report_every", "validation_size"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.final_rate <= 1 or self.warmup_steps < 0:
            raise ValueError(
                f"expected final_rate in [0, 1] and warmup_steps >= 0, got {self.final_rate} and {self.warmup_steps}"
            )

    def rate(self, step: int, total: int) -> float:
        """Learning rate of gradient step ``step`` (from 0) of ``total``."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * progress)) / 2)


def describe(network: nn.Module, stages: tuple[Stage, ...], config: TrainingConfig) -> dict:
    """A run as plain data, with the fingerprint that names it: equal runs, equal fingerprints."""
    description = {
        "network": {"class": type(network).__name__, "settings": network.settings},
        "stages": [asdict(stage) for stage in stages],
        "training": asdict(config),
    }
    canonical = json.dumps(description, sort_keys=True)
    return json.loads(canonical) | {"fingerprint": hashlib.sha256(canonical.encode()).hexdigest()[:12]}


def train(
    network: nn.Module,
    stages: tuple[Stage, ...],
    config: TrainingConfig,
    run_dir: Path | str,
    *,
    device: str | torch.device = "cpu",
    threads: int = 1,
    track: bool = False,
) -> RunDirectory:
    """Train ``network`` in place through all ``stages``, resuming whatever ``run_dir`` holds.

    A run that was killed and is started again ends with the weights and the history, bit for
    bit, of a run that was not (on a CPU; same machine, same number of threads).

    Args:
        network: has ``settings`` and ``loss(batch)``; its weights are drawn from ``config.seed``.
        threads: CPU threads of PyTorch; small networks are fastest with one.
        track: mirror the history to W&B.

    Raises:
        RunError: ``run_dir`` holds another run or a broken checkpoint.
        TrainingDiverged: the loss is not finite; the last good checkpoint is kept.
    """
    run = RunDirectory(run_dir, describe(network, stages, config))
    with _threads(threads):
        _Trainer(network, stages, config, run, torch.device(device)).run(track)
    return run


class _Trainer:
    """The state of a run between two steps: all that a checkpoint holds."""

    def __init__(self, network, stages, config, run, device):
        self.network, self.stages, self.config, self.run_directory = network, stages, config, run
        self.total = sum(stage.steps for stage in stages)
        self.schedule = [index for index, stage in enumerate(stages) for _ in range(stage.steps)]
        self.device = device
        self.data = random_stream(config.seed, "data", device)
        initialise(network.cpu(), random_stream(config.seed, "initialisation"))
        network.to(device)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        self.step = self.saved = 0
        last = stages[-1]
        self.validation = last.process.sample(
            config.validation_size,
            last.lookback + last.horizon,
            last.lookback,
            generator=random_stream(config.seed, "validation", device),
        )

    def run(self, track: bool) -> None:
        if self.run_directory.finished:
            self.network.load_state_dict(read_weights(self.run_directory.path))
            return
        self._restore()
        name = f"{type(self.network).__name__}-{self.run_directory.config['fingerprint']}"
        mirror = start_wandb(self.run_directory, name) if track else None
        try:
            with _progress(self.total, self.step, type(self.network).__name__) as bar:
                while self.step < self.total:
                    self._report(self._interval(bar), bar, mirror)
        finally:
            if mirror:
                mirror.finish()
        self.run_directory.finish(self.network.state_dict())

    def _interval(self, bar) -> float:
        """Steps up to the next report; their mean training loss."""
        every = self.config.report_every
        count = min(every - self.step % every, self.total - self.step)
        losses = []
        for _ in range(count):
            losses.append(self._gradient_step())
            bar.update(1)
        return math.fsum(losses) / count

    def _gradient_step(self) -> float:
        stage = self.stages[self.schedule[self.step]]
        batch = stage.process.sample(
            self.config.batch_size, stage.lookback + stage.horizon, stage.lookback, generator=self.data
        )
        rate = self.config.rate(self.step, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        forcing = {"teacher_forcing": stage.teacher_forcing, "generator": self.data} if stage.teacher_forcing else {}
        loss = self.network.loss(batch, **forcing)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        value = loss.item()
        self._check_finite(loss=value, gradient_norm=norm.item())
        self.optimizer.step()
        self.step += 1
        return value

    def _report(self, train_loss: float, bar, mirror) -> None:
        with torch.no_grad():
            validation_loss = self.network.loss(self.validation).item()
        self._check_finite(validation_loss=validation_loss)
        row = {
            "step": self.step,
            "signals": self.step * self.config.batch_size,
            "stage": self.schedule[self.step - 1],
            "learning_rate": self.config.rate(self.step - 1, self.total),
            "train_loss": train_loss,
            "validation_loss": validation_loss,
        }
        self.run_directory.append_history(row)
        self._save()
        bar.set_postfix_str(f"loss {train_loss:.2e}, validation {validation_loss:.2e}")
        if mirror:
            mirror.log({"train loss": train_loss, "validation loss": validation_loss}, step=self.step)

    def _check_finite(self, **numbers: float) -> None:
        if all(math.isfinite(number) for number in numbers.values()):
            return
        where = f"the checkpoint of step {self.saved} in {self.run_directory.path} is good"
        good = where if self.saved else "there is no checkpoint yet"
        raise TrainingDiverged(
            f"step {self.step}: {', '.join(f'{name} {number}' for name, number in numbers.items())}; {good}; "
            f"try a learning_rate below {self.config.learning_rate} or a clip_norm below {self.config.clip_norm}"
        )

    def _save(self) -> None:
        self.run_directory.save_checkpoint(
            {
                "step": self.step,
                "device": self.device.type,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "data": self.data.get_state(),
            }
        )
        self.saved = self.step

    def _restore(self) -> None:
        checkpoint = self.run_directory.load_checkpoint()
        if checkpoint:
            if checkpoint["device"] != self.device.type:
                raise RunError(
                    f"{self.run_directory.path} was begun on {checkpoint['device']}, this is {self.device.type}; "
                    "random streams do not move between devices: go on there, or delete the checkpoint to start anew"
                )
            self.step = self.saved = checkpoint["step"]
            self.network.load_state_dict(checkpoint["network"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            self.data.set_state(checkpoint["data"])
        self.run_directory.rewind_history(self.step)


@contextmanager
def _threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _progress(total: int, done: int, name: str) -> tqdm:
    """A bar on stderr, or, in a headless report, in the file that its runner reads aloud."""
    path = os.environ.get("HARMONICS_PROGRESS")
    stream = open(path, "w") if path else sys.stderr  # noqa: SIM115 (the bar writes to it until the run ends)
    return tqdm(total=total, initial=done, desc=name, unit="step", file=stream, dynamic_ncols=not path, mininterval=0.5)
