"""``make peers``: score every method on a part of the grid and on the measured series, and time it.

What the tables have of a method in the version and with the settings of today is kept, so that a run
that was killed goes on where it was; ``make peers ANEW=1`` begins with empty tables.
"""

import json
import sys
from itertools import product
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from experiments.peers.learned import NAMES
from experiments.peers.methods import METHODS
from experiments.peers.scoring import CELL, CELLS, score
from harmonics_lib.evaluation.measured import MEASURED
from harmonics_lib.paths import results_dir
from harmonics_lib.published.store import record_checksums
from harmonics_lib.training.directory import write_atomically


class Table:
    """A published table that grows by parts, and is written after each: what it has is not computed again."""

    def __init__(self, name: str, keys: list[str]):
        self.path, self.keys = results_dir() / "metrics" / f"{name}.csv", keys
        self.rows = pd.read_csv(self.path) if self.path.exists() else pd.DataFrame(columns=keys)

    def forget(self, method: str) -> None:
        """Leave out the rows of a method that has changed."""
        self._publish(self.rows[self.rows["method"] != method])

    def lacks(self, key: tuple) -> bool:
        """Whether it has no row of this part."""
        return not (self.rows[self.keys] == key).all(axis=1).any()

    def add(self, parts: list[pd.DataFrame]) -> None:
        """Add the rows of parts that it lacks."""
        if parts:
            self._publish(pd.concat([self.rows, *parts] if len(self.rows) else parts))

    def _publish(self, rows: pd.DataFrame) -> None:
        self.rows = rows.sort_values(list(rows.columns[:6]), ignore_index=True)
        write(self.path, self.rows.to_csv(index=False, float_format="%.4g"))


def write(path: Path, text: str) -> None:
    """Publish a file, with its checksum."""
    write_atomically(path, text.encode())
    record_checksums([path])


def jobs(name: str, new: bool, cells: list[tuple], series: list[tuple]) -> list[tuple]:
    """What is to be done for a method, as arguments of ``score``: part by part, unless it has to be trained first."""
    if name in NAMES:
        return [(name, new, cells, series)]
    parts = [([cell], []) for cell in cells] + [([], [one]) for one in series]
    return [(name, True, [], [])] * new + [(name, False, *part) for part in parts]


def main(names: list[str]) -> None:
    """Bring the tables up to date for the methods of these names, or all, on every core."""
    grid, series = Table("peers", ["method", *CELL]), Table("peers_measured", ["method", "series", "lookback"])
    path = results_dir() / "metrics" / "peers.json"
    notes, todo = json.loads(path.read_text()) if path.exists() else {}, []
    for name in sorted(names or METHODS, key=lambda name: name not in NAMES):  # training takes longest
        method = METHODS[name]
        new = not method.words.items() <= notes.get(name, {}).items()
        if new:
            grid.forget(name)
            series.forget(name)
        cells = [cell for cell in CELLS if cell[2] in method.periods and grid.lacks((name, *cell))]
        kinds = product(MEASURED, method.lookbacks)
        windows = [(one, 100 if kind == "100" else MEASURED[one].long) for one, kind in kinds]
        todo += jobs(name, new, cells, [key for key in windows if series.lacks((name, *key))])
    parts = Parallel(n_jobs=-1, return_as="generator_unordered")(delayed(score)(*job) for job in todo)
    for words, of_grid, of_series in tqdm(parts, desc="parts", total=len(todo)):
        grid.add(of_grid)
        series.add(of_series)
        if words:
            notes |= words
            write(path, json.dumps(notes, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
