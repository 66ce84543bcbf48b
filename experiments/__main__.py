"""The command line of the tables that the notebooks only read: ``python -m experiments`` limit, measured."""

from collections.abc import Callable
from pathlib import Path

import click

from experiments.coverage import write_coverage
from experiments.limit import write_limit
from experiments.measured import write_measured, write_one_step
from harmonics_lib.paths import results_dir
from harmonics_lib.published.store import record_checksums


def _write_tables(**writers: Callable[[Path], None]) -> None:
    """Bring published tables up to date, by name, and their checksums."""
    for name, write in writers.items():
        path = results_dir() / "metrics" / f"{name}.csv"
        write(path)
        record_checksums([path])


@click.group()
def main():
    """Make the tables that the notebooks only read."""


@main.command()
def limit():
    """Bring up to date the Bayes limit, and the coverage of intervals."""
    _write_tables(coverage=write_coverage, bayes_limit=write_limit)


@main.command()
def measured():
    """Score every method on the measured series anew."""
    _write_tables(measured=write_measured, measured_one_step=write_one_step)


if __name__ == "__main__":
    main()
