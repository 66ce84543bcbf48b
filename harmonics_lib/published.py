"""Where results lie, what is published there, and the settings that say so.

The environment variables of the project are read here and nowhere else:

``HARMONICS_RESULTS``   folder of the published results; else the checkout's, or those in the package.
``HARMONICS_BUILD``     folder for work in progress; else ``build`` in the checkout or the working directory.
``HARMONICS_RETRAIN``   1: train networks anew though they are published.
``HARMONICS_PROGRESS``  file that bars of progress are written to, for a report that runs headless.
``HARMONICS_STILLS``    1: figures stand still, without sliders.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from harmonics_lib.arguments import check_kind, check_whole, shown
from harmonics_lib.distributed import is_first_process
from harmonics_lib.forecasting import Forecaster, network_forecaster
from harmonics_lib.networks import build
from harmonics_lib.runs import Run, check_name, read_config, read_history, read_weights, write_atomically
from harmonics_lib.training import train

if TYPE_CHECKING:
    import pandas as pd

#: The networks that ``load_forecaster`` offers; the runs that only a comparison rests on lie apart.
NETWORKS = {
    "small_lstm": "one step at a time; 3 to 6 components, whole periods 2 to 99, no noise (notebook 03)",
    "seq2seq_gru": "five steps; 3 to 6 components, whole periods 2 to 99, no noise (notebook 04)",
    "curriculum_gru": "ten steps; 1 to 45 components, whole periods 10 to 99, no noise (notebook 05)",
    "curriculum_gru_2_99": "ten steps; 1 to 45 components, whole periods 2 to 99, no noise (notebook 05)",
    "noise_network": "any horizon; 1 to 45 components, any periods from 2 to 99, noise of 0.003 to 0.4 (notebook 11)",
}


_RUN_FILES = ("weights.safetensors", "history.csv", "config.json")
_SUMS = "SHA256SUMS"  # of all published files that are loaded again
_LOADED = ("metrics", "models", "runs")  # where these are that a notebook or a training makes


def _shipped_results() -> Path:
    return (checkout() or Path(__file__).resolve().parent) / "results"


def checkout() -> Path | None:
    """The folder of the project, or None where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else None


def _folder(variable: str, otherwise: Path) -> Path:
    path = Path(os.environ.get(variable) or otherwise)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{variable} must name a folder, got the file {path}")
    return path


def _switch(variable: str) -> bool:
    value = os.environ.get(variable, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{variable} must be 1 or 0, got {value!r}")
    return value == "1"


def results_dir() -> Path:
    """Published results (``HARMONICS_RESULTS``)."""
    return _folder("HARMONICS_RESULTS", _shipped_results())


def data_dir() -> Path:
    """The measured series: ``data`` in the checkout, or beside the published results.

    Raises:
        ValueError: only the package is installed.
    """
    folder = (checkout() or results_dir().resolve().parent) / "data"
    if not folder.is_dir():
        raise ValueError(f"measured series lie in the repository, not in the package: expected {folder}")
    return folder


def build_dir() -> Path:
    """Work in progress (``HARMONICS_BUILD``)."""
    return _folder("HARMONICS_BUILD", (checkout() or Path.cwd()) / "build")


def retraining() -> bool:
    """Whether networks are trained anew though they are published (``HARMONICS_RETRAIN``)."""
    return _switch("HARMONICS_RETRAIN")


def stills() -> bool:
    """Whether figures stand still, without sliders (``HARMONICS_STILLS``)."""
    return _switch("HARMONICS_STILLS")


def progress() -> bool | Path:
    """Where a training shows how far it is: a file (``HARMONICS_PROGRESS``), else True for stderr."""
    path = os.environ.get("HARMONICS_PROGRESS")
    return Path(path) if path else True


def staging_dir(notebook: str) -> Path:
    """Where a running notebook writes; the report publishes it to ``results_dir()`` on success."""
    return build_dir() / "staging" / notebook


def retrain_dir(purpose: str) -> Path:
    """Where networks are trained anew until they are published: nothing here has been used yet."""
    return build_dir() / "retrain" / purpose


def publish(stage: Path) -> None:
    """Put what a notebook or a training made, a folder like ``results_dir()``, in its place there.

    It first moves to where it waits: from here on a kill loses nothing (see ``finish_publishing``).
    """
    waiting = build_dir() / "publishing" / stage.name
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.parent.mkdir(parents=True, exist_ok=True)
    os.replace(stage, waiting)
    _publish(waiting)


def finish_publishing() -> None:
    """Publish what a command that was killed had begun to publish; what a killed write left goes.

    Of several processes of ``torchrun`` the first one does it.
    """
    if not is_first_process():
        return
    for unfinished in results_dir().glob("**/*.part"):
        unfinished.unlink()
    for waiting in sorted((build_dir() / "publishing").glob("*")):
        _publish(waiting)


def _publish(stage: Path) -> None:
    """Put what was made in the place of the results before it, file by file: none is ever missing.

    What was a folder keeps no file that the new one lacks; a run's configuration comes last.
    """
    published = []
    for entry in sorted(stage.glob("*/*")):
        target = results_dir() / entry.relative_to(stage)
        files = sorted(entry.rglob("*"), key=lambda path: path.name == "config.json") if entry.is_dir() else [entry]
        for file in files:
            target_file = results_dir() / file.relative_to(stage)
            target_file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target_file, file.read_bytes())
            published.append(target_file)
        for old in set(target.rglob("*")) - set(published):
            old.unlink()
    record_checksums(path for path in published if path.relative_to(results_dir()).parts[0] in _LOADED)
    shutil.rmtree(stage)


