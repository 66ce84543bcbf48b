"""What a training run is: a network, its stages, and how to descend."""

import copy
import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial

import torch
from torch import nn

from harmonics_lib.arguments import (
    check_choice,
    check_kind,
    check_name,
    check_positive,
    check_probability,
    check_weight,
    check_whole,
    shown,
)
from harmonics_lib.networks.registry import build
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, check_process

_MOST = 10**8  # steps of a stage, signals of a batch
PRECISIONS = ("float32", "bfloat16")
DECAYS = ("cosine", "linear")


@dataclass(frozen=True)
class Stage:
    """A stretch of training on one distribution.

    Args:
        process: where signals come from; of several processes, each batch has an equal share.
        steps: number of gradient steps.
        lookback, horizon: samples that are seen, and predicted.
        teacher_forcing: probability that a decoder reads the truth instead of its own prediction.

    Raises:
        ValueError: settings out of range or of the wrong type.
    """

    process: HarmonicProcess | tuple[HarmonicProcess, ...]
    steps: int
    lookback: int = 100
    horizon: int = 5
    teacher_forcing: float = 0.0

    def __post_init__(self):
        for name in ("steps", "lookback", "horizon"):
            object.__setattr__(self, name, check_whole(f"a stage's {name}", getattr(self, name), maximum=_MOST))
        forcing = check_probability("teacher_forcing", self.teacher_forcing)
        object.__setattr__(self, "teacher_forcing", forcing)
        if self.processes == ():
            raise ValueError("a stage needs at least one process, got none")
        for process in self.processes:
            check_process(process)

    @property
    def processes(self) -> tuple[HarmonicProcess, ...]:
        """The processes that signals come from."""
        return self.process if isinstance(self.process, tuple) else (self.process,)

    def sample(self, size: int, generator: torch.Generator) -> SignalBatch:
        """``size`` signals of the length that lookback and horizon need, in as equal shares as can be."""
        length, count = self.lookback + self.horizon, len(self.processes)
        shares = [(size + place) // count for place in reversed(range(count))]
        drawn = [(process, share) for process, share in zip(self.processes, shares, strict=True) if share]
        return SignalBatch.joined([p.sample(share, length, self.lookback, generator=generator) for p, share in drawn])


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
            (autocast; weights, optimiser and loss stay in float32). Faster where the processor has
            it, slower where that only emulates it (``make bench`` tells); refused where it is missing.
        decay: ``"cosine"`` (Loshchilov and Hutter 2017) or ``"linear"``.
        final_rate: where the decay ends, as a fraction of the peak.
        warmup_steps: steps of linear rise from 0.
        clip_norm: largest norm of the gradient.
        report_every: steps between two rows of the history; each row also writes a checkpoint.
        validation_size: signals of the fixed validation batch, drawn from the stage with the most
            components (the last of these).

    Raises:
        ValueError: settings out of range or of the wrong type.
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
        checks = {
            partial(check_whole, maximum=_MOST): ("batch_size", "report_every", "validation_size"),
            partial(check_whole, minimum=0): ("warmup_steps",),
            partial(check_whole, minimum=None): ("seed",),
            check_positive: ("learning_rate", "adam_epsilon", "clip_norm"),
            check_weight: ("muon_rate",),
            check_probability: ("final_rate",),
            partial(check_choice, known=PRECISIONS): ("precision",),
            partial(check_choice, known=DECAYS): ("decay",),
        }
        # One spelling for numbers, so that equal configurations have equal fingerprints.
        for check, names in checks.items():
            for name in names:
                object.__setattr__(self, name, check(name, getattr(self, name)))

    def rate(self, peak: float, step: int, total: int) -> float:
        """Learning rate of gradient step ``step`` (from 0) of ``total``, on a schedule with this peak."""
        if step < self.warmup_steps:
            return peak * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
        left = 1 - progress if self.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return peak * (self.final_rate + (1 - self.final_rate) * left)


@dataclass(frozen=True)
class Run:
    """A network and all that its training depends on.

    Attributes:
        network: has ``settings`` (the arguments it was built with) and ``loss(batch)``; ``train``
            draws its weights from ``config.seed``.
        stages: the curriculum, one ``Stage`` after the other.
        config: how to descend.

    Raises:
        ValueError: no network that can be trained, no stage, or a stage that the network cannot be trained on.
    """

    network: nn.Module
    stages: tuple[Stage, ...]
    config: TrainingConfig

    def __post_init__(self):
        if not (isinstance(self.network, nn.Module) and hasattr(self.network, "loss")):
            raise ValueError(f"network must be a torch module with a method loss, got {shown(self.network)}")
        check_kind("stages", self.stages, tuple, "a tuple of Stage")
        if not self.stages:
            raise ValueError("expected at least one stage, got none")
        for stage in self.stages:
            check_kind("each of stages", stage, Stage, "a Stage")
        check_kind("config", self.config, TrainingConfig, "a TrainingConfig")
        fixed = getattr(self.network, "lookback", None)
        for stage in self.stages:
            if fixed not in (None, stage.lookback):
                raise ValueError(f"expected stages with the network's lookback of {fixed}, got {stage.lookback}")

    @cached_property
    def description(self) -> dict:
        """The run as plain data, with its fingerprint: what ``config.json`` holds."""
        description = {
            "network": {"class": type(self.network).__name__, "settings": self.network.settings},
            "stages": [asdict(stage) for stage in self.stages],
            "training": asdict(self.config),
        }
        return json.loads(json.dumps(description)) | {"fingerprint": fingerprint_of(description)}

    @property
    def fingerprint(self) -> str:
        """The name of the run: equal runs have equal ones."""
        return self.description["fingerprint"]

    @property
    def steps(self) -> int:
        """Gradient steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @classmethod
    def rebuild(cls, description: dict) -> "Run":
        """The run that ``description`` describes.

        Raises:
            ValueError: a run of a notebook's own network.
        """
        network = build(description["network"])
        stages = tuple(Stage(**stage | {"process": _rebuilt(stage["process"])}) for stage in description["stages"])
        return cls(network, stages, TrainingConfig(**description["training"]))

    def with_seed(self, seed: int) -> "Run":
        """The same run from another seed, with a network of its own."""
        return Run(copy.deepcopy(self.network), self.stages, replace(self.config, seed=seed))


def _rebuilt(process: dict | list) -> HarmonicProcess | tuple[HarmonicProcess, ...]:
    if isinstance(process, list):
        return tuple(HarmonicProcess(**one) for one in process)
    return HarmonicProcess(**process)


def fingerprint_of(description: dict) -> str:
    """Twelve hexadecimal digits that name plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


def seeded(name: str, run: Run, seeds: int) -> dict[str, Run]:
    """A run from the seeds 0, 1, …: ``name``, ``name_seed1``, …, each with a network of its own.

    Raises:
        ValueError: a name that is no text, what is no run, or fewer than one seed.
    """
    check_name(name)
    check_kind("run", run, Run, "a Run")
    seeds = check_whole("seeds", seeds, maximum=1000)
    return {f"{name}_seed{seed}" if seed else name: run.with_seed(seed) for seed in range(seeds)}
