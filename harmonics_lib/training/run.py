"""A training as data: the network's class and settings, its stages, and the configuration of the optimiser."""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar, cast

import torch
from torch import nn

from harmonics_lib.arguments import (
    check_choice,
    check_function,
    check_kind,
    check_name,
    check_positive,
    check_probability,
    check_weight,
    check_whole,
    describe,
)
from harmonics_lib.networks.registry import network_class
from harmonics_lib.signals.process import HarmonicProcess, SignalBatch, check_process

_MOST = 10**8  # steps of a stage, signals of a batch
DECAYS = ("cosine", "linear")


@dataclass(frozen=True)
class Stage:
    """A stage of training on one distribution.

    Args:
        process: the distribution of the signals; with several processes, each batch has an equal share of each.
        steps: number of gradient steps.
        lookback: samples that the network is given.
        horizon: samples that it predicts.
        teacher_forcing: probability that a decoder reads the truth instead of its own prediction.

    Raises:
        ValueError: a setting is out of range or of the wrong type.
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
        """``size`` signals of lookback + horizon samples, in shares of the processes that differ by at most one."""
        length, count = self.lookback + self.horizon, len(self.processes)
        shares = [(size + place) // count for place in reversed(range(count))]
        drawn = [(process, share) for process, share in zip(self.processes, shares, strict=True) if share]
        return SignalBatch.concatenate(
            [p.sample(share, length, self.lookback, generator=generator) for p, share in drawn]
        )


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser: Adam, or Muon and Adam, with a linear warm-up and one decay over all stages together.

    Args:
        seed: of the streams for data, initialisation and validation.
        batch_size: signals per step.
        learning_rate: peak rate of Adam (Kingma and Ba 2015).
        muon_rate: peak rate of Muon (Jordan et al. 2024) for the weight matrices, while Adam trains the
            vectors; 0 for Adam alone.
        adam_epsilon: term that Adam adds to the root mean square of the gradient before it divides by it.
        decay: ``"cosine"`` (Loshchilov and Hutter 2017) or ``"linear"``.
        final_rate: learning rate at the end of the decay, as a fraction of the peak.
        warmup_steps: steps over which the rate rises linearly from 0.
        clip_norm: largest norm of the gradient.
        report_every: steps between two rows of the history; each row also writes a checkpoint.
        validation_size: signals of the fixed validation batch, drawn from the stage with the most
            components (the last such stage).

    Raises:
        ValueError: a setting is out of range or of the wrong type.
    """

    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.002
    muon_rate: float = 0.0
    adam_epsilon: float = 1e-8
    decay: str = "cosine"
    final_rate: float = 0.01
    warmup_steps: int = 100
    clip_norm: float = 1.0
    report_every: int = 100
    validation_size: int = 1000

    def __post_init__(self):
        checks: dict[Callable, tuple[str, ...]] = {
            partial(check_whole, maximum=_MOST): ("batch_size", "report_every", "validation_size"),
            partial(check_whole, minimum=0): ("warmup_steps",),
            partial(check_whole, minimum=None): ("seed",),
            check_positive: ("learning_rate", "adam_epsilon", "clip_norm"),
            check_weight: ("muon_rate",),
            check_probability: ("final_rate",),
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


class _Specification:
    """The common base of runs and studies: a network that can be built, and a description with a fingerprint."""

    network: type[nn.Module] | str  # the class, once it is checked
    settings: Mapping

    def _read_network(self) -> None:
        """Check class and settings, and replace the settings by all arguments of the class, as plain data."""
        kind = network_class(self.network) if isinstance(self.network, str) else self.network
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(f"network must be the name or the class of a torch module, got {describe(self.network)}")
        object.__setattr__(self, "network", kind)
        object.__setattr__(self, "settings", _arguments(kind, self.settings))

    def build(self) -> nn.Module:
        """A new network; the global random stream does not change."""
        with torch.random.fork_rng(devices=[]):
            return cast(type[nn.Module], self.network)(**self.settings)

    def _describe(self, **data) -> dict:
        """The network and ``data`` as plain data, with the fingerprint of both."""
        description = {
            "network": {"class": cast(type[nn.Module], self.network).__name__, "settings": self.settings},
            **data,
        }
        return json.loads(json.dumps(description)) | {"fingerprint": fingerprint_of(description)}

    @property
    def description(self) -> dict:
        """The training as plain data, with its fingerprint: the content of ``config.json``."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """A hash of the description: equal trainings have equal fingerprints."""
        return self.description["fingerprint"]


@dataclass(frozen=True)
class Run(_Specification):
    """A network and everything that its training by ``train`` depends on; equal runs end with equal weights.

    Attributes:
        network: the class, or the name of a class of this library. It has ``loss(batch)``, a scalar. ``train``
            builds the network in single precision and draws its weights from ``config.seed``.
        stages: the curriculum, one ``Stage`` after the other.
        config: the configuration of the optimiser.
        settings: the arguments of the class; missing ones get their default values.

    Raises:
        ValueError: the network cannot be trained, there is no stage, or the network cannot be trained on a stage.

    Example:
        >>> run = Run("SmallLSTM", (Stage(HarmonicProcess((3, 6)), steps=10),), TrainingConfig(), {"hidden": 16})
        >>> run.settings, run.steps
        ({'hidden': 16}, 10)
    """

    network: type[nn.Module] | str
    stages: tuple[Stage, ...]
    config: TrainingConfig
    settings: Mapping = field(default_factory=dict, hash=False)

    def __post_init__(self):
        self._read_network()
        check_kind("stages", self.stages, tuple, "a tuple of Stage")
        if not self.stages:
            raise ValueError("expected at least one stage, got none")
        for stage in self.stages:
            check_kind("each of stages", stage, Stage, "a Stage")
        check_kind("config", self.config, TrainingConfig, "a TrainingConfig")
        _check_trainable(self.build(), self.stages)

    @cached_property
    def description(self) -> dict:
        """The run as plain data, with its fingerprint: what ``config.json`` holds."""
        return self._describe(stages=[asdict(stage) for stage in self.stages], training=asdict(self.config))

    @property
    def steps(self) -> int:
        """Gradient steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @classmethod
    def rebuild(cls, description: dict) -> "Run":
        """The run that ``description`` describes.

        Raises:
            ValueError: a run of a notebook's own network, a study, or what describes neither.
        """
        try:
            kind, settings = network_class(description["network"]["class"]), description["network"]["settings"]
            stages = tuple(Stage(**one | {"process": _to_process(one["process"])}) for one in description["stages"])
            return cls(kind, stages, TrainingConfig(**description["training"]), settings)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"expected the description of a Run, got {describe(description)} ({error})") from error

    def with_seed(self, seed: int) -> "Run":
        """The same run from another seed."""
        return replace(self, config=replace(self.config, seed=seed))


