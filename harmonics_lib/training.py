"""Training by stochastic gradients: stages, schedule, checkpoint, resume.

A curriculum is data: a tuple of ``Stage`` records. Signals are made on the fly and never repeat.
"""

import hashlib
import json
import math
import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import nn
from tqdm import tqdm

from harmonics_lib.classical import cpu_threads
from harmonics_lib.distributed import Ranks, join_ranks
from harmonics_lib.networks import build, initialise
from harmonics_lib.signals import HarmonicProcess, random_stream
from harmonics_lib.tracking import RunDirectory, RunError, read_weights, start_wandb


class TrainingDiverged(FloatingPointError):
    """The loss or its gradient is no longer finite."""


PRECISIONS = ("float32", "bfloat16")
DECAYS = ("cosine", "linear")


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
        if not all(type(n) is int and n >= 1 for n in (self.steps, self.lookback, self.horizon)):
            raise ValueError(f"a stage needs whole steps, lookback and horizon of at least 1, got {self}")
        if not 0 <= self.teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is a probability, got {self.teacher_forcing}")


@dataclass(frozen=True)
class TrainingConfig:
    """How to descend: Adam, or Muon and Adam, with linear warm-up and one decay over all stages together.

    Args:
        seed: of the streams for data, initialisation and validation.
        batch_size: signals a step.
        learning_rate: peak rate of Adam (Kingma and Ba 2015).
        muon_rate: peak rate of Muon (Jordan et al. 2024) for the weight matrices, Adam keeping the
            vectors; 0 for Adam alone.
        adam_epsilon: what Adam adds to the root of the mean squared gradient before dividing by it.
        precision: ``"float32"``, or ``"bfloat16"`` for matrix products rounded to 8 bits
            (autocast; weights, optimiser and loss stay in float32).
        decay: ``"cosine"`` (Loshchilov and Hutter 2017) or ``"linear"``.
        final_rate: where the decay ends, as a fraction of the peak.
        warmup_steps: steps of linear rise from 0.
        clip_norm: largest norm of the gradient.
        report_every: steps between two rows of the history; each row also writes a checkpoint.
        validation_size: signals of the fixed validation batch, drawn from the stage with the most
            components (the last of these).
    """

    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.002
    muon_rate: float = 0.0
    adam_epsilon: float = 1e-8
    precision: str = "float32"
    decay: str = "cosine"
    final_rate: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 1.0
    report_every: int = 100
    validation_size: int = 1000

    def __post_init__(self):
        for name in ("batch_size", "report_every", "validation_size"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        # One spelling for numbers, so that equal configurations have equal fingerprints.
        for name in ("learning_rate", "muon_rate", "adam_epsilon", "clip_norm", "final_rate"):
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("learning_rate", "adam_epsilon", "clip_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.muon_rate < math.inf:
            raise ValueError(f"muon_rate must be 0 or positive and finite, got {self.muon_rate}")
        for name, known in (("precision", PRECISIONS), ("decay", DECAYS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not 0 <= self.final_rate <= 1 or self.warmup_steps < 0:
            raise ValueError(
                f"expected final_rate in [0, 1] and warmup_steps >= 0, got {self.final_rate} and {self.warmup_steps}"
            )

    def rate(self, peak: float, step: int, total: int) -> float:
        """Learning rate of gradient step ``step`` (from 0) of ``total``, on a schedule with this peak."""
        if step < self.warmup_steps:
            return peak * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
        left = 1 - progress if self.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return peak * (self.final_rate + (1 - self.final_rate) * left)


def describe(network: nn.Module, stages: tuple[Stage, ...], config: TrainingConfig) -> dict:
    """A run as plain data, with the fingerprint that names it: equal runs, equal fingerprints."""
    description = {
        "network": {"class": type(network).__name__, "settings": network.settings},
        "stages": [asdict(stage) for stage in stages],
        "training": asdict(config),
    }
    canonical = json.dumps(description, sort_keys=True)
    return json.loads(canonical) | {"fingerprint": hashlib.sha256(canonical.encode()).hexdigest()[:12]}


def rebuild(description: dict) -> tuple[nn.Module, tuple[Stage, ...], TrainingConfig]:
    """Network, stages and configuration of a run, from what ``describe`` made of them.

    Raises:
        ValueError: a run of a notebook's own network.
    """
    network = build(description["network"])
    stages = [stage | {"process": HarmonicProcess(**stage["process"])} for stage in description["stages"]]
    config = TrainingConfig(**description["training"])
    return network, tuple(Stage(**stage) for stage in stages), config


def train(
    network: nn.Module,
    stages: tuple[Stage, ...],
    config: TrainingConfig,
    run_dir: Path | str,
    *,
    device: str | torch.device = "cpu",
    threads: int = 1,
    track: bool = False,
) -> Path:
    """Train ``network`` in place through all ``stages``, resuming whatever ``run_dir`` holds.

    A run that was killed and is started again ends with the weights and the history, bit for
    bit, of a run that was not (one process on a CPU; same machine, same number of threads).

    Under ``torchrun`` every process draws its own share of each batch, gradients are averaged, and
    the first process alone reads and writes ``run_dir``.

    Args:
        network: has ``settings`` and ``loss(batch)``; its weights are drawn from ``config.seed``.
        device: ``"cpu"`` or ``"cuda"``; a process of ``torchrun`` takes the GPU of its own number.
        threads: CPU threads of PyTorch; small networks are fastest with one.
        track: mirror the history to W&B.

    Raises:
        ValueError: stages that the network cannot be trained on, or a batch that the processes cannot share.
        RunError: ``run_dir`` holds another run or a broken checkpoint.
        TrainingDiverged: the loss is not finite; the last good checkpoint is kept.
    """
    ranks, device = join_ranks(torch.device(device))
    _check(network, stages, config, ranks)
    with cpu_threads(threads):
        _Trainer(network, stages, config, Path(run_dir), device, ranks).run(track)
    return Path(run_dir)


def _check(network: nn.Module, stages: tuple[Stage, ...], config: TrainingConfig, ranks: Ranks) -> None:
    """Raise ``ValueError`` for a run that could not come to its end."""
    if not stages:
        raise ValueError("expected at least one stage, got none")
    fixed = getattr(network, "lookback", None)
    for stage in stages:
        if fixed not in (None, stage.lookback):
            raise ValueError(f"expected stages with the network's lookback of {fixed}, got {stage.lookback}")
    if config.batch_size % ranks.count:
        raise ValueError(f"expected a batch_size that {ranks.count} processes can share, got {config.batch_size}")
    if len(fingerprints := set(ranks.gather(describe(network, stages, config)["fingerprint"]))) > 1:
        raise ValueError(f"expected the same run in every process, got {', '.join(sorted(fingerprints))}")


class _Loss(nn.Module):
    """The loss of a network as the output of a module, which is what DistributedDataParallel wraps."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, batch, **options):
        return self.network.loss(batch, **options)


class _Trainer:
    """The state of a run between two steps: all that a checkpoint holds."""

    def __init__(self, network, stages, config, path, device, ranks):
        self.network, self.stages, self.config, self.path = network, stages, config, path
        self.total = sum(stage.steps for stage in stages)
        self.schedule = [index for index, stage in enumerate(stages) for _ in range(stage.steps)]
        self.device, self.ranks = device, ranks
        self.data = random_stream(config.seed, "data" if ranks.first else f"data of rank {ranks.rank}", device)
        initialise(network.cpu(), random_stream(config.seed, "initialisation"))
        self.loss = ranks.parallel(_Loss(network.to(device)))
        self.optimizers = _optimizers(network, config)
        self.step = self.saved = 0
        hardest = max(reversed(stages), key=lambda stage: stage.process.components[1])
        self.validation = hardest.process.sample(
            config.validation_size,
            hardest.lookback + hardest.horizon,
            hardest.lookback,
            generator=random_stream(config.seed, "validation", device),
        )

    def run(self, track: bool) -> None:
        weights, checkpoint = self.ranks.on_first(self._open)
        if weights:
            self.network.load_state_dict(weights)
            return
        if checkpoint:
            self._restore(checkpoint)
        self.ranks.on_first(lambda: self.run_directory.rewind_history(self.step))
        name, mirror = type(self.network).__name__, None
        if track and self.ranks.first:
            mirror = start_wandb(self.run_directory, f"{name}-{self.run_directory.config['fingerprint']}")
        try:
            with _progress(self.total, self.step, name, silent=not self.ranks.first) as bar:
                while self.step < self.total:
                    self._report(self._interval(bar), bar, mirror)
        finally:
            if mirror:
                mirror.finish()
        self.ranks.on_first(lambda: self.run_directory.finish(self.network.state_dict()))

    def _open(self) -> tuple[dict | None, dict | None]:
        """Final weights, or else the latest checkpoint, of the run directory."""
        self.run_directory = RunDirectory(self.path, describe(self.network, self.stages, self.config))
        if self.run_directory.finished:
            return read_weights(self.path), None
        return None, self.run_directory.load_checkpoint()

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
            self.config.batch_size // self.ranks.count,
            stage.lookback + stage.horizon,
            stage.lookback,
            generator=self.data,
        )
        for peak, optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(peak, self.step, self.total)
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
            "learning_rate": self.config.rate(self.config.learning_rate, self.step - 1, self.total),
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
def _progress(total: int, done: int, name: str, silent: bool):
    """A bar on stderr, or, in a headless report, in the file that its runner reads aloud."""
    path = None if silent else os.environ.get("HARMONICS_PROGRESS")
    look = {"desc": name, "unit": "step", "dynamic_ncols": not path, "mininterval": 0.5, "disable": silent}
    with (
        open(path, "w") if path else nullcontext(sys.stderr) as stream,
        tqdm(total=total, initial=done, file=stream, **look) as bar,
    ):
        yield bar
