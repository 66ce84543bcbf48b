"""Frozen test sets, errors by step, intervals by the bootstrap, and one grid for every method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from tqdm import tqdm

from harmonics_lib.arguments import (
    check_choice,
    check_coverage,
    check_function,
    check_kind,
    check_whole,
    listed,
    shown,
)
from harmonics_lib.forecasting import (
    FARTHEST,
    LIMIT,
    Forecaster,
    ProbabilisticForecaster,
    UnstableForecast,
    central_interval,
    cpu_threads,
)
from harmonics_lib.signals import HarmonicProcess, SignalBatch, check_process, random_stream

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is made: importing it takes half a second


@dataclass(frozen=True)
class FrozenSet:
    """A test set that never changes: the same signals on every machine, in double precision.

    Args:
        process: the distribution.
        size: number of signals.
        lookback, horizon: samples that are seen, and predicted at the most.
        name: of its random stream; sets that differ in their noise only have the same clean signals.

    Raises:
        ValueError: settings out of range or of the wrong type.
    """

    name: str
    process: HarmonicProcess
    size: int = 5000
    lookback: int = 100
    horizon: int = 50

    def __post_init__(self):
        if not check_kind("name", self.name, str, "a text"):
            raise ValueError("name must not be empty, got ''")
        check_process(self.process)
        _set_sizes(self)

    def batch(self) -> SignalBatch:
        """The signals, (size, lookback + horizon)."""
        return _draw(self)


def _set_sizes(test: FrozenSet | Grid) -> None:
    """Size, lookback and horizon of a test set as ints, if they are good."""
    for name, most in (("size", 10**8), ("lookback", 10**6), ("horizon", FARTHEST)):
        object.__setattr__(test, name, check_whole(name, getattr(test, name), maximum=most))


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
        FrozenSet("mixtures_3_6", HarmonicProcess((3, 6), (2, 99)), size=50_000),
        FrozenSet("mixtures_1_45", HarmonicProcess((1, 45), (10, 99)), size=50_000),
        FrozenSet("mixtures_1_45_short_periods", HarmonicProcess((1, 45), (2, 99)), size=50_000),
    )
}


@dataclass(frozen=True)
class Score:
    """Errors of one forecaster on one test set.

    Attributes:
        errors: (B, H) squared error against the clean continuation.
        ranked: (B, H) continuous ranked probability score against the clean continuation.
        power: (H,) mean square of the clean continuation.
        unstable: number of forecasts at or beyond the limit of ``forecasting``, where they are held.
    """

    errors: np.ndarray = field(repr=False)
    ranked: np.ndarray = field(repr=False)
    power: np.ndarray = field(repr=False)
    unstable: int

    @property
    def mse(self) -> float:
        """Mean over signals and steps, in units of the squared lookback peak."""
        return float(self.errors.mean())

    @property
    def crps(self) -> float:
        """Mean continuous ranked probability score over signals and steps, in lookback peaks (see ``normal_crps``)."""
        return float(self.ranked.mean())

    @property
    def by_step(self) -> np.ndarray:
        """(H,) mean over signals."""
        return self.errors.mean(axis=0)

    @property
    def by_signal(self) -> np.ndarray:
        """(B,) mean over steps."""
        return self.errors.mean(axis=1)

    @property
    def nmse_db(self) -> float:
        """Mean squared error relative to the power of what is predicted, in dB."""
        return float(_decibels(self.mse, self.power.mean()))

    def interval(self, by_step: bool = False) -> tuple:
        """95 % bootstrap interval over signals, of the mean or, (H,) each, of the mean at every step."""
        return bootstrap_interval(self.errors if by_step else self.by_signal)


def score(forecaster: Forecaster, test: FrozenSet, horizon: int) -> Score:
    """Forecast the first ``horizon`` samples after the lookback of every signal in ``test``.

    Raises:
        ValueError: what is no forecaster or test set, a horizon beyond the test set's, a forecast of the wrong
            shape or one that is not finite.
    """
    check_function("forecaster", forecaster)
    check_kind("test", test, FrozenSet, "a FrozenSet, such as FROZEN_SETS['mixtures_3_6']")
    horizon = check_whole("horizon", horizon, maximum=test.horizon)
    return _score(forecaster, test.batch(), horizon)


def _score(forecaster: Forecaster, batch: SignalBatch, horizon: int) -> Score:
    forecast, clean = _forecast(forecaster, batch, horizon)
    truth = batch.future[:, :horizon]
    limit = LIMIT * batch.past.abs().amax(dim=1, keepdim=True)
    return Score(
        errors=(forecast.to(truth) - truth).square().numpy(),
        ranked=((forecast - truth).abs() if clean is None else normal_crps(clean, truth)).numpy(),
        power=truth.square().mean(dim=0).numpy(),
        unstable=int((forecast.abs() >= limit).any(dim=1).sum()),
    )


def _forecast(forecaster: Forecaster, batch: SignalBatch, horizon: int) -> tuple[Tensor, Normal | None]:
    """(B, horizon) forecasts of a batch and, of a forecaster that knows it, their distribution."""
    past, clean = batch.past.clone(), None  # a forecaster may write into what it is given
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", UnstableForecast)  # counted instead
        if isinstance(forecaster, ProbabilisticForecaster):
            clean = forecaster.distribution(past, horizon).clean
        forecast = forecaster(past, horizon) if clean is None else clean.mean
    expected = (len(batch), horizon)
    if not isinstance(forecast, Tensor) or forecast.is_complex():
        raise ValueError(f"a forecaster must return a real tensor, got {shown(forecast)}")
    if forecast.shape != expected:
        raise ValueError(f"a forecaster must return shape {expected}, got {tuple(forecast.shape)}")
    if unscored := int((~torch.isfinite(forecast.double().square())).sum()):
        raise ValueError(f"a forecast must be finite, got {unscored} values that are not, or whose squares are not")
    return forecast, clean


def normal_crps(distribution: Normal, truth: Tensor) -> Tensor:
    """Continuous ranked probability score of normal distributions: how far their mass lies from ``truth``.

    The integral of the squared difference of two distribution functions, the forecast's and the
    step at the truth. It is in the unit of the truth, is the absolute error where the forecast is
    a point, and is least on average for one who states the distribution that he believes.

    Args:
        distribution: of any shape, and truth: of the same.

    Raises:
        ValueError: what is no normal distribution, or a truth of another shape or that is not finite.

    Source: Gneiting and Raftery (2007), section 4.2.
    """
    _check_truth(distribution, truth)
    standard = Normal(torch.zeros_like(truth), 1.0)
    distance = truth - distribution.mean
    z = distance / distribution.stddev
    density = standard.log_prob(z).exp()
    ranked = distribution.stddev * (z * (2 * standard.cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return torch.where(z.isinf(), distance.abs(), ranked)  # so many deviations away it is a point


def calibration(distribution: Normal, truth: Tensor, coverages: Sequence[float]) -> np.ndarray:
    """(C,) shares of ``truth`` (B, H) inside the central intervals of these C coverages: equal to them, at best.

    Raises:
        ValueError: as ``normal_crps``; a coverage that is not between 0 and 1.
    """
    _check_truth(distribution, truth)
    try:
        coverages = list(coverages)
    except TypeError as error:
        raise ValueError(f"coverages must be a sequence of numbers, got {shown(coverages)}") from error
    intervals = (central_interval(distribution, coverage) for coverage in coverages)
    return np.array([((low <= truth) & (truth <= high)).double().mean().item() for low, high in intervals])


def _check_truth(distribution: Normal, truth: Tensor) -> None:
    """Raise ``ValueError`` unless these are a normal distribution and a finite tensor of its shape."""
    check_kind("distribution", distribution, Normal, "a torch Normal")
    if not isinstance(truth, Tensor) or not truth.is_floating_point():
        raise ValueError(f"truth must be a floating-point torch tensor, got {shown(truth)}")
    shape = tuple(distribution.batch_shape)
    if shape not in ((), tuple(truth.shape)):
        raise ValueError(f"truth must have the shape {shape} of the distribution, got {tuple(truth.shape)}")
    if not torch.isfinite(truth).all():
        raise ValueError(f"truth must be finite, got NaN or infinity in {int((~torch.isfinite(truth)).sum())} places")


def _decibels(error, power):
    return 10 * np.log10(np.maximum(error, np.finfo(float).tiny) / power)


def bootstrap_interval(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000, block: int = 1) -> tuple:
    """Percentile bootstrap interval (low, high) of the mean of ``samples`` (B, …) over B (Efron 1979).

    Samples that follow one another in time are drawn in blocks, so that what neighbours share is kept
    (Künsch 1989; blocks go on at the beginning where the end is reached, Politis and Romano 1992).

    The mean of a resample is a product with the numbers of times that each sample was drawn: a
    hundred times faster than gathering resamples, as ``scipy.stats.bootstrap`` does, whose
    intervals these are.

    Raises:
        ValueError: samples that are no finite numbers, a confidence that is not between 0 and 1, no
            resamples, or a block that is longer than the samples.
    """
    samples = _finite_samples(samples)
    check_coverage(confidence, "confidence")
    resamples = check_whole("resamples", resamples, maximum=1_000_000)
    block = check_whole("block", block, maximum=len(samples))
    count, rng = len(samples), np.random.default_rng(0)
    flat, means = samples.reshape(count, -1), []
    for batch in np.diff([*range(0, resamples, 50), resamples]):
        starts = rng.integers(0, count, (batch, -(-count // block)))
        drawn = (starts[..., None] + np.arange(block)).reshape(batch, -1)[:, :count] % count
        drawn += count * np.arange(batch)[:, None]
        times = np.bincount(drawn.ravel(), minlength=batch * count).reshape(batch, count)
        means.append(times.astype(float) @ flat / count)
    outside = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), [outside, 100 - outside], axis=0).reshape(2, *samples.shape[1:])
    return (float(low), float(high)) if samples.ndim == 1 else (low, high)


def _finite_samples(samples) -> np.ndarray:
    """(B, …) samples as an array, if they are finite numbers."""
    try:
        array = np.asarray(samples)
    except (ValueError, RuntimeError, TypeError) as error:  # rows of several lengths, a tensor without values
        raise ValueError(f"samples must be an array (B, …) of numbers, got {shown(samples)}") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
        raise ValueError(f"samples must be an array (B, …) of at least one number, got {shown(samples)}")
    if not np.isfinite(array).all():
        raise ValueError(f"samples must be finite, got NaN or infinity in {np.sum(~np.isfinite(array))} places")
    if not math.isfinite(len(array) * (largest := float(np.abs(array).max()))):
        raise ValueError(f"samples must have sums within the range of numbers, got up to {largest:g}")
    return array


@dataclass(frozen=True)
class Grid:
    """The cells on which every method is compared: numbers of components, levels of noise, kinds of periods.

    Cells that differ in noise only hold the same clean signals, so that what noise costs is seen signal by signal.

    Raises:
        ValueError: settings out of range or of the wrong type.
    """

    components: tuple[int, ...] = (1, 2, 5, 10, 20, 45)
    noise_std: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3)
    integer_periods: tuple[bool, ...] = (True, False)
    periods: tuple[float, float] = (2, 99)
    size: int = 1000
    lookback: int = 100
    horizon: int = 50

    def __post_init__(self):
        _set_sizes(self)
        for name in ("components", "noise_std", "integer_periods"):
            if not check_kind(name, getattr(self, name), (tuple, list), "a tuple of values"):
                raise ValueError(f"{name} must have at least one value, got none")
        self.cells()  # whose processes check the values

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
_STEPS = ("step_from", "step_to")
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

    Methods and cells are scored by joblib, one after the other unless it is told otherwise:
    ``with joblib.parallel_config(backend="loky", n_jobs=8):`` around the call shares them among
    processes, ``backend="dask"`` or ``"ray"`` among machines. The table is the same.

    Args:
        forecasters: by name.
        grid: the published one unless given.
        known: an earlier table.
        oracles: methods that are shown the truth: functions of a cell's batch that return its forecaster.
        progress: show a bar.

    Returns:
        A row for each method, cell, and range of steps ``step_from`` to ``step_to``: ``mse`` with
        its 95 % bootstrap interval (``low``, ``high``) over signals, ``median_mse``, ``nmse_db``, and
        ``crps``, the mean continuous ranked probability score (see ``normal_crps``; the absolute
        error of a forecaster that gives no distribution); for the cell, the number of ``unstable``
        forecasts, and ``probe``, by which a change is noticed.

    Raises:
        ValueError: what are no forecasters, grid or table; a forecast of the wrong shape or that is not finite.
    """
    import pandas as pd
    from joblib import Parallel, delayed

    _check_named("forecasters", forecasters)
    _check_named("oracles", oracles := {} if oracles is None else oracles)
    if not forecasters and not oracles and known is None:
        raise ValueError("forecasters must name at least one forecaster, got none")
    grid = Grid() if grid is None else check_kind("grid", grid, Grid, "a Grid")
    if known is not None:
        _check_table("known", known, ["method", *_CELL])
    makers = {name: lambda batch, method=method: method for name, method in forecasters.items()} | dict(oracles)
    jobs = {(name, *cell): test for cell, test in grid.cells().items() for name in makers}  # a cell's methods in a row
    old = {} if known is None else dict(list(known.groupby(["method", *_CELL])))
    scored = Parallel(return_as="generator")(
        delayed(_score_again)(makers[key[0]], test, old.get(key)) for key, test in jobs.items()
    )
    parts = [rows for key, rows in old.items() if key not in jobs]
    for key, rows in zip(jobs, tqdm(scored, total=len(jobs), disable=not progress, desc="grid"), strict=True):
        parts.append(rows.assign(**dict(zip(["method", *_CELL], key, strict=True))))
    table = pd.concat(parts, ignore_index=True)
    order = ["method", *_CELL, "step_from", "step_to"]
    columns = [*order, "mse", "low", "high", "median_mse", "nmse_db", "crps", "unstable", "probe"]
    return table.reindex(columns=columns).sort_values(order, ignore_index=True)


