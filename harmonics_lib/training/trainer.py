"""Training by stochastic gradient descent: one schedule over all stages, checkpoints, resumption.

A curriculum is a tuple of ``Stage`` records. Signals are drawn during training and never repeat.
"""

import math
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn
from tqdm import tqdm

from harmonics_lib.arguments import check_device, check_flag, check_kind, check_whole, describe
from harmonics_lib.forecasters.base import cpu_threads
from harmonics_lib.networks.recurrent import initialise
from harmonics_lib.signals.process import random_stream
from harmonics_lib.training.directory import RunError
from harmonics_lib.training.distributed import Ranks, join_ranks
from harmonics_lib.training.loop import complete
from harmonics_lib.training.run import Run, TrainingConfig
from harmonics_lib.training.wandb_mirror import wandb_mirror


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
    keep_diverged: bool = False,
) -> nn.Module:
    """Train a network through all stages of a run, resuming an earlier attempt in ``run_dir``.

    A run that was killed and resumed ends with the same weights and history, bit for bit, as an
    uninterrupted run (for one process on a CPU, the same machine and the same number of threads).

    Under ``torchrun`` every process draws its share of each batch, gradients are averaged, and
    only the first process reads and writes ``run_dir``.

    Args:
        run: the network, its stages and its configuration.
        run_dir: the directory of the history, checkpoint and weights; created if missing.
        device: ``"cpu"`` or ``"cuda"``; each process of ``torchrun`` uses its own GPU.
        threads: CPU threads of PyTorch; small networks are fastest with one.
        track: mirror the history to W&B.
        progress: show a progress bar on stderr, or write it to a file.
        keep_diverged: end a training that diverges with the weights of its last checkpoint, instead of an error.

    Returns:
        The trained network, on the CPU and in single precision.

    Raises:
        ValueError: an argument is of the wrong type, this machine lacks the device, the processes cannot share the
            batch, or the loss of the network is not a scalar.
        RunError: ``run_dir`` contains another run or a damaged checkpoint, cannot be written, or is in use by another
            training.
        TrainingDiverged: the loss is not finite; the last good checkpoint is kept.

    Example:
        >>> run = Run("SmallLSTM", (Stage(HarmonicProcess((3, 6)), steps=1000),), TrainingConfig())
        >>> network = train(run, "build/runs/mine")  # doctest: +SKIP
    """
    check_kind("run", run, Run, "a Run")
    check_kind("progress", progress, (bool, Path), "True, False or a Path")
    check_flag("track", track)
    threads = check_whole("threads", threads, maximum=1024)
    if not isinstance(run_dir, (str, Path)) or not str(run_dir):
        raise ValueError(f"run_dir must be the path of a directory, got {describe(run_dir)}")
    ranks, device = join_ranks(check_device(device))
    _check_ranks(run, ranks)
    with cpu_threads(threads), torch.inference_mode(False), torch.enable_grad():
        network = run.build().cpu().float()
        initialise(network, random_stream(run.config.seed, "initialisation"))

        def steps(state: dict | None) -> Generator[tuple[dict, dict], None, None]:
            descent = _Descent(run, network.to(device), ranks, state)
            diverges = suppress(TrainingDiverged) if keep_diverged else nullcontext()
            bar = _progress_bar(progress if ranks.first else False, run, descent.step)
            mirror = wandb_mirror(Path(run_dir).expanduser(), run.description, track and ranks.first)
            with diverges, bar as advance, mirror as log:
                yield from descent.steps(advance, log)

        network.load_state_dict(complete(run_dir, run.description, steps, ranks))
    return network.cpu()


def _check_ranks(run: Run, ranks: Ranks) -> None:
    """Raise ``ValueError`` if the processes cannot share the run."""
    if run.config.batch_size % ranks.count:
        raise ValueError(f"expected a batch_size that {ranks.count} processes can share, got {run.config.batch_size}")
    if len(fingerprints := set(ranks.gather(run.fingerprint))) > 1:
        raise ValueError(f"expected the same run in every process, got {', '.join(sorted(fingerprints))}")


