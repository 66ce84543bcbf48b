"""``Window``: a batch of windows of peak 1, with cached analyses that several methods share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar, cast

import torch
from torch import Tensor

_Result = TypeVar("_Result")


class Window:
    """Windows of peak 1, the input of every method.

    Attributes:
        x: (B, N) samples.
        unit: (B, 1) scale of ``x`` in the unit of the lookback, in double precision.
        level: (B, 1) mean that was subtracted from ``x``; 0 unless the windows are ``centred``.
    """

    def __init__(self, x: Tensor, unit: Tensor, level: Tensor | None = None):
        self.x, self.unit = x, unit
        self.level = x.new_zeros(len(x), 1) if level is None else level
        self._known: dict[tuple, object] = {}

    @classmethod
    def of(cls, lookback: Tensor, dtype: torch.dtype = torch.float64) -> Window:
        """Windows (B, N) of any unit, divided by their peaks; windows of zeros are not scaled."""
        samples = lookback.detach().double()
        peak = samples.abs().amax(dim=1, keepdim=True)
        unit = torch.where(peak > 0, peak, 1.0)
        return cls((samples / unit).to(dtype), unit)

    def once(self, analysis: Callable[..., _Result], *settings) -> _Result:
        """``analysis(x, *settings)``, computed once and cached."""
        key = (analysis, *settings)
        if key not in self._known:
            self._known[key] = analysis(self.x, *settings)
        return cast(_Result, self._known[key])

    @cached_property
    def peak(self) -> Tensor:
        """(B, 1) largest absolute sample: 1 unless a part was subtracted or the window is zero."""
        return self.x.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(self.x.dtype).tiny)

    def centred(self) -> Window:
        """The windows without their means."""
        level = self.x.mean(dim=1, keepdim=True)
        return Window(self.x - level, self.unit, self.level + level)

    def minus(self, part: Tensor) -> Window:
        """The windows minus a part (B, N)."""
        return Window(self.x - part, self.unit, self.level)

    def recent(self, count: int) -> Window:
        """The last ``count`` samples of each window."""
        return self if self.x.shape[1] <= count else Window(self.x[:, -count:], self.unit, self.level)

    def split(self, count: int) -> list[Window]:
        """Parts of the batch with ``count`` windows each."""
        places = torch.arange(len(self.x), device=self.x.device)
        return [self[part] for part in places.split(count)]

    def __getitem__(self, rows: Tensor) -> Window:
        """The windows in these rows, with their cached analyses if these are tensors (B, …)."""
        part = Window(self.x[rows], self.unit[rows], self.level[rows])
        part._known = {key: value[rows] for key, value in self._known.items() if isinstance(value, Tensor)}
        return part

    def __len__(self) -> int:
        return len(self.x)