def record_checksums(paths: Iterable[Path]) -> None:
    """Bring ``SHA256SUMS`` up to date for files of the published results; those that are gone leave it.

    ``sha256sum -c SHA256SUMS`` understands it.
    """
    root = results_dir()
    sums = _checksums(root) | {path.relative_to(root).as_posix(): _digest(path.read_bytes()) for path in paths}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items()) if (root / name).exists()]
    write_atomically(root / _SUMS, "".join(lines).encode())


def _checksums(root: Path) -> dict[str, str]:
    """The recorded checksums of published results, by path."""
    if not (root / _SUMS).exists():
        return {}
    return {name: digest for digest, name in (line.split("  ") for line in (root / _SUMS).read_text().splitlines())}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _intact(root: Path, path: Path) -> bytes:
    """What a published file holds, if that is what was published.

    Raises:
        ValueError: it is not.
    """
    content, recorded = path.read_bytes(), _checksums(root).get(path.relative_to(root).as_posix())
    if recorded not in (None, _digest(content)):
        raise ValueError(f"{path} is damaged: its checksum is not that in {_SUMS}; restore it, or publish it anew")
    return content


def load_benchmark(name: str) -> dict:
    """What ``make bench`` measured last; times differ from run to run, so a report only quotes them.

    Raises:
        ValueError: none of that name is published, or the file is damaged.
    """
    return _load_json("benchmarks", name, (_shipped_results(),))


def load_metrics(notebook: str) -> dict:
    """The published metrics of a notebook: ``{"values", "claims", "provenance"}``, claims in the notebook's order.

    Raises:
        ValueError: none of that notebook are published, or the file is damaged.
    """
    return _load_json("metrics", notebook, (results_dir(),))


def _load_json(kind: str, name: str, roots: Sequence[Path]) -> dict:
    """What the first of these folders that has such a file holds in it."""
    check_name(name)
    for root in roots:
        if (path := root / kind / f"{name}.json").exists():
            try:
                return json.loads(_intact(root, path))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is damaged: it is no JSON ({error})") from error
    known = ", ".join(sorted(other.stem for root in roots for other in (root / kind).glob("*.json"))) or "none"
    raise ValueError(f"no {kind} {name} are published; there are {known}")


def published_metrics() -> list[str]:
    """Names of the notebooks whose metrics are published, in order."""
    return sorted(path.stem for path in (results_dir() / "metrics").glob("[0-9]*.json"))


