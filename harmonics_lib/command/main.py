"""The commands ``forecast``, for a column of a CSV file, and ``score``, for a forecaster of one's own."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from harmonics_lib.arguments import describe
from harmonics_lib.command.reading import read_series
from harmonics_lib.series.forecasts import forecast
from harmonics_lib.series.table import Forecast

_EXAMPLES = """examples:
  harmonics forecast sales.csv --horizon 12 --out build
  harmonics forecast sea.csv --time hour --column level --horizon 24 --seasons 24 168 --level 80 95 --out build
  cat values.csv | harmonics forecast - --horizon 10
  harmonics score mypackage:my_forecaster
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 1 after an error that is told in a sentence."""
    asked = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"note: {message}", file=sys.stderr)
            warnings.simplefilter("always", UserWarning)
            asked.run(asked)
    except (ValueError, OSError) as error:
        print(f"harmonics: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("harmonics", description=__doc__, epilog=_EXAMPLES, formatter_class=form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    ahead = commands.add_parser("forecast", help="continue a column of a CSV file, with intervals")
    ahead.add_argument("file", help="a CSV file whose first line names its columns; - for standard input")
    ahead.add_argument("--horizon", type=int, required=True, help="number of samples to forecast")
    ahead.add_argument("--column", help="of the values; needed where several columns hold numbers")
    ahead.add_argument("--time", help="column of times; by default the first one that holds dates or rising numbers")
    ahead.add_argument("--decimal", choices=[".", ","], help="the decimal mark, where the file leaves it open")
    ahead.add_argument("--level", type=float, nargs="+", default=[80, 95], help="of intervals, in percent: 80 95")
    ahead.add_argument("--seasons", type=int, nargs="+", help="lengths of seasons in samples, where you know some")
    ahead.add_argument("--periods", type=float, nargs="+", help="periods in samples of sinusoids, such as tides")
    ahead.add_argument("--out", type=Path, help="folder for forecast.csv and forecast.png; else the table is printed")
    ahead.set_defaults(run=_forecast)
    own = commands.add_parser("score", help="score a forecaster of your own on the published test sets and the grid")
    own.add_argument("name", metavar="MODULE:NAME", help="a function (lookback (B, N), horizon) -> (B, horizon)")
    own.add_argument("--size", type=int, default=1000, help="signals of each cell of the grid; 1000 are published")
    own.set_defaults(run=_score)
    return parser


def _forecast(asked: argparse.Namespace) -> None:
    """Forecast a file's column; the table goes to a folder or to standard output, what was found to the other one."""
    series = read_series(asked.file, asked.column, asked.time, asked.decimal)
    ahead = forecast(series, asked.horizon, asked.level, seasons=asked.seasons, periods=asked.periods)
    print(*_found(series, ahead), sep="\n", file=sys.stderr if asked.out is None else sys.stdout)
    table = ahead.rename_axis("time").to_csv(float_format="%.8g")
    if asked.out is None:
        print(table, end="")
        return
    picture = ahead.plot().figure
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "forecast.csv").write_text(table, encoding="utf-8")
    picture.savefig(asked.out / "forecast.png", dpi=150)
    print(f"written:        {asked.out / 'forecast.csv'} and {asked.out / 'forecast.png'}")


def _found(series: pd.Series, ahead: Forecast) -> Iterator[str]:
    """What was found, a line each."""
    count, missing = len(series), int(series.isna().sum())
    places = ahead.attrs["places"]
    yield f"samples:        {count - missing} from {series.index[0]} to {series.index[-1]}, {_step(series.index)} apart"
    yield f"missing:        {places - count + missing} of {places}"
    yield f"lines:          {', '.join(_lines(ahead)) or 'none'}"
    yield f"rest:           {_colour(ahead)}"
    errors = ahead.attrs["expected errors"]
    yield f"expected error: {errors[0]:.3g} after one step, {errors[-1]:.3g} after {len(errors)} (mean absolute error)"


def _step(index: pd.Index) -> str:
    """The most common distance of samples."""
    steps = pd.Series(index[1:] - index[:-1])
    usual = steps.round(9).mode()[0] if pd.api.types.is_float_dtype(steps) else steps.mode()[0]
    return f"{usual:.6g}" if isinstance(usual, float) else str(usual).removesuffix(" 00:00:00").removeprefix("0 days ")


def _lines(ahead: Forecast) -> Iterator[str]:
    """The three highest peaks of the spectrum: their periods, and their widths at half of their height."""
    powers = ahead.spectrum()
    for period, power in ahead.peaks().items():
        place, half = powers.index.get_loc(period), power / 2
        below = powers.to_numpy() < half
        left = place - np.argmax(below[place::-1]) if below[: place + 1].any() else 0
        right = place + np.argmax(below[place:]) if below[place:].any() else len(powers) - 1
        width = 1 / powers.index[right] - 1 / powers.index[left]
        yield f"period {period:.4g} samples (at most {width:.2g} cycles per sample wide)"


def _colour(ahead: Forecast) -> str:
    """How the spectrum outside its peaks falls with frequency, fitted on logarithmic axes."""
    powers = ahead.spectrum()
    typical = powers.rolling(25, center=True, min_periods=1).median()
    known = typical[typical > typical.max() * 1e-12]
    slope = np.polyfit(np.log(1 / known.index.to_numpy()), np.log(known.to_numpy()), 1)[0] if len(known) > 2 else 0.0
    if abs(slope) < 0.3:
        return "white noise"
    return f"power {'falls' if slope < 0 else 'rises'} with frequency to the power of {abs(slope):.1f}"


def _score(asked: argparse.Namespace) -> None:
    """Check a forecaster and print its errors on the frozen test sets and its row of the grid."""
    from harmonics_lib.evaluation.grid import evaluate, over_horizon
    from harmonics_lib.evaluation.scores import score
    from harmonics_lib.evaluation.testsets import FROZEN_SETS, Grid
    from harmonics_lib.forecasters.base import window_forecaster

    forecaster = window_forecaster(_imported(asked.name))
    for name, test in FROZEN_SETS.items():
        result = score(forecaster, test, 10)
        low, high = result.interval()
        print(f"{name}: MSE {result.mse:.5g} over ten samples, 95 % interval {low:.5g} to {high:.5g}")
    table = over_horizon(evaluate({asked.name: forecaster}, Grid(size=asked.size)), 10)
    print(table.pivot(index=["periods", "components"], columns="noise_std", values="mse").to_string())


def _imported(name: str):
    """An object by ``module:name``, from the current folder too."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"expected MODULE:NAME that can be imported, got {name} ({error})") from error
    if not callable(found):
        raise ValueError(f"expected a function (lookback, horizon), got {describe(found)}")
    return found
