"""Runs the notebooks headless, in parallel on all cores, and publishes those that succeed."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from harmonics_lib.paths import build_dir, retrain_dir, retraining, staging_dir
from harmonics_lib.published.store import publish
from harmonics_lib.report.prose import OVERVIEW, ReportError, fill_notebook
from harmonics_lib.training.directory import RunError

#: Environment of every kernel: no messages of W&B, no sliders. (The Makefile sets threads and memory.)
KERNEL_ENVIRONMENT = {"WANDB_SILENT": "true", "HARMONICS_STILLS": "1"}
FOREIGN_ENVIRONMENT = ("MPLBACKEND", "JUPYTER_PATH")  # unset: they hide figures, or override the venv's kernel
WATCH_EVERY = 30  # seconds between two lines about a running cell, without a terminal
READS = {"04": ("03",), "06": ("03", "04", "05", "11")}  # by notebook, those that train the networks it loads
#: The notebooks that take longest start first, so that none runs alone at the end.
LONGEST = ("03", "05", "04", "06", "08", "11", "07", "12", "02", "09")

_running: list["Progress"] = []
_interrupted = threading.Event()
_publishing = threading.Lock()


@dataclass(eq=False)
class Progress:
    """Shows the running cell of a notebook on the terminal, and records the time of each cell.

    Attributes:
        notebook: its name.
        cells: number of its cells.
        seconds: of each completed cell.
        cell: number of the running cell, from 1.
        kernel: the process id of its kernel, once it runs.
        book: the notebook with its outputs so far.
        trained: whether it published networks.
    """

    notebook: str
    cells: int
    seconds: list[float] = field(default_factory=list)
    cell: int = 0
    kernel: int | None = None
    book: nbformat.NotebookNode | None = None
    trained: bool = False

    def __post_init__(self):
        self.bar = build_dir() / "progress" / self.notebook
        self.bar.parent.mkdir(parents=True, exist_ok=True)
        self.bar.write_text("", encoding="utf-8")
        self._started = self._last = time.monotonic()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        _running.append(self)
        self._watcher.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._watcher.join()
        if self._training():
            self._say()  # the end of the last training, which may have been short
        _running.remove(self)
        self._show("", end="")

    def start(self, cell: int) -> None:
        """Record that cell ``cell`` (from 0) starts and the previous one has ended."""
        now = time.monotonic()
        if cell:
            self.seconds.append(round(now - self._last, 3))
            if self.seconds[-1] >= 5:
                self._show(f"  {self.notebook}: cell {cell}/{self.cells} took {self.seconds[-1]:.0f} s", end="\n")
        self._last, self.cell = now, cell + 1

    @property
    def total(self) -> float:
        """Seconds since the notebook started."""
        return time.monotonic() - self._started

    def _watch(self):
        while not self._stop.wait(0.5 if sys.stderr.isatty() else WATCH_EVERY):
            self._say()

    def _training(self) -> str:
        """The last state of a training's progress bar, if there is one."""
        return re.split(r"[\r\n]", self.bar.read_text(encoding="utf-8", errors="replace").strip())[-1]

    def _state(self) -> str:
        return f"{self.notebook}: cell {self.cell}/{self.cells}, {self.total:.0f} s  {self._training()}"

    def _say(self):
        if sys.stderr.isatty():  # one line for all running notebooks
            self._show("  ".join(progress._state() for progress in list(_running)), end="")
        else:
            self._show(self._state(), end="")

    def _show(self, text: str, end: str):
        if sys.stderr.isatty():
            print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end=end, file=sys.stderr, flush=True)
        elif text:
            print(text, file=sys.stderr, flush=True)


