"""Publication of staged files, and the record of their checksums."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harmonics_lib.checksums import SUMS, digest, read_checksums
from harmonics_lib.paths import results_dir
from harmonics_lib.training.directory import write_atomically

_CHECKSUM_FOLDERS = ("metrics", "models", "runs")  # the folders of files that are loaded again


def publish(stage: Path) -> None:
    """Move the files in ``stage``, a folder with the structure of ``results_dir()``, to the published results.

    Each file is replaced in one move. Old files of a replaced folder are deleted. A run's
    configuration and the checksums are written last, so a publication that was killed is refused when it is loaded.

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
    record_checksums(path for path in published if path.relative_to(root).parts[0] in _CHECKSUM_FOLDERS)
    shutil.rmtree(stage)


def _move(file: Path, target: Path) -> None:
    try:
        os.replace(file, target)
    except OSError:  # another file system
        write_atomically(target, file.read_bytes())


def record_checksums(paths: Iterable[Path]) -> None:
    """Update ``SHA256SUMS`` for files of the published results, and remove the entries of missing files."""
    root = results_dir()
    sums = read_checksums(root) | {path.relative_to(root).as_posix(): digest(path.read_bytes()) for path in paths}
    lines = [f"{recorded}  {name}\n" for name, recorded in sorted(sums.items()) if (root / name).exists()]
    write_atomically(root / SUMS, "".join(lines).encode())