def _check_named(name: str, functions: Mapping[str, Callable]) -> None:
    """Raise ``ValueError`` unless ``functions`` maps names to functions."""
    for key, function in check_kind(name, functions, Mapping, "a mapping from names to functions").items():
        check_kind(f"a name of {name}", key, str, "a text")
        check_function(f"{name}[{key!r}]", function)


def _check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``table`` has these columns of a table of ``evaluate``."""
    import pandas as pd

    check_kind(name, table, pd.DataFrame, "a table of evaluate")
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{name} must have the columns of a table of evaluate, got none called {listed(missing)}")


def over_horizon(table: pd.DataFrame, horizon: int, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that hold means over the first ``horizon`` steps.

    Args:
        cell: what ``method``, ``components``, ``noise_std`` or ``periods`` have to be: a value, or several.

    Raises:
        ValueError: what is no such table, or a horizon or a cell that the table does not have.
    """
    _check_table("table", table, _STEPS)
    horizon = check_whole("horizon", horizon)
    known = sorted(set(table[(table.step_from == 1) & (table.step_to > 1)].step_to))
    if horizon not in known:
        raise ValueError(f"horizon must be one of {', '.join(map(str, known))}, got {shown(horizon)}")
    return _select(table[(table.step_from == 1) & (table.step_to == horizon)], cell)