class _Engine(Engine):
    """papermill's engine, which also notifies ``progress`` of every cell and writes the kernel's stderr to a log."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, progress: Progress, log_output, start_timeout, **options):
        announce = nb_man.cell_start

        def cell_start(cell, cell_index, **more):
            progress.kernel = getattr(client.km.provisioner, "pid", None)
            if _interrupted.is_set():
                raise KeyboardInterrupt
            progress.start(cell_index)
            return announce(cell, cell_index, **more)

        nb_man.cell_start, progress.book = cell_start, nb_man.nb
        client = PapermillNotebookClient(
            nb_man, kernel_name=kernel_name, log_output=log_output, startup_timeout=start_timeout, timeout=None
        )
        environment = os.environ | {"HARMONICS_PROGRESS": str(progress.bar)}
        with open(progress.bar.with_suffix(".log"), "w", encoding="utf-8") as log:
            client.execute(stderr=log, env=environment, cwd=str(build_dir()))


papermill_engines.register("harmonics", _Engine)


@contextmanager
def _kill_on_interrupt() -> Iterator[None]:
    """On Ctrl-C kill all kernels at once, without waiting for busy cells."""

    def kill(number, frame):
        _interrupted.set()
        for progress in list(_running):
            with suppress(ProcessLookupError):
                if progress.kernel:
                    os.kill(progress.kernel, signal.SIGKILL)
        raise KeyboardInterrupt

    _interrupted.clear()
    before = signal.signal(signal.SIGINT, kill)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_notebooks(sources: Sequence[Path], profile: str) -> Iterator[tuple[Path, Progress | ReportError]]:
    """Run notebooks in parallel, publish each one that succeeds, and yield each with its result.

    The overview runs last. After a failure no further notebook starts; running ones are completed. When
    networks are to be trained, a notebook that loads them waits for the one that trains them. If a
    notebook trained a network unexpectedly, notebooks that had loaded the old one run again. ``make
    report RETRAIN=1`` runs one notebook at a time, because trainings use all cores.
    """
    order = str if retraining() else _rank
    most = 1 if retraining() else joblib.cpu_count()
    waiting, begun = sorted(sources, key=order), []
    running: dict[Future, Path] = {}
    with ThreadPoolExecutor(most) as pool, _kill_on_interrupt():
        while waiting or running:
            for source in list(waiting):
                unfinished = {*waiting, *running.values()} - {source}
                if len(running) < most and source not in running.values() and not _needs(source, profile, unfinished):
                    waiting.remove(source)
                    begun.append(source)
                    running[pool.submit(run_notebook, source, profile)] = source
            try:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                waiting.clear()
                continue
            for future in finished:
                source = running.pop(future)
                try:
                    progress = future.result()
                except ReportError as error:
                    waiting.clear()
                    yield source, error
                else:
                    readers = {path for path in begun if progress.trained and source in _reads(path, [source])}
                    waiting += sorted(readers - set(waiting))
                    yield source, progress


def _needs(source: Path, profile: str, unfinished: Collection[Path]) -> Collection[Path]:
    """The unfinished notebooks that this one has to wait for."""
    if source.stem == OVERVIEW:
        return unfinished
    return _reads(source, unfinished) if retraining() or profile == "quick" else ()


def _reads(source: Path, others: Collection[Path]) -> list[Path]:
    """The notebooks among ``others`` that train networks which this one loads."""
    return [path for path in others if path.stem[:2] in READS.get(source.stem[:2], ())]


def _rank(source: Path) -> tuple[int, str]:
    number = source.stem[:2]
    return (LONGEST.index(number) if number in LONGEST else len(LONGEST), number)


def execute(source: Path, target: Path, parameters: dict) -> Progress:
    """Run the notebook ``source`` headless and write it, with outputs, to ``target``.

    Raises:
        ReportError: a cell failed, the kernel died, a parameter is not one of the notebook's, or this is no
            notebook of Python.
    """
    name, notebook = source.stem, _read(source)
    known = papermill.inspect_notebook(str(source))
    if unknown := set(parameters) - set(known):
        raise ReportError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    with Progress(name, len(notebook.cells)) as progress:
        try:
            executed = papermill.execute_notebook(
                str(source),
                str(target),
                parameters=parameters,
                engine_name="harmonics",
                kernel_name="python3",
                progress_bar=False,
                request_save_on_cell_execute=False,
                progress=progress,
            )
        except PapermillExecutionError as error:
            reason = ": ".join([error.ename, *error.evalue.splitlines()[:1]])
            raise ReportError(f"{name}, cell {progress.cell}: {reason}") from error
        except Exception as error:
            if progress.book:
                nbformat.write(progress.book, target)
            if _interrupted.is_set():
                raise KeyboardInterrupt from error
            if isinstance(error, DeadKernelError):
                reason = "the kernel died (killed, or out of memory)"
                raise ReportError(f"{name}, cell {progress.cell}: {reason}") from error
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ReportError(f"{name}: could not be run: {reason}") from error
        if last := next(filter(_exited, executed.cells), None):
            raise ReportError(
                f"{name}, cell {executed.cells.index(last) + 1}: SystemExit: the cells after it did not run"
            )
        progress.start(len(notebook.cells))
    return progress


def _exited(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell ended the kernel, which papermill counts as success."""
    return any(output.get("ename") == "SystemExit" for output in cell.get("outputs", ()))


