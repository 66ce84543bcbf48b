"""The command line: ``python -m harmonics_lib.report`` run, train, prose, badges."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

try:
    import click
    import torch
    from filelock import FileLock, Timeout

    from harmonics_lib.paths import build_dir, results_dir
    from harmonics_lib.published.runs import train_again
    from harmonics_lib.report.prose import ReportError, notebook_paths, render_badges, render_prose, repository
    from harmonics_lib.report.runner import FOREIGN_ENVIRONMENT, KERNEL_ENVIRONMENT, Progress, run_notebooks
    from harmonics_lib.training.directory import RunError
    from harmonics_lib.training.distributed import is_first_process
    from harmonics_lib.training.trainer import TrainingDiverged
except ModuleNotFoundError as error:
    sys.exit(f"FAILED {error}: the report needs the checkout, with what make setup installs")

_LOCK = "lock"


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """An error inside the ``with`` block ends the command with one sentence and the exit status 1."""
    try:
        repository()
        yield
    except (ReportError, RunError, TrainingDiverged, ValueError, OSError) as error:
        click.echo(f"FAILED {error}", err=True)
        sys.exit(1)


@contextmanager
def _lock_build() -> Iterator[None]:
    """Lock the build folder for one report or training; the processes of ``torchrun`` count as one.

    Raises:
        ReportError: another report or training holds the lock.
    """
    build_dir().mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            if is_first_process():
                stack.enter_context(FileLock(build_dir() / _LOCK, timeout=0))
        except Timeout as error:
            raise ReportError(f"another report or training is at work in {build_dir()}: wait until it ends") from error
        yield


def _write(rendered: dict[Path, str]) -> None:
    """Write the texts that differ from the files."""
    for path, text in rendered.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            click.echo(f"updated {os.path.relpath(path)}")


@click.group()
def main():
    """Build the report."""


@main.command()
@click.option("--notebooks", default="", help='Numbers of the notebooks to run, for example "01 03"; all when empty.')
@click.option("--quick", is_flag=True, help="The quick profile, from scratch, into build/quick.")
def run(notebooks: str, quick: bool):
    """Execute the notebooks and publish each one that succeeds."""
    with _exit_on_error():
        _set_environment(quick)
        with _lock_build():
            if quick:
                _empty(build_dir())
            results_dir().mkdir(parents=True, exist_ok=True)
            sys.exit(_run(notebook_paths(notebooks), "quick" if quick else "full"))


def _set_environment(quick: bool) -> None:
    """Set the environment variables that kernels inherit."""
    if quick:
        build = repository() / "build" / "quick"
        os.environ |= {"HARMONICS_BUILD": str(build), "HARMONICS_RESULTS": str(build / "results")}
        os.environ.setdefault("WANDB_MODE", "offline")  # tiny trainings stay out of the user's project
    os.environ |= KERNEL_ENVIRONMENT | {
        "HARMONICS_BUILD": str(build_dir().resolve()),
        "HARMONICS_RESULTS": str(results_dir().resolve()),
    }
    for name in FOREIGN_ENVIRONMENT:
        os.environ.pop(name, None)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()


def _run(sources: list[Path], profile: str) -> int:
    """The exit status of a report on these notebooks: 0 when all were published, 130 after Ctrl-C, else 1."""
    timings, status = {}, 0
    try:
        for source, outcome in run_notebooks(sources, profile):
            if isinstance(outcome, Progress):
                timings[source.stem] = {"seconds": round(outcome.total, 1), "cells": outcome.seconds}
                click.echo(f"{source.stem}: published after {outcome.total:.0f} s", err=True)
            else:
                click.echo(f"FAILED {outcome}", err=True)
                status = 130 if isinstance(outcome.__cause__, KeyboardInterrupt) else status or 1
    except KeyboardInterrupt:
        click.echo("FAILED interrupted", err=True)
        status = 130
    if timings:
        log = {"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": " ".join(os.uname()), "notebooks": timings}
        text = json.dumps(log, indent=1) + "\n"
        (results_dir() / "provenance.local.json").write_text(text, encoding="utf-8")
        _write(render_prose())
    return status


@main.command()
@click.argument("name")
def train(name: str):
    """Train the published network NAME again, on a GPU if there is one; under torchrun, on several."""
    with _exit_on_error(), _lock_build():
        train_again(name, device="cuda" if torch.cuda.is_available() else "cpu")


@main.command()
def prose():
    """Write the published numbers into the README and the executed notebooks."""
    with _exit_on_error():
        _write(render_prose())


@main.command()
def badges():
    """Write the repository's URL into badges and Colab cells."""
    with _exit_on_error():
        _write(render_badges())


if __name__ == "__main__":
    main()
