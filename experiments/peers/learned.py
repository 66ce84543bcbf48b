"""Adapters of libraries that learn from many signals, as forecasters of a window's last 100 samples.

Their training signals are those of notebook 11's noise network: 1 to 45 components, periods of 2
to 99, whole and any, noise of 0.003 to 0.4. Windows have a peak of 1 and clean continuations.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from neuralforecast.losses.pytorch import MSE
from neuralforecast.models import NHITS, PatchTST
from neuralforecast.tsdataset import TimeSeriesDataset
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from harmonics_lib import HarmonicProcess, random_stream, window_forecaster
from harmonics_lib.forecasters.base import Forecaster, cpu_threads
from harmonics_lib.paths import build_dir

LOOKBACK, HORIZON = 100, 24
PROCESSES = [HarmonicProcess((1, 45), (2, 99), whole, noise_std=(0.003, 0.4)) for whole in (True, False)]
PART = 10_000  # signals drawn at a time, of whole and of any periods in turn
SIGNALS = 1_000_000  # for a network; the trees of LightGBM get 40,000
STEPS = {"NHITS": 24_000, "PatchTST": 6000}  # of 512 signals: the hour of one core that the noise network has


def training_signals(count: int, stream: str, noisy: bool = False) -> Tensor:
    """(count, LOOKBACK + HORIZON) windows of peak 1 and their continuations, ``noisy`` or clean."""
    generator, parts = random_stream(0, stream), []
    for part in range(0, count, PART):
        process = PROCESSES[part // PART % 2]
        batch = process.sample(PART, LOOKBACK + HORIZON, LOOKBACK, generator=generator)
        signals = batch.observed if noisy else torch.cat([batch.past, batch.future], dim=1)
        parts.append(signals / batch.past.abs().amax(dim=1, keepdim=True))
    return torch.cat(parts)


def block_forecaster(block: Callable[[Tensor], Tensor]) -> Forecaster:
    """A forecaster that applies ``block``, (B, LOOKBACK) -> (B, HORIZON), recursively for longer horizons."""

    def estimate(x: Tensor, horizon: int) -> Tensor:
        signal = x[:, -LOOKBACK:]
        while signal.shape[1] < LOOKBACK + horizon:
            signal = torch.cat([signal, block(signal[:, -LOOKBACK:])], dim=1)
        return signal[:, LOOKBACK : LOOKBACK + horizon]

    return window_forecaster(estimate, minimum=LOOKBACK)


def nhits() -> NHITS:
    """Every stack has full resolution, because pooling and interpolation remove short periods."""
    return NHITS(**_common("NHITS"), n_pool_kernel_size=[1, 1, 1], n_freq_downsample=[1, 1, 1])


def patch_tst() -> PatchTST:
    """No dropout, because there are more signals than the network can memorise."""
    return PatchTST(**_common("PatchTST"), dropout=0.0, fc_dropout=0.0)


def _common(name: str) -> dict:
    steps, rate, batch = STEPS[name], 1e-3, 512
    schedule = {"max_lr": rate, "total_steps": steps + 1}
    return {
        "h": HORIZON,
        "input_size": LOOKBACK,
        "loss": MSE(),
        "max_steps": steps,
        "learning_rate": rate,
        "batch_size": batch,
        "windows_batch_size": batch,
        "lr_scheduler": torch.optim.lr_scheduler.OneCycleLR,
        "lr_scheduler_kwargs": schedule,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }


@cache
def network(name: str) -> Forecaster:
    """A network of neuralforecast; it is trained unless its weights are in ``build/``."""
    model, weights = {"NHITS": nhits, "PatchTST": patch_tst}[name](), folder() / f"{name}.safetensors"
    if not weights.exists():
        _train(model, weights)
    model.load_state_dict(load_file(weights))
    model.double().eval()

    @torch.no_grad()
    def block(x: Tensor) -> Tensor:
        window = {"insample_y": x[:, :, None], "insample_mask": torch.ones_like(x[:, :, None])}
        return model(window | dict.fromkeys(("futr_exog", "hist_exog", "stat_exog")))[:, :, 0]

    return block_forecaster(block)


def _train(model: NHITS | PatchTST, weights: Path) -> None:
    """Train with one thread, and store the CPU seconds beside the weights."""
    signals = training_signals(SIGNALS, "peers training")
    columns = torch.stack([signals.flatten(), torch.ones(signals.numel())], dim=1)
    starts = np.arange(len(signals) + 1) * signals.shape[1]
    dataset = TimeSeriesDataset(columns, pd.Index(["y", "available_mask"]), starts, y_idx=0)
    begun = time.process_time()
    with cpu_threads(1):
        model.fit(dataset)
    save_file(model.state_dict(), weights, {"seconds": f"{time.process_time() - begun:.0f}"})


@cache
def lightgbm() -> Forecaster:
    """Gradient-boosted trees on the last 100 samples, one model for each step ahead, through mlforecast."""
    stored = folder() / "LightGBM"
    if not (stored / "seconds").exists():
        _grow(stored)
    trees = MLForecast.load(stored)

    def block(x: Tensor) -> Tensor:
        ahead = trees.predict(HORIZON, new_df=_long(x.numpy(force=True)))
        return torch.tensor(ahead["LGBMRegressor"].to_numpy().reshape(len(x), HORIZON), dtype=x.dtype)

    return block_forecaster(block)


def _grow(stored: Path) -> None:
    """Train on every sample after the first 100 of a signal, so continuations have to be as noisy as windows."""
    observed = training_signals(12 * PART, "peers training", noisy=True)[::3]
    trees = LGBMRegressor(n_estimators=400, learning_rate=0.1, num_leaves=63, n_jobs=1, verbose=-1)
    model = MLForecast([trees], freq=1, lags=range(1, LOOKBACK + 1), num_threads=1)
    begun = time.process_time()
    model.fit(_long(observed.numpy()), max_horizon=HORIZON, cache_train_df=False)
    model.save(stored)
    (stored / "seconds").write_text(f"{time.process_time() - begun:.0f}", encoding="utf-8")


def _long(windows: np.ndarray) -> pd.DataFrame:
    """(B, N) windows in mlforecast's long format, a row for each sample."""
    rows, times = np.indices(windows.shape)
    return pd.DataFrame({"unique_id": rows.ravel(), "ds": times.ravel(), "y": windows.ravel()})


def training_seconds(name: str) -> float:
    """CPU seconds of the training of a method."""
    if name == "LightGBM":
        return float((folder() / name / "seconds").read_text(encoding="utf-8"))
    with safe_open(folder() / f"{name}.safetensors", "pt") as weights:
        return float(weights.metadata()["seconds"])


def folder() -> Path:
    """The folder of trained methods; without it ``make peers`` trains them again."""
    path = build_dir() / "peers-trained"
    path.mkdir(parents=True, exist_ok=True)
    return path