class _Loss(nn.Module):
    """The loss of a network as the output of a module, as DistributedDataParallel requires."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, batch, **options) -> Tensor:
        loss = self.network.loss(batch, **options)
        if not isinstance(loss, Tensor) or loss.ndim:
            raise ValueError(f"the loss of {type(self.network).__name__} must be a scalar tensor, got {describe(loss)}")
        return loss


class _Descent:
    """A network during its training, with everything that the next step depends on.

    Attributes:
        step: number of gradient steps so far.
        saved: number of gradient steps at the last checkpoint.
    """

    def __init__(self, run: Run, network: nn.Module, ranks: Ranks, state: dict | None):
        stages, config = run.stages, run.config
        self.run, self.network, self.ranks = run, network, ranks
        self.device = next(network.parameters()).device
        self.loss = ranks.parallel(_Loss(network))
        self.optimizers = _optimizers(network, config)
        self.schedule = [stage for stage in range(len(stages)) for _ in range(stages[stage].steps)]
        self.data = self._stream("data")
        self.layers = self._stream("layers").get_state()  # state of the stream that layers such as Dropout draw from
        hardest = max(reversed(stages), key=lambda stage: max(process.components[1] for process in stage.processes))
        self.validation = hardest.sample(config.validation_size, random_stream(config.seed, "validation", self.device))
        self.step = self.saved = 0
        if state:
            self._restore(state)

    def _stream(self, name: str) -> torch.Generator:
        name = name if self.ranks.first else f"{name} of rank {self.ranks.rank}"
        return random_stream(self.run.config.seed, name, self.device)

    def steps(self, bar: tqdm, mirror) -> Iterator[tuple[dict, dict]]:
        """Rows and states, one pair every ``report_every`` steps."""
        every = self.run.config.report_every
        while self.step < self.run.steps:
            count = min(every - self.step % every, self.run.steps - self.step)
            with _global_stream(self):
                losses = []
                for _ in range(count):
                    losses.append(self._take_step())
                    bar.update(1)
                losses = self.ranks.gather(math.fsum(losses) / count)
                row = self.ranks.on_first(lambda losses=losses: self._row(fmean(losses)))
            yield row, self._state()
            self.saved = self.step
            bar.set_postfix_str(f"loss {row['train_loss']:.2e}, validation {row['validation_loss']:.2e}")
            mirror(row)

    def _take_step(self) -> float:
        """Take one gradient step and return its loss."""
        stage, config = self.run.stages[self.schedule[self.step]], self.run.config
        batch = stage.sample(config.batch_size // self.ranks.count, self.data)
        for peak, optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = config.rate(peak, self.step, self.run.steps)
        forcing = {"teacher_forcing": stage.teacher_forcing, "generator": self.data} if stage.teacher_forcing else {}
        loss = self.loss(batch, **forcing)
        self.network.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        value = loss.item()
        self._check_finite(loss=value, gradient_norm=norm.item())
        for _, optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return value

    def _row(self, train_loss: float) -> dict:
        """Validate the network and return the row of the history."""
        self.network.eval()
        with torch.no_grad():
            validation_loss = self.network.loss(self.validation).item()
        self.network.train()
        self._check_finite(validation_loss=validation_loss)
        config = self.run.config
        return {
            "step": self.step,
            "signals": self.step * config.batch_size,
            "stage": self.schedule[self.step - 1],
            "learning_rate": config.rate(config.learning_rate, self.step - 1, self.run.steps),
            "train_loss": train_loss,
            "validation_loss": validation_loss,
        }

    def _state(self) -> dict:
        return {
            "step": self.step,
            "device": self.device.type,
            "weights": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for _, optimizer in self.optimizers],
            "streams": self.ranks.gather((self.data.get_state(), self.layers)),
        }

    def _restore(self, state: dict) -> None:
        """Resume from a state of as many processes on the same kind of device."""
        before, now = (len(state["streams"]), state["device"]), (self.ranks.count, self.device.type)
        if before != now:
            raise RunError(
                f"the run was begun by {before[0]} process(es) on {before[1]}, this is {now[0]} on {now[1]}: "
                "random streams cannot be moved; resume as before, or delete the checkpoint to start again"
            )
        self.step = self.saved = state["step"]
        self.network.load_state_dict(state["weights"])
        for (_, optimizer), part in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(part)
        data, self.layers = state["streams"][self.ranks.rank]
        self.data.set_state(data)

    def _check_finite(self, **numbers: float) -> None:
        if all(math.isfinite(number) for number in numbers.values()):
            return
        good = f"the checkpoint of step {self.saved} is good" if self.saved else "there is no checkpoint yet"
        config = self.run.config
        raise TrainingDiverged(
            f"step {self.step}: {', '.join(f'{name} {number}' for name, number in numbers.items())}; {good}; "
            f"try a learning_rate below {config.learning_rate} or a clip_norm below {config.clip_norm}"
        )


@contextmanager
def _global_stream(descent: _Descent) -> Iterator[None]:
    """Let layers such as Dropout draw from the run's own stream; the global stream of the process does not change."""
    cuda = descent.device.type == "cuda"
    streams = torch.cuda if cuda else torch
    with torch.random.fork_rng(devices=[descent.device] if cuda else []):
        streams.set_rng_state(descent.layers)
        yield
        descent.layers = streams.get_rng_state()


def _optimizers(network: nn.Module, config: TrainingConfig) -> list[tuple[float, torch.optim.Optimizer]]:
    """Every optimiser with its peak rate. Single rows and columns go to Adam: Muon orthogonalises matrices."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters if config.muon_rate and p.ndim == 2 and min(p.shape) > 1]
    rest = [p for p in parameters if all(p is not matrix for matrix in matrices)]
    adam = torch.optim.Adam(rest, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)
    if not matrices:
        return [(config.learning_rate, adam)]
    muon = torch.optim.Muon(matrices, lr=config.muon_rate, weight_decay=0.0)
    return [(config.learning_rate, adam), (config.muon_rate, muon)]


class _BarFile:
    """A text file that ignores errors, so that no training fails because of its progress bar."""

    def __init__(self, path: Path):
        try:
            self._file = open(path, "w")  # noqa: SIM115 (closed in close)
        except OSError:
            self._file = open(os.devnull, "w")  # noqa: SIM115

    def write(self, text: str) -> None:
        """Write, ignoring errors."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Flush, ignoring errors."""
        with suppress(OSError):
            self._file.flush()

    def close(self) -> None:
        """Close, ignoring errors."""
        with suppress(OSError):
            self._file.close()


@contextmanager
def _progress_bar(progress: bool | Path, run: Run, begun: int) -> Iterator[tqdm]:
    """A progress bar on stderr, in a file, or none."""
    file = _BarFile(progress) if isinstance(progress, Path) else None
    look = {"unit": "step", "dynamic_ncols": file is None, "mininterval": 0.5, "disable": progress is False}
    name = run.description["network"]["class"]
    try:
        with tqdm(file=file or sys.stderr, total=run.steps, initial=begun, desc=name, **look) as bar:
            yield bar
    finally:
        if file:
            file.close()
