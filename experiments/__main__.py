"""The command line of tables that notebooks only read, and of benchmarks: ``python -m experiments COMMAND``."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path

import click
from filelock import FileLock, Timeout

from harmonics_lib.paths import build_dir

BENCHMARKS = Path(__file__).parent / "benchmarks"
#: By command: the module that makes its tables, and what they are.
TABLES = {
    "grid": ("experiments.grid", "errors of every method on the grid"),
    "limit": ("experiments.limit", "the Bayes limit"),
    "coverage": ("experiments.coverage", "the coverage of intervals"),
    "measured": ("experiments.measured", "errors of every method on the measured series"),
    "tides": ("experiments.tides", "errors of forecasts of the level of the sea"),
    "worlds": ("experiments.worlds", "errors of methods in worlds that break their assumptions"),
    "tuning": ("experiments.tuning", "errors under other constants than those that were tuned"),
    "constants": ("experiments.benchmark.constants", "errors of forecast under other constants"),
    "peers": (
        "experiments.peers.tables",
        "errors of other libraries, where they are installed, and of ours beside them",
    ),
}


@click.group()
def main():
    """Compute the tables that notebooks only read: parts that are missing or come from other code or settings."""


def fill(module: str, only: tuple[str, ...], jobs: int, anew: bool, adopt: bool, status: bool, **options: str) -> None:
    """Update the tables of a module, or report their status."""
    with nullcontext() if status else alone():
        for table, keys, work in import_module(module).tables(**options):
            name = table.path.stem
            if anew:
                table.forget(keys)
            if adopt:
                click.echo(f"{name}: same numbers for {', '.join(map(str, table.adopt(keys, work))) or 'none'}")
            elif not status:
                table.fill(keys, work, jobs, only)
            click.echo(f"{name}: {len(keys)} parts, {len(table.stale(keys))} of them missing or out of date")


@contextmanager
def alone() -> Iterator[None]:
    """One command at a time writes into the results of a checkout, a report or a training among them."""
    build_dir().mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(build_dir() / "lock", timeout=0).acquire()
    except Timeout as error:
        raise click.ClickException(
            f"a report, a training or another table is being made in {build_dir()}: wait until it ends"
        ) from error
    with lock:
        yield


OPTIONS = [
    click.Argument(["only"], nargs=-1),
    click.Option(["--jobs"], default=1, help="Processes at a time."),
    click.Option(["--anew"], is_flag=True, help="Compute all again; rows stay until they are replaced."),
    click.Option(["--adopt"], is_flag=True, help="Keep rows of changed code where a sample comes out the same."),
    click.Option(["--status"], is_flag=True, help="Only say how much is missing or out of date."),
]
for _name, (_module, _what) in TABLES.items():
    main.add_command(click.Command(_name, params=OPTIONS, callback=partial(fill, _module), help=f"Make {_what}."))


def benchmark(half: str, **options) -> None:
    """Update the scores of a half, and print what they come to."""
    from experiments.benchmark.tables import show

    fill("experiments.benchmark.tables", half=half, **options)
    if not options["only"]:
        click.echo(show(half))


_half = click.Option(["--half"], type=click.Choice(["development", "test"]), required=True, help="Series to forecast.")
_what = "Make scores on measured series of public packages, ours and those of other libraries."
main.add_command(click.Command("benchmark", params=[*OPTIONS, _half], callback=benchmark, help=_what))


@main.command()
@click.argument("names", nargs=-1)
def bench(names: tuple[str, ...]):
    """Measure speeds again, of all benchmarks or of those with these names."""
    scripts = sorted(path for path in BENCHMARKS.glob("*.py") if path.stem != "common")
    for script in (path for path in scripts if not names or path.stem in names):
        subprocess.run([sys.executable, script], check=True)


if __name__ == "__main__":
    main()