def by_step(table: pd.DataFrame, **cell) -> pd.DataFrame:
    """The rows of a table of ``evaluate`` that hold single steps; ``cell`` and errors as in ``over_horizon``."""
    _check_table("table", table, _STEPS)
    return _select(table[table.step_from == table.step_to], cell).sort_values("step_to")


def _select(rows: pd.DataFrame, cell: dict) -> pd.DataFrame:
    for column, wanted in cell.items():
        check_choice("what is selected by", column, list(rows))
        values = list(wanted) if isinstance(wanted, (list, tuple, set)) else [wanted]
        if not all(map(np.isscalar, values)):
            raise ValueError(f"{column} must be a value or a list of values, got {shown(wanted)}")
        chosen = rows[rows[column].isin(values)]
        if chosen.empty and not rows.empty:
            raise ValueError(f"{column} must be among {listed(rows[column].unique(), 6)}, got {shown(wanted)}")
        rows = chosen
    return rows


def _score_again(
    maker: Callable[[SignalBatch], Forecaster], test: FrozenSet, rows: pd.DataFrame | None
) -> pd.DataFrame:
    """The rows of one method and one cell: those that are known, if they are complete and the method is the same."""
    with cpu_threads(1):
        probe = _probe(maker, test)
        if rows is not None and "crps" in rows and rows.notna().all(axis=None) and _same(probe, rows["probe"].iloc[0]):
            return rows
        return _four_digits(_score_cell(maker, test).assign(probe=probe))


