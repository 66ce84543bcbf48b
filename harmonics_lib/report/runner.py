"""Runs the notebooks headless and publishes what succeeded."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from harmonics_lib.paths import build_dir, retrain_dir, staging_dir
from harmonics_lib.published.store import publish
from harmonics_lib.report.prose import ReportError, fill_notebook

#: Set for every kernel: no chatter, no sliders. (How threads wait and memory is kept, the Makefile says.)
KERNEL_ENVIRONMENT = {"WANDB_SILENT": "true", "HARMONICS_STILLS": "1"}
FOREIGN_ENVIRONMENT = ("MPLBACKEND", "JUPYTER_PATH")  # they hide figures, or win over the venv's kernel
WATCH_EVERY = 30  # seconds between two lines about a running cell, where there is no terminal to redraw


@dataclass
class Progress:
    """Says on the terminal which cell of which notebook runs, and keeps how long each took."""

    notebook: str
    cells: int
    seconds: list[float] = field(default_factory=list)
    cell: int = 0
    interrupted: bool = False

    def __post_init__(self):
        self._file = build_dir() / "progress"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("")
        os.environ["HARMONICS_PROGRESS"] = str(self._file)
        self._started = self._last = time.monotonic()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._watcher.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._watcher.join()
        if self._training():
            self._say()  # how the last training ended, however short it was
        os.environ.pop("HARMONICS_PROGRESS", None)
        self._show("", end="")

    def start(self, cell: int) -> None:
        """Cell ``cell`` (from 0) starts; the one before it is over."""
        now = time.monotonic()
        if cell:
            self.seconds.append(round(now - self._last, 3))
            if self.seconds[-1] >= 5:
                self._show(f"  cell {cell}/{self.cells} took {self.seconds[-1]:.0f} s", end="\n")
        self._last, self.cell = now, cell + 1

    @property
    def total(self) -> float:
        """Seconds since the notebook started."""
        return time.monotonic() - self._started

    def _watch(self):
        while not self._stop.wait(0.5 if sys.stderr.isatty() else WATCH_EVERY):
            self._say()

    def _training(self) -> str:
        """The last state of the bar of a training, if there is one."""
        return re.split(r"[\r\n]", self._file.read_text(errors="replace").strip())[-1]

    def _say(self):
        self._show(f"{self.notebook}: cell {self.cell}/{self.cells}, {self.total:.0f} s  {self._training()}", end="")

    def _show(self, text: str, end: str):
        if sys.stderr.isatty():
            print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end=end, file=sys.stderr, flush=True)
        elif text:
            print(text, file=sys.stderr, flush=True)


class _Engine(Engine):
    """papermill's engine, but it tells ``progress`` when a cell starts, and the kernel's own stderr goes to a log."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, progress: Progress, log_output, start_timeout, **options):
        announce = nb_man.cell_start

        def cell_start(cell, cell_index, **more):
            progress.start(cell_index)
            return announce(cell, cell_index, **more)

        nb_man.cell_start = cell_start
        client = PapermillNotebookClient(
            nb_man, kernel_name=kernel_name, log_output=log_output, startup_timeout=start_timeout, timeout=None
        )
        with open(build_dir() / "kernel.log", "w") as log, _killed_by_ctrl_c(client, progress):
            client.execute(stderr=log)


@contextmanager
def _killed_by_ctrl_c(client: PapermillNotebookClient, progress: Progress):
    """On Ctrl-C kill the kernel at once: no wait for a busy cell, even where the exception itself gets lost."""

    def kill(number, frame):
        progress.interrupted = True
        pid = getattr(getattr(client.km, "provisioner", None), "pid", None)  # none before the kernel starts
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, kill)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


papermill_engines.register("harmonics", _Engine)


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
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=parameters,
                engine_name="harmonics",
                kernel_name="python3",
                cwd=str(build_dir()),
                progress_bar=False,
                progress=progress,
            )
        except PapermillExecutionError as error:
            reason = ": ".join([error.ename, *error.evalue.splitlines()[:1]])
            raise ReportError(f"{name}, cell {progress.cell}: {reason}") from error
        except DeadKernelError as error:
            if progress.interrupted:
                raise KeyboardInterrupt from error
            raise ReportError(f"{name}, cell {progress.cell}: the kernel died (killed, or out of memory)") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ReportError(f"{name}: could not be run: {reason}") from error
        progress.start(len(notebook.cells))
    return progress


def _read(source: Path) -> nbformat.NotebookNode:
    """A notebook, if it is one, and one of Python."""
    try:
        notebook = nbformat.read(source, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError) as error:
        raise ReportError(f"{source.stem}: expected a notebook, got a file that is truncated or foreign") from error
    kernel = notebook.metadata.get("kernelspec", {})
    if "python" not in (language := kernel.get("language", kernel.get("name", "python"))):
        raise ReportError(f"{source.stem}: expected a notebook of Python, its kernel speaks {language}")
    return notebook


def clean_notebook(executed: Path, source: Path) -> nbformat.NotebookNode:
    """The executed notebook without all that differs from run to run: times, paths, random ids, stderr."""
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
    """Execute one notebook in its staging folder and publish it; on failure keep it aside, publish nothing.

    Raises:
        ReportError: see ``execute``; the message ends with where the failed notebook is.
    """
    stage = staging_dir(source.stem)
    shutil.rmtree(stage, ignore_errors=True)
    target = stage / "notebooks" / source.name
    target.parent.mkdir(parents=True)
    try:
        progress = execute(source, target, {} if profile == "full" else {"profile": profile})
    except (ReportError, KeyboardInterrupt) as error:
        reason = str(error) or f"{source.stem}: interrupted"
        raise ReportError(f"{reason}{_keep_failed(target)}") from error
    notebook, metrics = clean_notebook(target, source), stage / "metrics" / f"{source.stem}.json"
    if metrics.exists():  # the numbers of other notebooks come when all have run
        own = {source.stem[:2]: json.loads(metrics.read_text(encoding="utf-8"))}
        try:
            fill_notebook(notebook, own, partial=True)
        except ReportError as error:
            raise ReportError(f"{source.stem}: {error}{_keep_failed(target)}") from error
    nbformat.write(notebook, target)
    publish(stage)
    shutil.rmtree(retrain_dir(source.stem), ignore_errors=True)
    return progress


def _keep_failed(notebook: Path) -> str:
    if not notebook.exists():
        return ""
    kept = build_dir() / "failed" / notebook.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(notebook, kept)
    return f" (the notebook with its traceback: {os.path.relpath(kept)})"
