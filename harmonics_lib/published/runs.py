"""Trained networks: ``load_trained`` looks up published runs, ``train_missing`` trains those that are missing."""

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
from harmonics_lib.published.networks import _RUN_FILES, _place, _run_folder, _verify_run
from harmonics_lib.published.store import publish
from harmonics_lib.training.directory import RunError, read_config, read_history, read_weights, write_atomically
from harmonics_lib.training.distributed import is_first_process
from harmonics_lib.training.loop import complete
from harmonics_lib.training.run import Run, Study
from harmonics_lib.training.trainer import train


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a training.

    Attributes:
        run: the run or study that was trained.
        folder: contains ``config.json``, ``history.csv`` and ``weights.safetensors``.
        history: lists of numbers by column.
        weights: tensors by name, as they are stored.
    """

    run: Run | Study
    folder: Path
    history: dict[str, list[float]] = field(repr=False)
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run."""
        return self.run.fingerprint

    @cached_property
    def network(self) -> nn.Module:
        """The network in double precision, so that its forecasts do not depend on the processor."""
        network = self.run.build()
        network.load_state_dict(self.weights)
        return network.double()

    @property
    def forecaster(self) -> Forecaster:
        """The network as a forecaster."""
        return network_forecaster(self.network)


def load_trained(runs: Mapping[str, Run | Study]) -> dict[str, TrainedNetwork]:
    """Published networks by name, without any training.

    Args:
        runs: the expected run of each name, for example from ``seeded``.

    Raises:
        ValueError: the runs are not a mapping from names to runs, or one of them is not published.
    """
    runs = _check_runs(runs)
    folders = {name: folder for name, run in runs.items() if (folder := _published_folder(name, run))}
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
    """Published networks by name; missing ones are trained now and published together with ``notebook``.

    A training that was killed resumes from its last checkpoint. With ``HARMONICS_RETRAIN=1`` all networks
    count as missing, except those that were already trained again.

    Args:
        runs: by name, for example from ``seeded``.
        notebook: the notebook that the networks are published with.
        processes: number of trainings at the same time.
        track: mirror the histories of runs to W&B.
        keep_diverged: end a run that diverges with the weights of its last checkpoint, instead of an error.

    Raises:
        ValueError: the runs are not a mapping from names to runs, the notebook is not a name, or ``processes`` is
            below 1.
    """
    runs, processes = _check_runs(runs), check_whole("processes", processes, maximum=1024)
    check_name(notebook)
    options = {"track": check_flag("track", track), "keep_diverged": check_flag("keep_diverged", keep_diverged)}
    root = retrain_dir(notebook) if retraining() else build_dir() / "runs"
    run_dirs = {name: root / f"{name}-{run.fingerprint}" for name, run in runs.items()}
    published = {} if retraining() else {name: _find_run(name, run, run_dirs[name]) for name, run in runs.items()}
    folders = {name: folder for name, folder in published.items() if folder}
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


def _published_folder(name: str, run: Run | Study) -> Path | None:
    """The folder of that name, if it is published with the run's fingerprint."""
    folder = results_dir() / _place(name)
    matches = (read_config(folder) or {}).get("fingerprint") == run.fingerprint
    return _verify_run(results_dir(), folder) if matches else None


def _find_run(name: str, run: Run | Study, run_dir: Path) -> Path | None:
    """``_published_folder``, or None if the publication was interrupted and ``run_dir`` still has the weights."""
    try:
        return _published_folder(name, run)
    except ValueError:
        if (run_dir / "weights.safetensors").exists():
            return None
        raise


def _absence(name: str, run: Run | Study) -> str:
    fingerprint = (read_config(results_dir() / _place(name)) or {}).get("fingerprint")
    return f"{name} with fingerprint {fingerprint}, not {run.fingerprint}" if fingerprint else f"no {name}"


def _train_all(jobs: list[tuple[Run | Study, Path, dict]], processes: int) -> None:
    if min(processes, len(jobs)) <= 1:
        for job in jobs:
            _train(*job)
        return
    from joblib import Parallel, delayed  # imported late: only parallel trainings need it

    Parallel(processes)(delayed(_train)(*job, parent=os.getpid()) for job in jobs)


def _train(run: Run | Study, run_dir: Path, options: dict, parent: int | None = None) -> None:
    """Complete a training; a worker ends when the process ``parent`` ends."""
    if parent not in (None, os.getpid()):
        _watch_parent(parent)
    if isinstance(run, Run):
        train(run, run_dir, progress=progress(), **options)
    else:
        with cpu_threads(1):
            complete(run_dir, run.description, partial(run.steps, run))


def _watch_parent(parent: int) -> None:
    """End this process within a second of its parent, since a parent that is killed cannot end its workers.

    On Windows the parent of an orphan does not change; there only the lock of the run directory protects a training.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train_again(name: str, **options) -> None:
    """Train a published network again as its ``config.json`` describes, and replace the published files.

    An earlier attempt that was killed resumes. Damaged weights or a damaged history are replaced.
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
    """Copy a run. The old configuration is deleted first and the new one written last: it never has foreign weights.

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
