"""Frozen test sets, squared errors by step, intervals by the bootstrap, and one grid for every method."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from scipy.stats import bootstrap
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from harmonics_lib.classical import Forecaster, UnstableForecast
from harmonics_lib.signals import HarmonicProcess, SignalBatch, random_stream


@dataclass(frozen=True)
class FrozenSet:
    """A test set that never changes: the same signals on every machine, in double precision.

    Args:
        process: the distribution.
        size: number of signals.
        lookback, horizon: samples that are seen, and predicted at the most.
        name: of its random stream; sets that differ in their noise only have the same clean signals.
    """

    name: str
    process: HarmonicProcess
    size: int = 5000
    lookback: int = 100
    horizon: int = 50

    def batch(self) -> SignalBatch:
        """The signals, (size, lookback + horizon)."""
        return _draw(self)


@lru_cache(maxsize=4)
def _draw(test: FrozenSet) -> SignalBatch:
    generator = random_stream(0, f"frozen set {test.name}")
    return test.process.sample(
        test.size, test.lookback + test.horizon, test.lookback, generator=generator, dtype=torch.float64
    )


#: The published test sets, by name.
FROZEN_SETS = {
    test.name: test
    for test in (
        FrozenSet("mixtures_3_6", HarmonicProcess((3, 6), (2, 99))),
        FrozenSet("mixtures_1_45", HarmonicProcess((1, 45), (10, 99))),
        FrozenSet("mixtures_1_45_short_periods", HarmonicProcess((1, 45), (2, 99))),
    )
}


@dataclass(frozen=True)
class Score:
    """Squared errors of one forecaster on one test set.

    Attributes:
        errors: (B, H) squared error against the clean continuation.
        power: mean square of the clean continuation.
    """

    errors: np.ndarray = field(repr=False)
    power: float

    @property
    def mse(self) -> float:
        """Mean over signals and steps, in units of the squared lookback peak."""
        return float(self.errors.mean())

    @property
    def by_step(self) -> np.ndarray:
        """(H,) mean over signals."""
        return self.errors.mean(axis=0)

    @property
    def nmse_db(self) -> float:
        """Mean squared error relative to the power of what is predicted, in dB."""
        return float(10 * np.log10(max(self.mse, np.finfo(float).tiny) / self.power))

    def interval(self, by_step: bool = False) -> tuple:
        """95 % bootstrap interval over signals, of the mean or, (H,) each, of the mean at every step."""
        return bootstrap_interval(self.errors if by_step else self.errors.mean(axis=1))


def score(forecaster: Forecaster, test: FrozenSet, horizon: int) -> Score:
    """Forecast the first ``horizon`` samples after the lookback of every signal in ``test``.

    Raises:
        ValueError: a horizon beyond the test set's, or a forecast of the wrong shape.
    """
    if not 1 <= horizon <= test.horizon:
        raise ValueError(f"horizon must be between 1 and {test.horizon} for {test.name}, got {horizon}")
    batch = test.batch()
    with torch.no_grad():
        forecast = forecaster(batch.past.clone(), horizon)  # a forecaster may write into what it is given
    truth = batch.future[:, :horizon]
    if forecast.shape != truth.shape:
        raise ValueError(f"a forecaster must return shape {tuple(truth.shape)}, got {tuple(forecast.shape)}")
    return Score(((forecast - truth) ** 2).numpy(), float(truth.square().mean()))


def bootstrap_interval(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000) -> tuple:
    """Percentile bootstrap interval (low, high) of the mean of ``samples`` (B, …) over B (Efron 1979)."""
    result = bootstrap(
        (samples,),
        np.mean,
        axis=0,
        n_resamples=resamples,
        batch=50,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return (float(low), float(high)) if samples.ndim == 1 else (low, high)


@dataclass(frozen=True)
class Grid:
    """The cells on which every method is compared: numbers of components, levels of noise, kinds of periods.

    Cells that differ in noise only hold the same clean signals, so that what noise costs is seen signal by signal.
    """

    components: tuple[int, ...] = (1, 2, 5, 10, 20, 45)
    noise_std: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3)
    integer_periods: tuple[bool, ...] = (True, False)
    periods: tuple[float, float] = (2, 99)
    size: int = 1000
    lookback: int = 100
    horizon: int = 50

    def cells(self) -> dict[tuple[int, float, str], FrozenSet]:
        """The test sets by (components, noise_std, "whole" or "any" periods)."""
        return {
            (count, noise, "whole" if integer else "any"): FrozenSet(
                f"grid, {count} components, {'whole' if integer else 'any'} periods",
                HarmonicProcess(count, self.periods, integer, noise),
                self.size,
                self.lookback,
                self.horizon,
            )
            for integer in self.integer_periods
            for count in self.components
            for noise in self.noise_std
        }


#: Steps that the table of the grid has one by one, and horizons over which it has the mean of all steps.
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)
HORIZONS = (5, 10, 20, 50)
_CELL = ["components", "noise_std", "periods"]
_PROBE = 2  # signals a cell that tell whether a method still forecasts as it did


def evaluate(
    forecasters: Mapping[str, Forecaster],
    grid: Grid | None = None,
    known: pd.DataFrame | None = None,
    oracles: Mapping[str, Callable[[SignalBatch], Forecaster]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Score every forecaster on every cell of the grid, against the clean continuation.

    What ``known`` has of a method and a cell is kept, if the method still forecasts the first two
    signals of the cell as it did then; so a method is added by one call, and a method that
    changed is scored anew. Rows of methods and cells that are not asked for are kept as they are.

    Args:
        forecasters: by name.
        grid: the published one unless given.
        known: an earlier table.
        oracles: methods that are shown the truth: functions of a cell's batch that return its forecaster.
        progress: show a bar.

    Returns:
        A row for each method, cell, and range of steps ``first`` to ``last``: ``mse`` with its 95 %
        bootstrap interval (``low``, ``high``) over signals, ``median``, ``nmse_db``; for the cell,
        the number of ``unstable`` forecasts, ``ms`` and ``kilobytes`` (peak of working memory) per
        forecast on the machine that scored it, and ``probe``, by which a change is noticed.

    Raises:
        ValueError: a forecast of the wrong shape or that is not finite.
    """
    grid = grid or Grid()
    makers = {name: lambda batch, method=method: method for name, method in forecasters.items()} | dict(oracles or {})
    jobs = [(cell, test, name) for cell, test in grid.cells().items() for name in makers]
    old = {} if known is None else dict(list(known.groupby(["method", *_CELL])))
    parts = [rows for key, rows in old.items() if key not in {(name, *cell) for cell, _, name in jobs}]
    for cell, test, name in tqdm(jobs, disable=not progress, desc="grid"):
        probe = _probe(makers[name], test)
        rows = old.get((name, *cell))
        if rows is None or not _same(probe, rows["probe"].iloc[0]):
            rows = _score_cell(makers[name], test).assign(probe=probe)
            rows = _four_digits(rows.assign(method=name, **dict(zip(_CELL, cell, strict=True))))
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True)
    order = ["method", *_CELL, "first", "last"]
    columns = [*order, "mse", "low", "high", "median", "nmse_db", "unstable", "ms", "kilobytes", "probe"]
    return table[columns].sort_values(order, ignore_index=True)