@dataclass(frozen=True)
class Study(_Specification):
    """A training with its own loop: another optimiser, another loss, epochs, L-BFGS.

    Attributes:
        network: the class that is trained.
        steps: ``steps(study, state)`` is a generator of training steps; see ``loop.Steps``.
        training: everything else that the steps depend on, as plain data.
        settings: the arguments of the class.
        seed: of all random streams.

    Raises:
        ValueError: an argument is of the wrong type.
    """

    network: type[nn.Module] | str
    steps: Callable[["Study", dict | None], Generator[tuple[dict, dict], None, None]]
    training: Mapping = field(hash=False)
    settings: Mapping = field(default_factory=dict, hash=False)
    seed: int = 0

    def __post_init__(self):
        self._read_network()
        check_function("steps", self.steps)
        object.__setattr__(self, "training", _to_plain("training", self.training))
        object.__setattr__(self, "seed", check_whole("seed", self.seed, minimum=None))

    @cached_property
    def description(self) -> dict:
        """The study as plain data, with its fingerprint: what ``config.json`` holds."""
        return self._describe(training={**self.training, "seed": self.seed})

    def with_seed(self, seed: int) -> "Study":
        """The same study from another seed."""
        return replace(self, seed=seed)


def _arguments(kind: type, settings: Mapping) -> dict:
    """All arguments of a class by name, as plain data: ``settings`` and the default values of the others."""
    plain = _to_plain("settings", settings)
    parameters = inspect.signature(kind).parameters
    try:
        bound = inspect.signature(kind).bind(**plain)
    except TypeError as error:
        raise ValueError(f"settings must be the arguments of {kind.__name__}: {error}") from error
    named = {name: p.default for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    rest = {name: value for name, value in plain.items() if name not in named}
    full = _to_plain("settings", {name: bound.arguments.get(name, default) for name, default in named.items()} | rest)
    # One spelling for numbers, so that equal settings have equal fingerprints.
    whole = {name for name, default in named.items() if isinstance(default, float) and type(full[name]) is int}
    return {name: float(value) if name in whole else value for name, value in full.items()}


def _to_plain(name: str, data: Mapping) -> dict:
    """Data as JSON represents them: numbers of NumPy and PyTorch become Python's, tuples become lists."""
    check_kind(name, data, Mapping, "a mapping from names to values")
    try:
        return json.loads(json.dumps(dict(data), default=lambda value: value.item(), allow_nan=False))
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{name} must be plain data (numbers, text, lists), got {describe(dict(data))}") from error


def _check_trainable(network: nn.Module, stages: tuple[Stage, ...]) -> None:
    """Raise ``ValueError`` for a network that cannot be trained on these stages."""
    name = type(network).__name__
    loss, check_stage = getattr(network, "loss", None), getattr(network, "check_stage", None)
    if not callable(loss):
        raise ValueError(f"network must have a method loss(batch), but {name} has none")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"network must have weights to train, but {name} has none")
    fixed = getattr(network, "lookback", None)
    for stage in stages:
        if fixed not in (None, stage.lookback):
            raise ValueError(f"expected stages with the network's lookback of {fixed}, got {stage.lookback}")
        if stage.teacher_forcing and not _accepts(loss, "teacher_forcing"):
            raise ValueError(
                f"expected stages without teacher_forcing, which the loss of {name} does not take, "
                f"got {stage.teacher_forcing}"
            )
        if callable(check_stage):
            check_stage(stage)


