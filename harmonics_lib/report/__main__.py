"""The command line: ``python -m harmonics_lib.report`` run, train, limit, measured, prose, badges."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

from harmonics_lib.published import (
    build_dir,
    checkout,
    finish_publishing,
    record_checksums,
    results_dir,
    train_again,
)
from harmonics_lib.report.prose import OVERVIEW, ReportError, notebook_paths, render_badges, render_prose
from harmonics_lib.report.runner import FOREIGN_ENVIRONMENT, KERNEL_ENVIRONMENT, run_notebook
from harmonics_lib.runs import RunError
from harmonics_lib.training import TrainingDiverged


def _write_or_fail(render) -> None:
    """Write the texts that differ from what stands there."""
    try:
        rendered = render()
    except ReportError as error:
        click.echo(f"FAILED {error}", err=True)
        sys.exit(1)
    for path, text in rendered.items():
        if path.read_text() != text:
            path.write_text(text)
            click.echo(f"updated {os.path.relpath(path)}")


def _write_tables(**writers: Callable[[Path], None]) -> None:
    """Bring published tables up to date, by name, and their checksums."""
    for name, write in writers.items():
        path = results_dir() / "metrics" / f"{name}.csv"
        write(path)
        record_checksums([path])


@click.group()
def main():
    """Build the report."""
    finish_publishing()


@main.command()
@click.option("--notebooks", default="", help='Numbers of the notebooks to run, for example "01 03"; all when empty.')
@click.option("--quick", is_flag=True, help="The quick profile, from scratch, into build/quick.")
def run(notebooks: str, quick: bool):
    """Execute the notebooks in order and publish each one that succeeds."""
    if quick:
        build = checkout() / "build" / "quick"
        shutil.rmtree(build, ignore_errors=True)
        os.environ |= {"HARMONICS_BUILD": str(build), "HARMONICS_RESULTS": str(build / "results")}
    os.environ |= KERNEL_ENVIRONMENT | {
        "HARMONICS_BUILD": str(build_dir().resolve()),
        "HARMONICS_RESULTS": str(results_dir().resolve()),
    }
    for name in FOREIGN_ENVIRONMENT:
        os.environ.pop(name, None)
    timings, status = {}, 0
    try:
        for path in sorted(notebook_paths(notebooks), key=lambda path: path.stem == OVERVIEW):  # it quotes all others
            progress = run_notebook(path, "quick" if quick else "full")
            timings[path.stem] = {"seconds": round(progress.total, 1), "cells": progress.seconds}
            click.echo(f"{path.stem}: published after {progress.total:.0f} s", err=True)
    except (ReportError, RunError, KeyboardInterrupt) as error:
        click.echo(f"FAILED {str(error) or 'interrupted'}", err=True)
        status = 130 if isinstance(error.__cause__ or error, KeyboardInterrupt) else 1
    log = {"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": " ".join(os.uname()), "notebooks": timings}
    if timings:
        (results_dir() / "provenance.local.json").write_text(json.dumps(log, indent=1) + "\n")
    if timings and not quick:
        _write_or_fail(render_prose)
    sys.exit(status)


@main.command()
@click.argument("name")
def train(name: str):
    """Train the published network NAME anew, on GPUs where there are any; under torchrun, on several."""
    try:
        train_again(name, device="cuda" if torch.cuda.is_available() else "cpu")
    except (ValueError, RunError, TrainingDiverged) as error:
        raise click.ClickException(str(error)) from error


@main.command()
def limit():
    """Bring the tables up to date that the report only reads: the Bayes limit, and the coverage of intervals."""
    from harmonics_lib.report.coverage import write_coverage  # here: only this command needs numba
    from harmonics_lib.report.limit import write_limit

    _write_tables(coverage=write_coverage, bayes_limit=write_limit)


@main.command()
def measured():
    """Score every method on the measured series anew, into the tables that notebook 12 reads."""
    from harmonics_lib.report.measured import write_measured, write_one_step

    _write_tables(measured=write_measured, measured_one_step=write_one_step)


@main.command()
def prose():
    """Write the published numbers into README and notebooks."""
    _write_or_fail(render_prose)


@main.command()
def badges():
    """Write the repository's URL into badges and Colab cells."""
    _write_or_fail(render_badges)


if __name__ == "__main__":
    main()
