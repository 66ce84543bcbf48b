"""Runs that are looked up where they are published, and trained where they are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from harmonics_lib.arguments import check_kind, check_name, check_whole
from harmonics_lib.forecasters.base import Forecaster, network_forecaster
from harmonics_lib.training.directory import read_config, read_history, read_weights, write_atomically
from harmonics_lib.training.distributed import is_first_process
from harmonics_lib.training.run import Run
from harmonics_lib.training.trainer import train

if TYPE_CHECKING:
    pass
from harmonics_lib.paths import build_dir, progress, results_dir, retrain_dir, retraining, staging_dir
from harmonics_lib.published.networks import _RUN_FILES, _intact_run, _place, _run_folder
from harmonics_lib.published.store import publish


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and the folder that holds its ``config.json``, ``history.csv`` and ``weights.safetensors``."""

    network: nn.Module
    folder: Path

    @property
    def history(self) -> dict[str, list[float]]:
        """The columns of its history."""
        return read_history(self.folder)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its run."""
        return read_config(self.folder)["fingerprint"]

    @property
    def forecaster(self) -> Forecaster:
        """The network as a forecaster."""
        return network_forecaster(self.network)


def trained_networks(
    runs: Mapping[str, Run], notebook: str, processes: int = 1, track: bool = False
) -> dict[str, TrainedNetwork]:
    """Train the runs, or load those that are published, and publish what is new with ``notebook``.

    A run is loaded where its name is published with its fingerprint, else trained (resuming one
    that was killed). ``HARMONICS_RETRAIN=1`` trains it anew even so; a run that this had begun
    before it was killed goes on.

    Args:
        runs: by name, for example from ``seeded``.
        processes: trainings at a time.
        track: mirror the histories to W&B.

    Returns:
        By the same names, the runs' networks with their trained weights, in double precision: what
        they say then depends on no processor.

    Raises:
        ValueError: what are no runs by name, a notebook's name that is none, or fewer than one process.
    """
    for name, run in check_kind("runs", runs, Mapping, "a mapping from names to runs").items():
        check_kind(f"runs[{check_name(name)!r}]", run, Run, "a Run")
    check_name(notebook)
    processes = check_whole("processes", processes, maximum=1024)

    def work(run: Run) -> Callable[[Path], object]:
        return lambda run_dir: train(run, run_dir, track=track, progress=progress())

    jobs = {name: (name, run.fingerprint, notebook, work(run)) for name, run in runs.items()}
    trained = {}
    for name, folder in published_runs(jobs.values(), processes).items():
        network = runs[name].network
        network.load_state_dict(read_weights(folder))
        trained[name] = TrainedNetwork(network.double(), folder)
    return trained


def published_runs(jobs: Iterable[tuple], processes: int = 1) -> dict[str, Path]:
    """``published_run`` for several jobs (tuples of its arguments): name -> directory.

    What is published is only looked up; ``processes`` at a time work on the rest.
    """
    jobs = list(jobs)
    if min(processes, sum(_published(name, fingerprint) is None for name, fingerprint, *_ in jobs)) <= 1:
        return {job[0]: published_run(*job) for job in jobs}
    from joblib import Parallel, delayed  # here: only trainings at a time need it

    folders = Parallel(processes)(delayed(published_run)(*job) for job in jobs)
    return dict(zip((job[0] for job in jobs), folders, strict=True))


def published_run(name: str, fingerprint: str, notebook: str, work: Callable[[Path], object]) -> Path:
    """The directory of a finished run: the published one of that name, if it has the fingerprint, else a new one.

    A new one is what ``work(run_dir)`` leaves behind: ``config.json`` with the fingerprint,
    ``history.csv`` and ``weights.safetensors``. It is published with ``notebook``. What ``work``
    had begun before it was killed, it finds in ``run_dir`` again.
    """
    if published := _published(name, fingerprint):
        return published
    run_dir = retrain_dir(notebook) if retraining() else build_dir() / "runs"
    run_dir /= f"{name}-{fingerprint}"
    work(run_dir)
    staged = staging_dir(notebook) / _place(name)
    _copy_run(run_dir, staged)
    return staged


def _published(name: str, fingerprint: str) -> Path | None:
    """The directory of that name, if it is published with that fingerprint and not to be trained anew."""
    folder = results_dir() / _place(name)
    same = (read_config(folder) or {}).get("fingerprint") == fingerprint
    return _intact_run(results_dir(), folder) if same and not retraining() else None


def train_again(name: str, **options) -> None:
    """Train a published network as its ``config.json`` says, and put the result in its place.

    A run that this had begun before it was killed goes on; weights or a history that were damaged are made good.
    Under ``torchrun`` all processes share the work, and the first one publishes.

    Args:
        options: passed to ``train``.

    Raises:
        ValueError: no run of that name is published.
    """
    run = Run.rebuild(read_config(_run_folder(name, needed=("config.json",))))
    run_dir = retrain_dir("train") / f"{name}-{run.fingerprint}"
    train(run, run_dir, **options)
    if is_first_process():
        stage = staging_dir(f"train_{name}")
        _copy_run(run_dir, stage / _place(name))
        publish(stage)
        shutil.rmtree(run_dir)


def _copy_run(run_dir: Path, target: Path) -> None:
    """The configuration goes first and comes last: where it stands, the weights are its own."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").unlink(missing_ok=True)
    for file in _RUN_FILES:
        write_atomically(target / file, (run_dir / file).read_bytes())
