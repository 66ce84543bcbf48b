"""Tables that the notebooks and the README show."""

import ast

import numpy as np
import pandas as pd

from harmonics_lib.evaluation.scores import Score
from harmonics_lib.networks.recurrent import SmallLSTM
from harmonics_lib.report.tables import ORACLE, grid_table, listing, step_table


def test_the_grid_table_marks_the_best_of_each_column_and_never_the_oracle():
    rows = [(ORACLE, 0.0, 1e-20), ("a", 0.0, 3e-13), ("b", 0.0, 2e-14), ("c", 0.0, 0.5)]
    rows += [(ORACLE, 0.1, 0.01), ("a", 0.1, 0.3), ("b", 0.1, 0.2), ("c", 0.1, 0.4)]
    grid = pd.DataFrame(rows, columns=["method", "noise_std", "mse"]).assign(components=5)
    assert grid_table(grid).splitlines() == [
        "| components | 5 | 5, noise 0.1 |",
        "|---|---|---|",
        "| known periods | < 1e-12 | 1.0e-02 |",
        "| b | **< 1e-12** | **2.0e-01** |",
        "| a | **< 1e-12** | 3.0e-01 |",
        "| c | 5.0e-01 | 4.0e-01 |",
    ]


def test_the_table_by_step_ends_with_the_mean_and_its_interval():
    errors = np.array([[0.1, 0.3], [0.1, 0.3]])
    score = Score(errors, ranked=np.sqrt(errors), power=np.ones(2), unstable=0)
    assert step_table({"mine": score})["mine"].to_dict() == {
        "step 1": "0.10000",
        "step 2": "0.30000",
        "mean": "0.20000",
        "95 % interval": "0.20000 – 0.20000",
    }


def test_a_listing_is_code_as_it_stands_in_the_library():
    text = listing(SmallLSTM.__init__, SmallLSTM.forecast).data
    assert text.startswith("```python\n") and text.endswith("\n```")
    functions = ast.parse(text.removeprefix("```python\n").removesuffix("```")).body
    assert [function.name for function in functions] == ["__init__", "forecast"]
