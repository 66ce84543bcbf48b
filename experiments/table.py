"""Tables that notebooks only read: what a table lacks, or has from other code or settings, is computed."""

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

_SAMPLE = 3  # parts of a method that tell whether changed code still gives its numbers


class Table:
    """A published table, ``metrics/NAME.csv``, in parts: the rows that have the same values in ``columns``.

    ``metrics/NAME.keys.json`` beside it has the key of code and settings (see ``keys``) of each part,
    or one for all parts that share their first column. Every part is written as soon as it is
    computed, in the place of the one before it: killed, it goes on where it was.

    Args:
        name: of the table.
        columns: that say which part a row is of.
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
            self.keys[part] = of_group if isinstance(of_group, str) else of_group.get(_rest(part), "")

    def stale(self, keys: Mapping[tuple, str | None]) -> list[tuple]:
        """The parts that are missing or have another key; None stands for what cannot be computed here."""
        return [part for part, key in keys.items() if key is not None and self.keys.get(part) != key]

    def forget(self, keys: Mapping[tuple, str | None]) -> None:
        """Let every part that can be computed here be computed anew; its rows stay until then."""
        self.keys |= {part: "" for part in self.keys if keys.get(part)}
        self._write()

    def adopt(self, keys: Mapping[tuple, str | None], work: Callable[..., pd.DataFrame]) -> list[str]:
        """Give parts that are stale their keys where a sample comes out as it stands; the names of those groups."""
        adopted = []
        stale = [part for part in self.stale(keys) if part in self.keys]
        for group in dict.fromkeys(part[0] for part in stale):
            parts = [part for part in stale if part[0] == group]
            sample = parts[:: -(-len(parts) // _SAMPLE)]
            if all(_same(self._of(part), _work(work, part)[1]) for part in tqdm(sample, desc=str(group))):
                self.keys |= {part: keys[part] for part in parts}
                adopted.append(group)
                self._write()
        return adopted

    def fill(
        self, keys: Mapping[tuple, str | None], work: Callable[..., pd.DataFrame], jobs: int = 1, only: Sequence = ()
    ) -> None:
        """Compute the parts that are stale, ``jobs`` at a time; then parts that are none any more go.

        Args:
            keys: of all parts that the table is to have.
            work: makes a part's rows, without ``columns``, from the part's values.
            only: groups, values of the first column, that are computed; all unless given.
        """
        todo = [part for part in self.stale(keys) if not only or part[0] in only]
        computed = Parallel(jobs, return_as="generator_unordered")(delayed(_work)(work, part) for part in todo)
        for part, rows in tqdm(computed, total=len(todo), desc=self.path.stem):
            self._put(part, keys[part], rows)
        if not only and (gone := self.keys.keys() - keys.keys()):
            for part in gone:
                self._drop(part)
            self._write()
        record_checksums(self.keys_path.parent.glob(self.keys_path.name))  # if a run was killed just before it

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
        """The rows, part after part, then the keys: killed in between, a part is computed again."""
        self.rows = self.rows.sort_values(self.columns, kind="stable", ignore_index=True)
        write_atomically(self.path, self.rows.to_csv(index=False, float_format="%.4g").encode())
        record_checksums([self.path])
        groups: dict[str, dict[str, str]] = {}
        for part, key in sorted(self.keys.items()):
            groups.setdefault(str(part[0]), {})[_rest(part)] = key
        short = {
            name: keys if len(set(keys.values())) > 1 else next(iter(keys.values())) for name, keys in groups.items()
        }
        write_atomically(self.keys_path, (json.dumps(short, indent=1) + "\n").encode())
        record_checksums([self.keys_path])


def _rest(part: tuple) -> str:
    """A part among those of its first column."""
    return ", ".join(f"{value:g}" if isinstance(value, (int, float)) else str(value) for value in part[1:])


def _work(work: Callable[..., pd.DataFrame], part: tuple) -> tuple[tuple, pd.DataFrame]:
    with cpu_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableForecast)  # which the rows count
        return part, work(*part).reset_index(drop=True)


def _same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Whether rows are equal to four digits or, where errors are rounding alone, both below 1e-12."""
    if len(old) != len(new) or not {*new} <= {*old}:
        return False
    return all(_near(old[name].to_numpy(), new[name].to_numpy()) for name in new)


def _near(old: np.ndarray, new: np.ndarray) -> bool:
    if new.dtype.kind not in "fiu":
        return (old == new).all()
    return np.allclose(old, new, rtol=1e-3, atol=1e-12, equal_nan=True)