def load_grid() -> pd.DataFrame:
    """The published comparison of all methods, to be looked at or handed to ``evaluate`` as ``known``.

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("grid")


def load_bayes_limit() -> pd.DataFrame:
    """The published table of the Bayes limit, a row for each window (its columns: ``report.limit.write_limit``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("bayes_limit")


def load_coverage() -> pd.DataFrame:
    """The published coverage of intervals (its columns: ``report.coverage.write_coverage``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("coverage")


def load_measured_errors() -> pd.DataFrame:
    """The published errors on the measured series (``make measured``).

    A row for each series, lookback, method, window and horizon: the mean squared error over so many
    steps, relative to the variance of the window.

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("measured")


def load_one_step_errors() -> pd.DataFrame:
    """Published errors of one step of ``auto_forecaster``, relative to the windows' standard deviations.

    A row for each of 100 samples in a row, a column for each measured series (``make measured``).

    Raises:
        ValueError: none is published, or the file is damaged.
    """
    return _load_table("measured_one_step")


def load_peers() -> pd.DataFrame:
    """The published scores of other libraries, and of ours on the same windows (``make peers``).

    The columns are those of ``evaluate`` but ``crps`` and ``probe``, and ``windows``, of how many of a
    cell's a row is the mean, and ``failed``, how many of them a library gave up, where the last value
    stands in. What each method is, its version, settings and times: ``load_peer_methods``.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_table("peers")


def load_peer_methods() -> dict[str, dict]:
    """By method of ``load_peers``: its package, version, settings, what it assumes, seconds a thousand windows.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_json("metrics", "peers", (results_dir(), _shipped_results()))


def load_peers_measured() -> pd.DataFrame:
    """The published errors of other libraries on measured series: method, series, lookback, origin, horizon, error.

    A row is the mean of ``measured.relative_errors`` over the first ``horizon`` steps after the window that is row
    ``origin`` of ``measured_windows``.

    Raises:
        ValueError: none are published, or the file is damaged.
    """
    return _load_table("peers_measured")


def _load_table(name: str) -> pd.DataFrame:
    import pandas as pd

    for results in (results_dir(), _shipped_results()):
        if (path := results / "metrics" / f"{name}.csv").exists():
            try:
                return pd.read_csv(io.BytesIO(_intact(results, path)))
            except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
                raise ValueError(f"{path} is damaged: it is no table ({error})") from error
    raise ValueError(f"no table {name} is published: expected {path}")


def _place(name: str) -> str:
    """The folder, within results, of a published run."""
    return f"{'models' if name in NETWORKS else 'runs'}/{name}"


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


def _intact_run(root: Path, folder: Path, needed: Iterable[str] = _RUN_FILES) -> Path:
    """The folder of a published run, if the files that are needed are those that were published."""
    for file in filter(Path.exists, (folder / name for name in needed)):
        _intact(root, file)
    return folder


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


def load_forecaster(name: str) -> Forecaster:
    """A published network, ``(lookback (B, N), horizon) -> (B, horizon)``.

    Args:
        name: one of ``NETWORKS``, or a run of a comparison that a checkout has.

    Raises:
        ValueError: no network of that name is published, or its files are damaged.
    """
    folder = _run_folder(name)
    network = build(read_config(folder)["network"])
    weights = read_weights(folder)
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise ValueError(f"{folder} is damaged: its weights are not finite")
    network.load_state_dict(weights)
    return network_forecaster(network)


def _run_folder(name: str, needed: Iterable[str] = _RUN_FILES) -> Path:
    """Where a published run lies: among these results, else among those that came with the code."""
    for results in (results_dir(), _shipped_results()) if _is_name(name) else ():
        if (results / _place(name) / "config.json").exists():
            return _intact_run(results, results / _place(name), needed)
    raise ValueError(f"name must be a published network ({', '.join(NETWORKS)}), got {shown(name)}")


def _is_name(name) -> bool:
    try:
        return bool(check_name(name))
    except ValueError:
        return False
