"""Tables that the notebooks and the README show."""

import ast

import pandas as pd

from harmonics_lib.networks.recurrent import SmallLSTM
from harmonics_lib.report.tables import ORACLE, grid_table, listing


def test_the_grid_table_marks_the_best_of_each_column_and_never_the_oracle():
    rows = [(ORACLE, 0.0, 1e-20), ("a", 0.0, 3e-13), ("b", 0.0, 2e-14), ("c", 0.0, 0.5)]
    rows += [(ORACLE, 0.1, 0.01), ("a", 0.1, 0.3), ("b", 0.1, 0.2), ("c", 0.1, 0.4)]
    grid = pd.DataFrame(rows, columns=["method", "noise_std", "mse"]).assign(components=5)
    _, _, *lines = grid_table(grid).splitlines()
    table = {name: cells for name, *cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}
    best = {(name, column) for name, cells in table.items() for column, cell in enumerate(cells) if "**" in cell}
    assert best == {("a", 0), ("b", 0), ("b", 1)}  # what is below 1e-12 is rounding, and equally good
    assert [float(table[name][1].strip("*")) for name in (ORACLE, "a", "b", "c")] == [0.01, 0.3, 0.2, 0.4]


def test_a_listing_is_code_as_it_stands_in_the_library():
    text = listing(SmallLSTM.__init__, SmallLSTM.forecast).data
    assert text.startswith("```python\n") and text.endswith("\n```")
    functions = ast.parse(text.removeprefix("```python\n").removesuffix("```")).body
    assert [function.name for function in functions] == ["__init__", "forecast"]
