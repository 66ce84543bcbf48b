"""The command line: ``python -m harmonics_lib.report`` run, train, prose, badges."""

import json
import os
import shutil
import sys
import time

import click
import torch

from harmonics_lib.paths import build_dir, checkout, results_dir
from harmonics_lib.published.runs import train_again
from harmonics_lib.report.prose import OVERVIEW, ReportError, notebook_paths, render_badges, render_prose
from harmonics_lib.report.runner import FOREIGN_ENVIRONMENT, KERNEL_ENVIRONMENT, run_notebook
from harmonics_lib.training.directory import RunError
from harmonics_lib.training.trainer import TrainingDiverged


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


@click.group()
def main():
    """Build the report."""


@main.command()
@click.option("--notebooks", default="", help='Numbers of the notebooks to run, for example "01 03"; all when empty.')
@click.option("--quick", is_flag=True, help="The quick profile, from scratch, into build/quick.")
def run(notebooks: str, quick: bool):
    """Execute the notebooks in order and publish each one that succeeds."""
    if quick:
        build = checkout() / "build" / "quick"
        shutil.rmtree(build, ignore_errors=True)
        os.environ |= {"HARMONICS_BUILD": str(build), "HARMONICS_RESULTS": str(build / "results")}
        os.environ.setdefault("WANDB_MODE", "offline")  # tiny trainings are tracked, but not among somebody's own
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
def prose():
    """Write the published numbers into the README and the executed notebooks."""
    _write_or_fail(render_prose)


@main.command()
def badges():
    """Write the repository's URL into badges and Colab cells."""
    _write_or_fail(render_badges)


if __name__ == "__main__":
    main()
