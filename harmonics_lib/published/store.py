"""Where published files are put, with checksums that tell whether they are intact."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harmonics_lib.checksums import SUMS, digest, read_checksums
from harmonics_lib.paths import results_dir
from harmonics_lib.training.directory import write_atomically

_LOADED = ("metrics", "models", "runs")  # where these are that a notebook or a training makes


def publish(stage: Path) -> None:
    """Put what a notebook or a training made, a folder like ``results_dir()``, in its place there.

    Each file is replaced in one move. What was a folder keeps no file that the new one lacks. A run's
    configuration and the checksums come last: what a kill leaves half published is refused when it is loaded.

    Raises:
        OSError, RunError: the disk is full or not writable.
    """
    root, published = results_dir(), set()
    for file in sorted(stage.glob("*/**/*"), key=lambda path: path.name == "config.json"):
        if file.is_file():
            target = root / file.relative_to(stage)
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(file, target)
            published.add(target)
    for entry in stage.glob("*/*"):
        for old in set((root / entry.relative_to(stage)).glob("**/*")) - published:
            old.unlink()
    record_checksums(path for path in published if path.relative_to(root).parts[0] in _LOADED)
    shutil.rmtree(stage)


def _move(file: Path, target: Path) -> None:
    try:
        os.replace(file, target)
    except OSError:  # another file system
        write_atomically(target, file.read_bytes())


def record_checksums(paths: Iterable[Path]) -> None:
    """Bring ``SHA256SUMS`` up to date for files of the published results; those that are gone leave it."""
    root = results_dir()
    sums = read_checksums(root) | {path.relative_to(root).as_posix(): digest(path.read_bytes()) for path in paths}
    lines = [f"{recorded}  {name}\n" for name, recorded in sorted(sums.items()) if (root / name).exists()]
    write_atomically(root / SUMS, "".join(lines).encode())
