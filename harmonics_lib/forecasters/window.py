"""A batch of windows in one scaling, and what is known of it: each analysis is made once, however many methods ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar, cast

import torch
from torch import Tensor

_Result = TypeVar("_Result")


class Window:
    """Windows of peak 1, from which every method forecasts.

    Attributes:
        x: (B, N) samples.
        unit: (B, 1) what 1 stands for, in the unit of the lookback, in double precision.
        level: (B, 1) what was taken out of ``x``; 0 unless the windows are ``centred``.
    """

    def __init__(self, x: Tensor, unit: Tensor, level: Tensor | None = None):
        self.x, self.unit = x, unit
        self.level = x.new_zeros(len(x), 1) if level is None else level
        self._known: dict[tuple, object] = {}

    @classmethod
    def of(cls, lookback: Tensor, dtype: torch.dtype = torch.float64) -> Window:
        """Windows (B, N) of any unit, divided by their peaks; those of nothing but zeros stay as they are."""
        samples = lookback.detach().double()
        peak = samples.abs().amax(dim=1, keepdim=True)
        unit = torch.where(peak > 0, peak, 1.0)
        return cls((samples / unit).to(dtype), unit)

    def once(self, analysis: Callable[..., _Result], *settings) -> _Result:
        """``analysis(x, *settings)``, computed the first time that it is asked for."""
        key = (analysis, *settings)
        if key not in self._known:
            self._known[key] = analysis(self.x, *settings)
        return cast(_Result, self._known[key])

    @cached_property
    def peak(self) -> Tensor:
        """(B, 1) largest absolute sample: 1, unless something was taken out or the window is nothing but zeros."""
        return self.x.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(self.x.dtype).tiny)

    def centred(self) -> Window:
        """The windows without their means."""
        level = self.x.mean(dim=1, keepdim=True)
        return Window(self.x - level, self.unit, self.level + level)

    def minus(self, part: Tensor) -> Window:
        """What is left of the windows without a part (B, N)."""
        return Window(self.x - part, self.unit, self.level)

    def recent(self, count: int) -> Window:
        """The last ``count`` samples of each window."""
        return self if self.x.shape[1] <= count else Window(self.x[:, -count:], self.unit, self.level)

    def split(self, count: int) -> list[Window]:
        """``count`` windows at a time."""
        places = torch.arange(len(self.x), device=self.x.device)
        return [self[part] for part in places.split(count)]

    def __getitem__(self, rows: Tensor) -> Window:
        """The windows in these rows, with what is known of each: the results that are tensors (B, …)."""
        part = Window(self.x[rows], self.unit[rows], self.level[rows])
        part._known = {key: value[rows] for key, value in self._known.items() if isinstance(value, Tensor)}
        return part

    def __len__(self) -> int:
        return len(self.x)
