"""Trained networks: looked up where they are published, and trained where that is asked for."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from torch import Tensor, nn

from harmonics_lib.arguments import check_flag, check_kind, check_name, check_whole, join_values
from harmonics_lib.forecasters.base import Forecaster, cpu_threads, network_forecaster
from harmonics_lib.paths import build_dir, progress, results_dir, retrain_dir, retraining, staging_dir
from harmonics_lib.published.networks import _RUN_FILES, _intact_run, _place, _run_folder
from harmonics_lib.published.store import publish
from harmonics_lib.training.directory import RunError, read_config, read_history, read_weights, write_atomically
from harmonics_lib.training.distributed import is_first_process
from harmonics_lib.training.loop import complete
from harmonics_lib.training.run import Run, Study
from harmonics_lib.training.trainer import train


@dataclass(frozen=True)
class TrainedNetwork:
    """What a training came to.

    Attributes:
        run: what was trained.
        folder: holds its ``config.json``, ``history.csv`` and ``weights.safetensors``.
        history: by column.
        weights: by name, as they are stored.
    """

    run: Run | Study
    folder: Path
    history: dict[str, list[float]] = field(repr=False)
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its run."""
        return self.run.fingerprint

    @cached_property
    def network(self) -> nn.Module:
        """The network, in double precision: what it forecasts then depends on no processor."""
        network = self.run.build()
        network.load_state_dict(self.weights)
        return network.double()

    @property
    def forecaster(self) -> Forecaster:
        """The network as a forecaster."""
        return network_forecaster(self.network)


def load_trained(runs: Mapping[str, Run | Study]) -> dict[str, TrainedNetwork]:
    """Published networks by name; nothing is trained.

    Args:
        runs: what is expected under each name, for example from ``seeded``.

    Raises:
        ValueError: what are no runs by name, or one that is not published, or published from another run.
    """
    runs = _check_runs(runs)
    folders = {name: folder for name, run in runs.items() if (folder := _published(name, run))}
    if missing := [_absence(name, run) for name, run in runs.items() if name not in folders]:
        raise ValueError(f"expected published runs, got {join_values(missing, most=3)} (train_missing trains them)")
    return _read(runs, folders)


def train_missing(
    runs: Mapping[str, Run | Study],
    notebook: str,
    processes: int = 1,
    *,
    track: bool = False,
    keep_diverged: bool = False,
) -> dict[str, TrainedNetwork]:
    """``load_trained``, but those that are missing are trained now, and published with ``notebook``.

    A training that was killed goes on. ``HARMONICS_RETRAIN=1`` takes all for missing but those that it has itself
    trained since.

    Args:
        runs: by name, for example from ``seeded``; they stay as they are.
        processes: trainings at a time.
        track: mirror the histories of runs to W&B.
        keep_diverged: runs that diverge end with the weights of their last checkpoint.

    Raises:
        ValueError: what are no runs by name, a notebook's name that is none, or fewer than one process.
    """
    runs, processes = _check_runs(runs), check_whole("processes", processes, maximum=1024)
    check_name(notebook)
    options = {"track": check_flag("track", track), "keep_diverged": check_flag("keep_diverged", keep_diverged)}
    root = retrain_dir(notebook) if retraining() else build_dir() / "runs"
    run_dirs = {name: root / f"{name}-{run.fingerprint}" for name, run in runs.items()}
    looked_up = {} if retraining() else {name: _usable(name, run, run_dirs[name]) for name, run in runs.items()}
    folders = {name: folder for name, folder in looked_up.items() if folder}
    jobs = {name: run_dir for name, run_dir in run_dirs.items() if name not in folders}
    _train_all([(runs[name], run_dir, options) for name, run_dir in jobs.items()], processes)
    for name, run_dir in jobs.items():
        folders[name] = staging_dir(notebook) / _place(name)
        _copy_run(run_dir, folders[name])
    return _read(runs, folders)


def _read(runs: Mapping[str, Run | Study], folders: Mapping[str, Path]) -> dict[str, TrainedNetwork]:
    return {
        name: TrainedNetwork(run, folders[name], read_history(folders[name]), read_weights(folders[name]))
        for name, run in runs.items()
    }


def _check_runs(runs: Mapping) -> Mapping[str, Run | Study]:
    for name, run in check_kind("runs", runs, Mapping, "a mapping from names to runs").items():
        check_kind(f"runs[{check_name(name)!r}]", run, (Run, Study), "a Run or a Study")
    return runs


def _published(name: str, run: Run | Study) -> Path | None:
    """The directory of that name, if it is published with the run's fingerprint."""
    folder = results_dir() / _place(name)
    same = (read_config(folder) or {}).get("fingerprint") == run.fingerprint
    return _intact_run(results_dir(), folder) if same else None


def _usable(name: str, run: Run | Study, run_dir: Path) -> Path | None:
    """``_published``, or None where its publication was interrupted and what was trained still stands."""
    try:
        return _published(name, run)
    except ValueError:
        if (run_dir / "weights.safetensors").exists():
            return None
        raise


def _absence(name: str, run: Run | Study) -> str:
    there = (read_config(results_dir() / _place(name)) or {}).get("fingerprint")
    return f"{name} with fingerprint {there}, not {run.fingerprint}" if there else f"no {name}"


def _train_all(jobs: list[tuple[Run | Study, Path, dict]], processes: int) -> None:
    if min(processes, len(jobs)) <= 1:
        for job in jobs:
            _train(*job)
        return
    from joblib import Parallel, delayed  # here: only trainings at a time need it

    Parallel(processes)(delayed(_train)(*job, parent=os.getpid()) for job in jobs)


def _train(run: Run | Study, run_dir: Path, options: dict, parent: int | None = None) -> None:
    """Carry a training through, in a worker only as long as the process ``parent`` lives."""
    if parent not in (None, os.getpid()):
        _end_with(parent)
    if isinstance(run, Run):
        train(run, run_dir, progress=progress(), **options)
    else:
        with cpu_threads(1):
            complete(run_dir, run.description, partial(run.steps, run))


def _end_with(parent: int) -> None:
    """End this process within a second of its parent, which cannot end it when it is killed itself.

    Windows does not say who adopted a process; there the lock of the run directory alone protects a training.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train_again(name: str, **options) -> None:
    """Train a published network as its ``config.json`` says, and put the result in its place.

    A run that this had begun before it was killed goes on; weights or a history that were damaged are made good.
    Under ``torchrun`` all processes share the work, and the first one publishes.

    Args:
        options: passed to ``train``.

    Raises:
        ValueError: no run of that name is published.
    """
    run = Run.rebuild(read_config(_run_folder(name, needed=("config.json",))) or {})
    run_dir = retrain_dir("train") / f"{name}-{run.fingerprint}"
    train(run, run_dir, **options)
    if is_first_process():
        stage = staging_dir(f"train_{name}")
        _copy_run(run_dir, stage / _place(name))
        publish(stage)
        shutil.rmtree(run_dir)


def _copy_run(run_dir: Path, target: Path) -> None:
    """The configuration goes first and comes last: where it stands, the weights are its own.

    Raises:
        RunError: the disk is full or not writable.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"could not make the directory {target} ({error.strerror})") from error
    for file in _RUN_FILES:
        write_atomically(target / file, (run_dir / file).read_bytes())
