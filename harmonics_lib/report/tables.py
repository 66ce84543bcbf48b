"""Tables and code listings for more than one notebook."""

import inspect
from collections.abc import Sequence
from textwrap import dedent

import pandas as pd
from IPython.display import Markdown

from harmonics_lib.report.findings import ROUNDING

ORACLE = "known periods"


def listing(*objects) -> Markdown:
    """The source code of functions, methods or classes of the library, as a Markdown cell."""
    source = "\n\n".join(dedent(inspect.getsource(each)).strip() for each in objects)
    return Markdown(f"```python\n{source}\n```")


def grid_table(grid: pd.DataFrame, noise_levels: Sequence[float] = (0.0, 0.1)) -> str:
    """Mean squared errors of every method as a Markdown table, the best of each column in bold.

    Args:
        grid: rows of ``load_table("grid")`` for one range of steps and one kind of periods.
    """
    wide = grid[grid.noise_std.isin(noise_levels)].pivot(
        index="method", columns=["noise_std", "components"], values="mse"
    )
    wide = wide.sort_index(axis=1).sort_values(wide.columns[-1])
    best = wide.drop(index=ORACLE).min().clip(lower=ROUNDING)
    names = [f"{count}, noise {noise:g}" if noise else f"{count}" for noise, count in wide.columns]
    rows = [f"| components | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method, errors in wide.iterrows():
        cells = [f"< {ROUNDING:g}" if error < ROUNDING else f"{error:.1e}" for error in errors]
        marked = [
            f"**{cell}**" if method != ORACLE and error <= low else cell
            for cell, error, low in zip(cells, errors, best, strict=True)
        ]
        rows.append(f"| {method} | {' | '.join(marked)} |")
    return "\n".join(rows)