def _probe(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> float:
    """The mean squared error over the first signals of a test set."""
    batch = test.batch()[:_PROBE]
    return _score(maker(batch), batch, test.horizon).mse


def _same(error: float, before: float) -> bool:
    """Within 1 %; below 1e-6, where rounding has its say and differs between processors, within a factor of 30."""
    low, high = sorted((max(error, 1e-12), max(before, 1e-12)))
    return high / low < (30 if high < 1e-6 else 1.01)


def _score_cell(maker: Callable[[SignalBatch], Forecaster], test: FrozenSet) -> pd.DataFrame:
    """Rows for one method and one cell, a row for each range of steps."""
    import pandas as pd

    batch = test.batch()
    scored = _score(maker(batch), batch, test.horizon)
    spans = [(h, h) for h in STEPS if h <= test.horizon] + [(1, h) for h in HORIZONS if h <= test.horizon]
    samples = _over(spans, scored.errors)  # (B, spans)
    low, high = bootstrap_interval(samples)
    mse = samples.mean(axis=0)
    power = _over(spans, scored.power)
    table = pd.DataFrame(spans, columns=["step_from", "step_to"])
    return table.assign(
        mse=mse,
        low=low,
        high=high,
        median_mse=np.median(samples, axis=0),
        nmse_db=_decibels(mse, power),
        crps=_over(spans, scored.ranked).mean(axis=0),
        unstable=scored.unstable,
    )


def _over(spans: list[tuple[int, int]], values: np.ndarray) -> np.ndarray:
    """(…, spans) means of values (…, H) over the steps from first to last of each span."""
    return np.stack([values[..., first - 1 : last].mean(axis=-1) for first, last in spans], axis=-1)


def _four_digits(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the published table has them, so that a table is the same before and after it was saved."""
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: [float(f"{value:.4g}") for value in table[name]] for name in numbers})