def _read(source: Path) -> nbformat.NotebookNode:
    """Read a notebook, if it is valid and in Python."""
    try:
        notebook = nbformat.read(source, as_version=4)
    except Exception as error:
        raise ReportError(f"{source.stem}: expected a notebook, got a file that is truncated or foreign") from error
    kernel = notebook.metadata.get("kernelspec", {})
    if "python" not in (language := kernel.get("language", kernel.get("name", "python"))):
        raise ReportError(f"{source.stem}: expected a notebook of Python, its kernel speaks {language}")
    return notebook


def clean_notebook(executed: Path, source: Path) -> nbformat.NotebookNode:
    """The executed notebook without the parts that differ between runs: times, paths, random ids, stderr."""
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata = nbformat.read(source, as_version=4).metadata
    for index, cell in enumerate(notebook.cells):
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"injected-{index}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def run_notebook(source: Path, profile: str) -> Progress:
    """Execute one notebook in its staging folder and publish it; if it fails, move it to ``failed`` instead.

    Raises:
        ReportError: see ``execute``; the message ends with the path of the failed notebook.
    """
    stage = staging_dir(source.stem)
    target = stage / "notebooks" / source.name
    try:
        shutil.rmtree(stage, ignore_errors=True)
        target.parent.mkdir(parents=True)
        progress = execute(source, target, {} if profile == "full" else {"profile": profile})
        nbformat.write(_fill_own_numbers(target, source, profile), target)
        progress.trained = (stage / "models").exists() or (stage / "runs").exists()
        with _publishing:
            publish(stage)
    except (ReportError, KeyboardInterrupt) as error:
        reason = str(error) or f"{source.stem}: interrupted"
        raise ReportError(f"{reason}{_keep_failed(target)}") from error
    except (OSError, RunError) as error:
        raise ReportError(f"{source.stem}: could not be published: {error}") from error
    shutil.rmtree(retrain_dir(source.stem), ignore_errors=True)
    return progress


def _fill_own_numbers(executed: Path, source: Path, profile: str) -> nbformat.NotebookNode:
    """The cleaned executed notebook with its own numbers; those of other notebooks are filled in when all have run.

    The quick profile does not have all of them.
    """
    notebook = clean_notebook(executed, source)
    metrics = staging_dir(source.stem) / "metrics" / f"{source.stem}.json"
    if metrics.exists():
        try:
            own = {source.stem[:2]: json.loads(metrics.read_text(encoding="utf-8"))}
            fill_notebook(notebook, own, required=own if profile == "full" else ())
        except ReportError as error:
            raise ReportError(f"{source.stem}: {error}") from error
    return notebook


def _keep_failed(notebook: Path) -> str:
    if not notebook.exists():
        return ""
    kept = build_dir() / "failed" / notebook.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(notebook, kept)
    return f" (the notebook with its traceback: {os.path.relpath(kept)})"