def _accepts(function: Callable, option: str) -> bool:
    parameters = inspect.signature(function).parameters
    return option in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _to_process(process: dict | list) -> HarmonicProcess | tuple[HarmonicProcess, ...]:
    if isinstance(process, list):
        return tuple(HarmonicProcess(**one) for one in process)
    return HarmonicProcess(**process)


def fingerprint_of(description: dict) -> str:
    """A hash of plain data, twelve hexadecimal digits, that does not depend on the order of keys."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


_Training = TypeVar("_Training", Run, Study)


def seeded(name: str, run: _Training, seeds: int) -> dict[str, _Training]:
    """Copies of a run or study with the seeds 0, 1, …, by name: ``name``, ``name_seed1``, …

    Raises:
        ValueError: the name or the run is of the wrong type, or there is less than one seed.

    Example:
        >>> run = Run("SmallLSTM", (Stage(HarmonicProcess((3, 6)), steps=10),), TrainingConfig())
        >>> list(seeded("small", run, seeds=2))
        ['small', 'small_seed1']
    """
    check_name(name)
    check_kind("run", run, (Run, Study), "a Run or a Study")
    seeds = check_whole("seeds", seeds, maximum=1000)
    return {f"{name}_seed{seed}" if seed else name: run.with_seed(seed) for seed in range(seeds)}
