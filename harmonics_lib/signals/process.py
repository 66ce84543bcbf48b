"""Random sums of sinusoids: the distribution on which the report evaluates every forecaster.

Conventions of the whole library: sample rate 1, frequencies in cycles per sample, periods in
samples, angles in radians, batches as ``(B, N)`` tensors.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from harmonics_lib.arguments import (
    check_choice,
    check_device,
    check_flag,
    check_kind,
    check_positive,
    check_range,
    check_whole,
    describe,
)

_MOST_COMPONENTS, _LONGEST_PERIOD, _LONGEST_WHOLE_PERIOD = 10_000, 1e9, 100_000
_LARGEST_NOISE = 1e6  # standard deviation, in peaks of the clean lookback
_MOST_NUMBERS = 10**9  # in one table: 8 GB
_SMALLEST_SPACING = 1e-8  # of the cells of a prior, in cycles per sample


def random_stream(seed: int, purpose: str, device: str | torch.device = "cpu") -> torch.Generator:
    """A random generator for one purpose ("data", "initialisation", …), independent of all other purposes.

    The same ``seed`` and ``purpose`` give the same stream. Streams of two purposes, or of two
    seeds, are independent, because the generator is seeded by a hash of both.

    Raises:
        ValueError: the seed is not a whole number, the purpose is not text, or this machine lacks the device.
    """
    seed, device = check_whole("seed", seed, minimum=None), check_device(device)
    check_kind("purpose", purpose, str, "a text")
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True, eq=False)  # tensors have no single answer to ==
class SignalBatch:
    """B signals, with and without noise, and the parameters of their sinusoids.

    Attributes:
        observed: (B, length) the clean signal plus noise; its first ``lookback`` samples are a forecaster's input.
        clean: (B, length), the sum of sinusoids; the peak of its first ``lookback`` samples is 1.
        amplitudes: (B, K) after scaling; unused slots are 0. K is the largest component count.
        periods: (B, K) in samples.
        phases: (B, K) in radians; ``clean[:, t]`` is the sum of ``a sin(2 pi t / period + phase)``.
        noise_std: (B,) standard deviation of the noise, in units of the clean lookback peak.
        peak: (B,) peak of the lookback window before scaling; ``amplitudes * peak`` sum to one.
        lookback: number of samples that a forecaster is given.

    Raises:
        ValueError: a tensor has another shape, or the lookback is longer than the signals.
    """

    observed: Tensor
    clean: Tensor
    amplitudes: Tensor
    periods: Tensor
    phases: Tensor
    noise_std: Tensor
    peak: Tensor
    lookback: int

    def __post_init__(self):
        for name, ndim in (("observed", 2), ("amplitudes", 2), ("noise_std", 1)):
            tensor = getattr(self, name)
            if not isinstance(tensor, Tensor) or tensor.ndim != ndim:
                raise ValueError(f"{name} must be a torch tensor of {ndim} dimension(s), got {describe(tensor)}")
        (count, length), slots = self.observed.shape, self.amplitudes.shape[1]
        shapes = {name: (count, length) for name in ("observed", "clean")}
        shapes |= {name: (count, slots) for name in ("amplitudes", "periods", "phases")}
        for name, shape in (shapes | {"noise_std": (count,), "peak": (count,)}).items():
            tensor = getattr(self, name)
            if not isinstance(tensor, Tensor) or tensor.shape != shape:
                raise ValueError(f"{name} must be a torch tensor of shape {shape}, got {describe(tensor)}")
        check_whole("lookback", self.lookback, maximum=length)

    def __len__(self) -> int:
        return self.observed.shape[0]

    @property
    def past(self) -> Tensor:
        """(B, lookback) noisy samples: the input of a forecaster."""
        return self.observed[:, : self.lookback]

    @property
    def future(self) -> Tensor:
        """(B, length - lookback) clean samples: the target of a forecaster."""
        return self.clean[:, self.lookback :]

    @classmethod
    def concatenate(cls, batches: Sequence["SignalBatch"]) -> "SignalBatch":
        """One batch with the signals of several batches of the same lookback and length.

        Raises:
            ValueError: there are no batches, or their lookbacks or lengths differ.
        """
        batches = batches if isinstance(batches, (list, tuple)) else [batches]  # type: ignore[list-item]  # a batch
        if not batches or not all(isinstance(batch, cls) for batch in batches):
            raise ValueError(f"batches must be a list of at least one SignalBatch, got {describe(batches)}")
        if len(sizes := {(batch.observed.shape[1], batch.lookback) for batch in batches}) > 1:
            raise ValueError(f"batches must have one length and lookback, got {sorted(sizes)}")
        if len(batches) == 1:
            return batches[0]
        slots = max(batch.amplitudes.shape[1] for batch in batches)
        tensors = {}
        for name in (field.name for field in fields(cls) if field.name != "lookback"):
            parts = [getattr(batch, name) for batch in batches]
            if name in ("amplitudes", "periods", "phases"):  # unused slots: amplitude 0, period 1
                parts = [pad(part, (0, slots - part.shape[1]), value=float(name == "periods")) for part in parts]
            tensors[name] = torch.cat(parts)
        return replace(batches[0], **tensors)

    def __getitem__(self, rows) -> "SignalBatch":
        """The signals that ``rows`` (a slice, index tensor or mask) selects, as a batch.

        Raises:
            ValueError: ``rows`` are of another kind, or beyond the batch.
        """
        check_kind("rows", rows, (slice, Tensor, np.ndarray), "a slice, an index tensor or a mask")
        try:
            chosen = torch.arange(len(self), device=self.observed.device)[rows]
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"rows must select among {len(self)} signals, got {describe(rows)}") from error
        if chosen.ndim != 1:
            raise ValueError(f"rows must be of one dimension, got {describe(rows)}")
        tensors = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "lookback"}
        return replace(self, **tensors)


@dataclass(frozen=True)
class HarmonicProcess:
    """A distribution over sums of sinusoids.

    The number of components is uniform on ``components``. Periods are uniform on ``periods``
    (whole numbers if ``integer_periods``), or their frequencies are uniform between the same
    ends. Phases are uniform on [0, 2 pi). Amplitudes are uniform on (0, 1] and divided by their sum.
    The signal is then divided by the peak of its lookback window.

    Args:
        components: smallest and largest number of components, inclusive; one number for both ends.
        periods: smallest and largest period in samples, inclusive; at least 2 (Nyquist).
        integer_periods: whether periods are whole numbers.
        noise_std: standard deviation of white Gaussian noise in units of the clean peak of the
            lookback window: a number, or a (low, high) range drawn log-uniformly per signal.
        uniform: ``"period"`` or ``"frequency"``: which of the two is drawn uniformly.

    Raises:
        ValueError: a range is empty, out of bounds or of the wrong type.

    Example:
        >>> process = HarmonicProcess(components=(3, 6), periods=(2, 99), noise_std=0.1)
        >>> batch = process.sample(8, length=150, lookback=100, generator=random_stream(0, "data"))
        >>> batch.past.shape, batch.future.shape
        (torch.Size([8, 100]), torch.Size([8, 50]))
    """

    components: tuple[int, int] = (3, 6)
    periods: tuple[float, float] = (2, 99)
    integer_periods: bool = True
    noise_std: tuple[float, float] = (0.0, 0.0)
    uniform: str = "period"

    if TYPE_CHECKING:  # one number is accepted for a range and stored as a range

        def __init__(
            self,
            components: int | tuple[int, int] = (3, 6),
            periods: float | tuple[float, float] = (2, 99),
            integer_periods: bool = True,
            noise_std: float | tuple[float, float] = 0.0,
            uniform: str = "period",
        ): ...

    def __post_init__(self):
        for name in ("components", "periods", "noise_std"):
            object.__setattr__(self, name, check_range(name, getattr(self, name), whole=name == "components"))
        object.__setattr__(self, "integer_periods", check_flag("integer_periods", self.integer_periods))
        # One spelling for whole-number periods, so that equal processes have equal fingerprints.
        object.__setattr__(self, "periods", tuple(int(p) if p == int(p) else p for p in self.periods))
        check_choice("uniform", self.uniform, ("period", "frequency"))
        if self.uniform == "frequency" and self.integer_periods:
            raise ValueError("uniform frequencies have no integer periods: expected integer_periods=False, got True")
        self._check_ends()

    def _check_ends(self) -> None:
        longest = _LONGEST_WHOLE_PERIOD if self.integer_periods else _LONGEST_PERIOD
        if self.integer_periods and any(p != int(p) for p in self.periods):
            raise ValueError(f"integer periods need whole-number bounds, got {self.periods}")
        if not 1 <= self.components[0] <= self.components[1] <= _MOST_COMPONENTS:
            raise ValueError(f"components must be from 1 to {_MOST_COMPONENTS:,}, got {describe(self.components)}")
        if not 2 <= self.periods[0] <= self.periods[1] <= longest:
            raise ValueError(
                f"periods must be from 2 samples (the Nyquist limit) to {longest:,.0f}, got {describe(self.periods)}"
            )
        low, high = self.noise_std
        if low < 0 or (low == 0 < high) or high > _LARGEST_NOISE:
            raise ValueError(
                f"noise_std must be 0 or positive and at most {_LARGEST_NOISE:,.0f}, a range must start above 0, "
                f"got {self.noise_std}"
            )

    def sample(
        self,
        batch_size: int,
        length: int,
        lookback: int,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> SignalBatch:
        """Draw ``batch_size`` signals of ``length`` samples on the generator's device.

        Raises:
            ValueError: sizes are below 1 or beyond memory, the lookback is longer than the signal, the dtype is
                neither ``torch.float32`` nor ``torch.float64``, or the generator is not a ``torch.Generator``.
        """
        batch_size, length, lookback = self._check_sizes(batch_size, length, lookback)
        check_kind("generator", generator, torch.Generator, "a torch.Generator, such as random_stream(0, 'data')")
        if not isinstance(dtype, torch.dtype) or dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be torch.float32 or torch.float64, got {describe(dtype)}")
        amplitudes, periods, phases = self._draw_components(batch_size, generator, dtype)
        if self.integer_periods:
            clean = _synthesise_integer(amplitudes, periods, phases, length, int(self.periods[1]))
        else:
            clean = _synthesise_continuous(amplitudes, periods, phases, length)
        peak = clean[:, :lookback].abs().amax(dim=1).clamp_min(torch.finfo(dtype).tiny)
        clean = clean / peak[:, None]
        noise_std = self._draw_noise_std(batch_size, generator, dtype)
        observed = clean
        if self.noise_std[1] > 0:
            noise = torch.randn(clean.shape, generator=generator, dtype=dtype, device=clean.device)
            observed = clean + noise_std[:, None] * noise
        return SignalBatch(observed, clean, amplitudes / peak[:, None], periods, phases, noise_std, peak, lookback)

    def _check_sizes(self, batch_size: int, length: int, lookback: int) -> tuple[int, int, int]:
        """Batch size, length and lookback as ints, if the tables that ``sample`` needs fit in memory."""
        batch_size, length = check_whole("batch_size", batch_size), check_whole("length", length)
        lookback = check_whole("lookback", lookback)
        if lookback > length:
            raise ValueError(
                f"expected lookback <= length, got lookback={describe(lookback)}, length={describe(length)}"
            )
        rows = max(batch_size, 2 * self.periods[1] if self.integer_periods else 0)
        if rows * max(length, self.components[1]) > _MOST_NUMBERS:
            raise ValueError(
                f"batch_size and length must need at most {_MOST_NUMBERS:,} numbers at once, got "
                f"batch_size={describe(batch_size)}, length={describe(length)} with {self}"
            )
        return batch_size, length, lookback

    def prior(self, spacing: float) -> tuple[Tensor, Tensor]:
        """Frequencies that a component may have, and their probabilities: (P,) each, in double precision.

        Whole-number periods give one frequency each. Continuous periods give cells of equal width in
        frequency, at most ``spacing`` (cycles per sample) wide: the frequency is the centre of the
        cell, the probability its mass under the process.

        Raises:
            ValueError: the spacing is below 1e-8.
        """
        spacing = check_positive("spacing", spacing)
        if spacing < _SMALLEST_SPACING:
            raise ValueError(f"spacing must be at least {_SMALLEST_SPACING:g} cycles per sample, got {spacing:g}")
        low, high = self.periods
        if self.integer_periods or low == high:
            periods = torch.arange(low, high + 1, dtype=torch.float64)
            return 1 / periods, torch.full_like(periods, 1 / len(periods))
        cells = math.ceil((1 / low - 1 / high) / spacing)
        edges = torch.linspace(1 / high, 1 / low, cells + 1, dtype=torch.float64)
        centres = (edges[:-1] + edges[1:]) / 2
        if self.uniform == "frequency":
            return centres, torch.full_like(centres, 1 / cells)
        return centres, (1 / edges[:-1] - 1 / edges[1:]) / (high - low)

    def _draw_components(self, batch_size, generator, dtype):
        fewest, most = self.components
        shape, kind = (batch_size, most), {"generator": generator, "device": generator.device}
        counts = torch.randint(fewest, most + 1, (batch_size, 1), **kind)
        used = torch.arange(most, device=generator.device) < counts
        if self.integer_periods:
            periods = torch.randint(int(self.periods[0]), int(self.periods[1]) + 1, shape, **kind).to(dtype)
        else:
            low, high = self.periods if self.uniform == "period" else (1 / p for p in self.periods)
            draw = low + (high - low) * torch.rand(shape, dtype=dtype, **kind)
            periods = draw if self.uniform == "period" else 1 / draw
        phases = 2 * math.pi * torch.rand(shape, dtype=dtype, **kind)
        amplitudes = (1 - torch.rand(shape, dtype=dtype, **kind)) * used  # (0, 1]: a sum is never 0
        return amplitudes / amplitudes.sum(dim=1, keepdim=True), periods, phases

    def _draw_noise_std(self, batch_size, generator, dtype):
        low, high = self.noise_std
        if low == high:
            return torch.full((batch_size,), low, dtype=dtype, device=generator.device)
        uniform = torch.rand(batch_size, generator=generator, dtype=dtype, device=generator.device)
        return low * (high / low) ** uniform


def check_process(process) -> HarmonicProcess:
    """``process``, if it is a ``HarmonicProcess``."""
    return check_kind("process", process, HarmonicProcess, "a HarmonicProcess")


def _synthesise_integer(amplitudes: Tensor, periods: Tensor, phases: Tensor, length: int, longest: int) -> Tensor:
    """(B, length) sums of sinusoids with whole-number periods, as a product with a fixed table.

    sin(wt + phase) = cos(phase) sin(wt) + sin(phase) cos(wt). A signal is therefore a row of
    coefficients, one sine and one cosine for each possible period, times the table.
    """
    table = _sine_table(longest, length, amplitudes.dtype, amplitudes.device)
    coefficients = amplitudes.new_zeros(len(amplitudes), table.shape[0])  # (B, 2 (longest + 1))
    slots = periods.long()
    coefficients.scatter_add_(1, slots, amplitudes * phases.cos())
    coefficients.scatter_add_(1, slots + longest + 1, amplitudes * phases.sin())
    return coefficients @ table


@lru_cache(maxsize=32)
def _sine_table(longest: int, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2 (longest + 1), length): sin, then cos, of 2 pi t / period for period 0 (unused) to longest."""
    periods = torch.arange(longest + 1).clamp_min(1)[:, None]
    cycles = torch.arange(length) % periods / periods.double()  # exact: t modulo the period
    angles = 2 * math.pi * cycles
    return torch.cat([angles.sin(), angles.cos()]).to(device, dtype)


def _synthesise_continuous(amplitudes: Tensor, periods: Tensor, phases: Tensor, length: int) -> Tensor:
    """(B, length) sums of sinusoids of any period, from (B, K) parameters.

    Time is split as t = stride c + f. The sum of a exp(i (w t + phase)) is then the product of two
    small matrices: the powers of exp(i w stride) and those of exp(i w). Its real part is the signal.
    """
    stride = 16
    omega = 2 * math.pi / periods
    one = torch.ones_like(omega)
    fine = _powers(torch.complex(one, 0 * one), torch.polar(one, omega), stride)
    start = torch.polar(amplitudes, phases - math.pi / 2)  # sin x = cos(x - pi/2)
    coarse = _powers(start, torch.polar(one, stride * omega), math.ceil(length / stride))
    return (coarse @ fine.mT).real.flatten(1)[:, :length]


def _powers(first: Tensor, ratio: Tensor, count: int) -> Tensor:
    """(B, count, K): ``first`` (B, K) times the powers 0, 1, … of ``ratio`` (B, K)."""
    terms = [first]
    for _ in range(count - 1):
        terms.append(terms[-1] * ratio)
    return torch.stack(terms, dim=1)
