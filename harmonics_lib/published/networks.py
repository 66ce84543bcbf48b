"""The published networks, as forecasters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harmonics_lib.arguments import check_name, describe
from harmonics_lib.checksums import read_verified
from harmonics_lib.forecasters.base import Forecaster, network_forecaster
from harmonics_lib.networks.registry import build
from harmonics_lib.paths import published_dirs
from harmonics_lib.training.directory import RunError, read_config, read_weights

#: The networks that ``load_forecaster`` offers; the runs of comparisons are in a folder of their own.
NETWORKS = {
    "small_lstm": "one step at a time; 3 to 6 components, whole periods 2 to 99, no noise (notebook 03)",
    "seq2seq_gru": "five steps; 3 to 6 components, whole periods 2 to 99, no noise (notebook 04)",
    "curriculum_gru": "ten steps; 1 to 45 components, whole periods 10 to 99, no noise (notebook 05)",
    "curriculum_gru_2_99": "ten steps; 1 to 45 components, whole periods 2 to 99, no noise (notebook 05)",
    "noise_network": "any horizon; 1 to 45 components, any periods from 2 to 99, noise of 0.003 to 0.4 (notebook 11)",
}


_RUN_FILES = ("weights.safetensors", "history.csv", "config.json")


def _place(name: str) -> str:
    """The folder of a published run, relative to the results."""
    return f"{'models' if name in NETWORKS else 'runs'}/{name}"


def _verify_run(root: Path, folder: Path, needed: Iterable[str] = _RUN_FILES) -> Path:
    """The folder of a published run, after the checksums of its needed files were verified."""
    for file in filter(Path.exists, (folder / name for name in needed)):
        read_verified(root, file)
    return folder


def load_forecaster(name: str) -> Forecaster:
    """A published network as a forecaster, ``(lookback (B, N), horizon) -> (B, horizon)``.

    Args:
        name: one of ``NETWORKS``, or in a checkout the name of a run of a comparison.

    Raises:
        ValueError: no network of that name is published, or its files are damaged.

    Example:
        >>> import torch
        >>> load_forecaster("noise_network")(torch.ones(2, 100), 10).shape
        torch.Size([2, 10])
    """
    folder = _run_folder(name)
    try:
        network, weights = build((read_config(folder) or {})["network"]), read_weights(folder)
        network.load_state_dict(weights)
    except (RunError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is damaged: {str(error).partition(chr(10))[0]}") from error
    if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in weights.values()):
        raise ValueError(f"{folder} is damaged: its weights are not finite real numbers")
    return network_forecaster(network)


def _run_folder(name: str, needed: Iterable[str] = _RUN_FILES) -> Path:
    """The folder of a published run, in the results or else in those shipped with the code."""
    for results in published_dirs() if _is_name(name) else ():
        if (results / _place(name) / "config.json").exists():
            return _verify_run(results, results / _place(name), needed)
    raise ValueError(f"name must be a published network ({', '.join(NETWORKS)}), got {describe(name)}")


def _is_name(name) -> bool:
    try:
        return bool(check_name(name))
    except ValueError:
        return False
