"""Folders of results and of work in progress, and the environment variables that set them.

All environment variables of the project are read in this module:

``HARMONICS_RESULTS``   folder of the published results; default: ``results`` in the checkout or in the package.
``HARMONICS_BUILD``     folder for work in progress; default: ``build`` in the checkout or the working directory.
``HARMONICS_RETRAIN``   1: train networks again even if they are published.
``HARMONICS_PROGRESS``  file for progress bars, when the report runs without a terminal.
``HARMONICS_STILLS``    1: figures are static, without sliders.
"""

import os
from pathlib import Path


def _shipped_results() -> Path:
    return (checkout() or Path(__file__).resolve().parent) / "results"


def checkout() -> Path | None:
    """The root folder of the project, or None if only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else None


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable) or default).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{variable} must name a folder, got the file {path}")
    return path


def _switch(variable: str) -> bool:
    value = os.environ.get(variable, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{variable} must be 1 or 0, got {value!r}")
    return value == "1"


def results_dir() -> Path:
    """The folder of the published results (``HARMONICS_RESULTS``)."""
    return _folder("HARMONICS_RESULTS", _shipped_results())


def published_dirs() -> tuple[Path, ...]:
    """The folders in which published files are looked up: ``results_dir()``, then the results shipped with the code.

    Raises:
        ValueError: ``HARMONICS_RESULTS`` names a folder that does not exist.
    """
    if os.environ.get("HARMONICS_RESULTS") and not results_dir().is_dir():
        raise ValueError(f"HARMONICS_RESULTS must name a folder that exists, got {results_dir()}")
    return tuple(dict.fromkeys((results_dir(), _shipped_results())))


def data_dir() -> Path:
    """The folder of the measured series: ``data`` in the checkout, or beside the published results.

    Raises:
        ValueError: only the package is installed.
    """
    folder = (checkout() or results_dir().resolve().parent) / "data"
    if not folder.is_dir():
        raise ValueError(f"measured series are in the repository, not in the package: expected the folder {folder}")
    return folder


def build_dir() -> Path:
    """The folder for work in progress (``HARMONICS_BUILD``)."""
    return _folder("HARMONICS_BUILD", (checkout() or Path.cwd()) / "build")


def retraining() -> bool:
    """Whether networks are trained again even if they are published (``HARMONICS_RETRAIN``)."""
    return _switch("HARMONICS_RETRAIN")


def stills() -> bool:
    """Whether figures are static, without sliders (``HARMONICS_STILLS``)."""
    return _switch("HARMONICS_STILLS")


def progress() -> bool | Path:
    """The file for the progress bar of a training (``HARMONICS_PROGRESS``), or True for stderr."""
    path = os.environ.get("HARMONICS_PROGRESS")
    return Path(path) if path else True


def staging_dir(notebook: str) -> Path:
    """The folder that a running notebook writes to; on success the report publishes it to ``results_dir()``."""
    return build_dir() / "staging" / notebook


def retrain_dir(purpose: str) -> Path:
    """The folder in which networks are trained again, until they are published."""
    return build_dir() / "retrain" / purpose
