"""Where results lie, what is published there, and the settings that say so.

The environment variables of the project are read here and nowhere else:

``HARMONICS_RESULTS``   folder of the published results; else the checkout's, or those in the package.
``HARMONICS_BUILD``     folder for work in progress; else ``build`` in the checkout or the working directory.
``HARMONICS_RETRAIN``   1: train networks anew though they are published.
``HARMONICS_PROGRESS``  file that bars of progress are written to, for a report that runs headless.
``HARMONICS_STILLS``    1: figures stand still, without sliders.
"""

import os
from pathlib import Path


def _shipped_results() -> Path:
    return (checkout() or Path(__file__).resolve().parent) / "results"


def checkout() -> Path | None:
    """The folder of the project, or None where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else None


def _folder(variable: str, otherwise: Path) -> Path:
    path = Path(os.environ.get(variable) or otherwise).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{variable} must name a folder, got the file {path}")
    return path


def _switch(variable: str) -> bool:
    value = os.environ.get(variable, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{variable} must be 1 or 0, got {value!r}")
    return value == "1"


def results_dir() -> Path:
    """Published results (``HARMONICS_RESULTS``)."""
    return _folder("HARMONICS_RESULTS", _shipped_results())


def published_dirs() -> tuple[Path, ...]:
    """Where published files are looked up: ``results_dir()``, then the results that came with the code.

    Raises:
        ValueError: ``HARMONICS_RESULTS`` names no folder that is there.
    """
    if os.environ.get("HARMONICS_RESULTS") and not results_dir().is_dir():
        raise ValueError(f"HARMONICS_RESULTS must name a folder that is there, got {results_dir()}")
    return tuple(dict.fromkeys((results_dir(), _shipped_results())))


def data_dir() -> Path:
    """The measured series: ``data`` in the checkout, or beside the published results.

    Raises:
        ValueError: only the package is installed.
    """
    folder = (checkout() or results_dir().resolve().parent) / "data"
    if not folder.is_dir():
        raise ValueError(f"measured series lie in the repository, not in the package: expected {folder}")
    return folder


def build_dir() -> Path:
    """Work in progress (``HARMONICS_BUILD``)."""
    return _folder("HARMONICS_BUILD", (checkout() or Path.cwd()) / "build")


def retraining() -> bool:
    """Whether networks are trained anew though they are published (``HARMONICS_RETRAIN``)."""
    return _switch("HARMONICS_RETRAIN")


def stills() -> bool:
    """Whether figures stand still, without sliders (``HARMONICS_STILLS``)."""
    return _switch("HARMONICS_STILLS")


def progress() -> bool | Path:
    """Where a training shows how far it is: a file (``HARMONICS_PROGRESS``), else True for stderr."""
    path = os.environ.get("HARMONICS_PROGRESS")
    return Path(path) if path else True


def staging_dir(notebook: str) -> Path:
    """Where a running notebook writes; the report publishes it to ``results_dir()`` on success."""
    return build_dir() / "staging" / notebook


def retrain_dir(purpose: str) -> Path:
    """Where networks are trained anew until they are published: nothing here has been used yet."""
    return build_dir() / "retrain" / purpose