def _probe(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> float:
    """The mean squared error over the first signals of a test set."""
    batch = test.batch()[:_PROBE]
    return float((_forecast(maker(batch), batch, test.horizon)[0] - batch.future).square().mean())


def _same(error: float, before: float) -> bool:
    """Within 1 %; below 1e-6, where rounding has its say and differs between processors, within a factor of 30."""
    low, high = sorted((max(error, 1e-12), max(before, 1e-12)))
    return high / low < (30 if high < 1e-6 else 1.01)


def _forecast(forecaster: Forecaster, batch: SignalBatch, horizon: int) -> tuple[torch.Tensor, int]:
    """The forecasts of a batch, and how many of them were unstable."""
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always", UnstableForecast)
        forecast = forecaster(batch.past.clone(), horizon)
    expected = (len(batch), horizon)
    if forecast.shape != expected:
        raise ValueError(f"a forecaster must return shape {expected}, got {tuple(forecast.shape)}")
    if not torch.isfinite(forecast).all():
        raise ValueError(f"a forecast must be finite, got {int((~torch.isfinite(forecast)).sum())} values that are not")
    unstable = [w.message.count for w in caught if isinstance(w.message, UnstableForecast)]
    for other in (w.message for w in caught if not isinstance(w.message, UnstableForecast)):
        warnings.warn(other, stacklevel=3)
    return forecast, sum(unstable)


def _score_cell(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> pd.DataFrame:
    batch = test.batch()
    forecaster = maker(batch)
    start = time.perf_counter()
    forecast, unstable = _forecast(forecaster, batch, test.horizon)
    seconds = time.perf_counter() - start
    errors = (forecast - batch.future).square().numpy()
    power = batch.future.square().numpy().mean(axis=0)
    spans = [(h, h) for h in STEPS if h <= test.horizon] + [(1, h) for h in HORIZONS if h <= test.horizon]
    samples = np.stack([errors[:, first - 1 : last].mean(axis=1) for first, last in spans], axis=1)  # (B, spans)
    low, high = bootstrap_interval(samples)
    mse = samples.mean(axis=0)
    expected = np.array([power[first - 1 : last].mean() for first, last in spans])
    table = pd.DataFrame(spans, columns=["first", "last"])
    return table.assign(
        mse=mse,
        low=low,
        high=high,
        median=np.median(samples, axis=0),
        nmse_db=10 * np.log10(np.maximum(mse, np.finfo(float).tiny) / expected),
        unstable=unstable,
        ms=1000 * seconds / len(batch),
        kilobytes=_working_memory(maker, batch[:64], test.horizon) / len(batch[:64]) / 1000,
    )


def _working_memory(maker: Callable[[SignalBatch], Forecaster], batch: SignalBatch, horizon: int) -> float:
    """Peak of the bytes that tensors occupy while a batch is forecast, beyond those before it."""
    forecaster = maker(batch)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        _forecast(forecaster, batch, horizon)
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return float(np.cumsum([0, *changes]).max())


def _four_digits(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the published table has them, so that a table is the same before and after it was saved."""
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: [float(f"{value:.4g}") for value in table[name]] for name in numbers})
