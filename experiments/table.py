"""Tables that notebooks only read. Missing parts, and parts from other code or settings, are computed."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from harmonics_lib.forecasters.base import UnstableForecast, cpu_threads
from harmonics_lib.paths import results_dir
from harmonics_lib.published.store import record_checksums
from harmonics_lib.training.directory import write_atomically

_OF_MACHINE = ("seconds",)  # columns that differ from run to run
_SAMPLE = 3  # parts of a method that are recomputed to test whether changed code gives the same numbers


class Table:
    """A published table, ``metrics/NAME.csv``, in parts: a part is the rows with the same values in ``columns``.

    ``metrics/NAME.keys.json`` has the key of code and settings (see ``keys``) of each part, or one for
    all parts with the same first column. Every part is written as soon as it is computed and replaces
    the old one, so a computation that is killed can be resumed.

    Args:
        name: of the table.
        columns: the columns that identify the part of a row.
    """

    def __init__(self, name: str, columns: Sequence[str]):
        folder = results_dir() / "metrics"
        self.columns, self.path, self.keys_path = list(columns), folder / f"{name}.csv", folder / f"{name}.keys.json"
        empty = pd.DataFrame(columns=self.columns)
        self.rows = pd.read_csv(self.path) if self.path.exists() else empty
        stored = json.loads(self.keys_path.read_text(encoding="utf-8")) if self.keys_path.exists() else {}
        self.keys = {}
        for part in self.rows[self.columns].drop_duplicates().itertuples(index=False, name=None):
            of_group = stored.get(str(part[0]), "")
            self.keys[part] = of_group if isinstance(of_group, str) else of_group.get(_label(part), "")

    def stale(self, keys: Mapping[tuple, str | None]) -> list[tuple]:
        """The parts that are missing or have another key; a key of None marks a part that cannot be computed here."""
        return [part for part, key in keys.items() if key is not None and self.keys.get(part) != key]

    def forget(self, keys: Mapping[tuple, str | None]) -> None:
        """Mark every part that can be computed here as stale; its rows stay until they are replaced."""
        self.keys |= {part: "" for part in self.keys if keys.get(part)}
        self._write()

    def adopt(self, keys: Mapping[tuple, str | None], work: Callable[..., pd.DataFrame]) -> list[str]:
        """Give stale parts their new keys if a recomputed sample of their group agrees.

        Returns:
            The groups that agree: values of the first column.
        """
        adopted = []
        stale = [part for part in self.stale(keys) if part in self.keys]
        for group in dict.fromkeys(part[0] for part in stale):
            parts = [part for part in stale if part[0] == group]
            sample = parts[:: -(-len(parts) // _SAMPLE)]
            if all(_agree(self._of(part), _work(work, part)[1]) for part in tqdm(sample, desc=str(group))):
                self.keys |= {part: keys[part] for part in parts}
                adopted.append(group)
                self._write()
        return adopted

    def fill(
        self, keys: Mapping[tuple, str | None], work: Callable[..., pd.DataFrame], jobs: int = 1, only: Sequence = ()
    ) -> None:
        """Compute the stale parts, ``jobs`` at a time, then delete parts that have no key.

        Args:
            keys: of all parts of the table.
            work: computes the rows of a part, without ``columns``, from its values of them.
            jobs: number of processes.
            only: groups to compute, values of the first column; by default all.
        """
        todo = [part for part in self.stale(keys) if not only or part[0] in only]
        computed = Parallel(jobs, return_as="generator_unordered")(delayed(_work)(work, part) for part in todo)
        for part, rows in tqdm(computed, total=len(todo), desc=self.path.stem):
            self._put(part, keys[part], rows)
        if not only and (gone := self.keys.keys() - keys.keys()):
            for part in gone:
                self._drop(part)
            self._write()
        record_checksums(self.keys_path.parent.glob(self.keys_path.name))  # in case a run was killed before it did

    def _of(self, part: tuple) -> pd.DataFrame:
        return self.rows[(self.rows[self.columns] == list(part)).all(axis=1)]

    def _drop(self, part: tuple) -> None:
        self.rows, self.keys = self.rows.drop(self._of(part).index), {p: k for p, k in self.keys.items() if p != part}

    def _put(self, part: tuple, key: str, rows: pd.DataFrame) -> None:
        self._drop(part)
        new = pd.DataFrame([part] * len(rows), columns=self.columns, index=rows.index).join(rows)
        self.rows = pd.concat([self.rows, new] if len(self.rows) else [new], ignore_index=True)
        self.keys[part] = key
        self._write()

    def _write(self) -> None:
        """Write the rows, then the keys. After a kill in between, a part is computed again."""
        self.rows = self.rows.sort_values(self.columns, kind="stable", ignore_index=True)
        write_atomically(self.path, self.rows.to_csv(index=False, float_format="%.4g").encode())
        record_checksums([self.path])
        groups: dict[str, dict[str, str]] = {}
        for part, key in sorted(self.keys.items()):
            groups.setdefault(str(part[0]), {})[_label(part)] = key
        short = {
            name: keys if len(set(keys.values())) > 1 else next(iter(keys.values())) for name, keys in groups.items()
        }
        write_atomically(self.keys_path, (json.dumps(short, indent=1) + "\n").encode())
        record_checksums([self.keys_path])


def _label(part: tuple) -> str:
    """The label of a part within its group: its values but the first."""
    return ", ".join(f"{value:g}" if isinstance(value, (int, float)) else str(value) for value in part[1:])


def _work(work: Callable[..., pd.DataFrame], part: tuple) -> tuple[tuple, pd.DataFrame]:
    with cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)  # the rows count them
        return part, work(*part).reset_index(drop=True)


def _agree(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Whether rows agree to about three digits, or are both rounding errors below 1e-12."""
    if len(old) != len(new) or not {*new} <= {*old}:
        return False
    return all(_close(old[name].to_numpy(), new[name].to_numpy()) for name in new if name not in _OF_MACHINE)


def _close(old: np.ndarray, new: np.ndarray) -> bool:
    if new.dtype.kind not in "fiu":
        return (old == new).all()
    return np.allclose(old, new, rtol=1e-3, atol=1e-12, equal_nan=True)
