"""Ten worlds that break the assumptions of the report's methods, and the errors of methods in each. Five minutes."""

import math
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from experiments.keys import key
from experiments.table import Table
from harmonics_lib.forecasters.registry import Given, build
from harmonics_lib.signals.process import HarmonicProcess, random_stream

LOOKBACK, HORIZON, WINDOWS = 100, 24, 200
METHODS = (
    "persistence",
    "linear prediction",
    "linear prediction, differences",
    "Burg",
    "nonlinear least squares",
    "linear MMSE, any period",
    "sparse Bayesian",
    "sparse Bayesian, any period",
    "sparse Bayesian, long periods, level",
    "lines with width",
    "auto",
    "auto, given nothing",
)


def _base(generator: torch.Generator, **changes) -> Tensor:
    """(B, T) sums of up to 10 sinusoids of any period from 2 to 99 samples; their peak over the lookback is 1."""
    settings = {"components": (1, 10), "periods": (2, 99), "integer_periods": False} | changes
    process = HarmonicProcess(**settings)
    return process.sample(WINDOWS, LOOKBACK + HORIZON, LOOKBACK, generator=generator, dtype=torch.float64).clean


def _normal(generator: torch.Generator) -> Tensor:
    return torch.randn(WINDOWS, LOOKBACK + HORIZON, generator=generator, dtype=torch.float64)


def _waves(generator: torch.Generator, angle: Callable[[Tensor, Tensor], Tensor], ends=(1 / 99, 1 / 2)) -> Tensor:
    """(B, T) sums of 5 sinusoids with the phase ``angle(frequency, time)`` / 2 pi beside a random one."""
    draw = torch.rand(3, WINDOWS, 5, 1, generator=generator, dtype=torch.float64)
    frequency, time = ends[0] + (ends[1] - ends[0]) * draw[0], torch.arange(LOOKBACK + HORIZON)
    return (draw[1] * torch.sin(2 * math.pi * (angle(frequency, time) + draw[2]))).sum(dim=1)


def _damped(generator: torch.Generator) -> Tensor:
    return _base(generator) * torch.exp(-torch.arange(LOOKBACK + HORIZON, dtype=torch.float64) / LOOKBACK)


def _chirped(generator: torch.Generator) -> Tensor:
    """Frequencies rise by half a cycle over a window, in the square of the time."""
    return _waves(generator, lambda frequency, time: frequency * time + 0.25 * (time / LOOKBACK) ** 2)


def _half_of_the_band(generator: torch.Generator) -> Tensor:
    return _waves(generator, lambda frequency, time: frequency * time, ends=(0.25, 0.5))


def _step(generator: torch.Generator) -> Tensor:
    """A level of twice the peak from a random sample of the middle half of the window on."""
    place = LOOKBACK * (0.25 + 0.5 * torch.rand(WINDOWS, 1, generator=generator))
    return _base(generator) + 2.0 * (torch.arange(LOOKBACK + HORIZON) >= place)


def _coloured(generator: torch.Generator) -> Tensor:
    """First-order autoregressive noise of variance 1 and memory 0.9."""
    shocks = _normal(generator) * math.sqrt(1 - 0.9**2)
    noise = [_normal(generator)[:, 0]]
    for shock in shocks.T[1:]:
        noise.append(0.9 * noise[-1] + shock)
    return torch.stack(noise, dim=1)


def _heavy(generator: torch.Generator) -> Tensor:
    """Student noise of three degrees of freedom and variance 1."""
    squares = torch.stack([_normal(generator).square() for _ in range(3)]).sum(dim=0)
    return _normal(generator) / squares.sqrt()


#: For each world its clean signals and its noise of variance 1, (B, T) each.
WORLDS: dict[str, tuple[Callable[[torch.Generator], Tensor], Callable[[torch.Generator], Tensor]]] = {
    "uniform in frequency": (lambda g: _base(g, uniform="frequency"), _normal),
    "periods 2 to 200": (lambda g: _base(g, periods=(2, 200)), _normal),
    "damped": (_damped, _normal),
    "chirped": (_chirped, _normal),
    "coloured noise": (_base, _coloured),
    "heavy tails": (_base, _heavy),
    "60 components": (lambda g: _base(g, components=60), _normal),
    "a level": (lambda g: _base(g) + 1.0, _normal),
    "a step": (_step, _normal),
    "half of the band": (_half_of_the_band, _normal),
}
NOISE = 0.1  # in units of the clean lookback's peak


def windows(world: str, stream: str = "ten worlds") -> tuple[Tensor, Tensor]:
    """(B, 100) noisy windows of a world, and their (B, 24) clean continuations; the clean windows have a peak of 1."""
    signal, noise = WORLDS[world]
    generator = random_stream(0, f"{stream}: {world}")
    clean = signal(generator)
    clean = clean / clean[:, :LOOKBACK].abs().amax(dim=1, keepdim=True)
    observed = clean + NOISE * noise(generator)
    return observed[:, :LOOKBACK], clean[:, LOOKBACK:]


def errors(method: str, world: str) -> pd.DataFrame:
    """A row for each window: the mean squared error of 24 steps. Methods that are given a range have 2 to 99 samples.

    ``auto`` and ``sparse Bayesian`` are given whole periods, which no world has.
    """
    past, future = windows(world)
    forecast = build(method, Given(HarmonicProcess((1, 45), (2, 99))))(past, HORIZON)
    return pd.DataFrame({"window": range(WINDOWS), "error": (forecast - future).square().mean(dim=1).numpy()})


def tables() -> list[tuple]:
    """The table ``worlds``, the keys of its parts, and how a part is computed."""
    given = Given(HarmonicProcess((1, 45), (2, 99)))
    keys = {
        (method, world): key(errors, windows, parts, build(method, given))
        for method in METHODS
        for world, parts in WORLDS.items()
    }
    return [(Table("worlds", ["method", "world"]), keys, errors)]
