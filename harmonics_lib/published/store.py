"""Where published files are put, and the checksums that tell whether they are intact."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harmonics_lib.training.directory import write_atomically
from harmonics_lib.training.distributed import is_first_process

if TYPE_CHECKING:
    pass
from harmonics_lib.paths import build_dir, results_dir

_SUMS = "SHA256SUMS"  # of all published files that are loaded again


_LOADED = ("metrics", "models", "runs")  # where these are that a notebook or a training makes


def publish(stage: Path) -> None:
    """Put what a notebook or a training made, a folder like ``results_dir()``, in its place there.

    It first moves to where it waits: from here on a kill loses nothing (see ``finish_publishing``).
    """
    waiting = build_dir() / "publishing" / stage.name
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.parent.mkdir(parents=True, exist_ok=True)
    os.replace(stage, waiting)
    _publish(waiting)


def finish_publishing() -> None:
    """Publish what a command that was killed had begun to publish; what a killed write left goes.

    Of several processes of ``torchrun`` the first one does it.
    """
    if not is_first_process():
        return
    for unfinished in results_dir().glob("**/*.part"):
        unfinished.unlink()
    for waiting in sorted((build_dir() / "publishing").glob("*")):
        _publish(waiting)


def _publish(stage: Path) -> None:
    """Put what was made in the place of the results before it, file by file: none is ever missing.

    What was a folder keeps no file that the new one lacks; a run's configuration comes last.
    """
    published = []
    for entry in sorted(stage.glob("*/*")):
        target = results_dir() / entry.relative_to(stage)
        files = sorted(entry.rglob("*"), key=lambda path: path.name == "config.json") if entry.is_dir() else [entry]
        for file in files:
            target_file = results_dir() / file.relative_to(stage)
            target_file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target_file, file.read_bytes())
            published.append(target_file)
        for old in set(target.rglob("*")) - set(published):
            old.unlink()
    record_checksums(path for path in published if path.relative_to(results_dir()).parts[0] in _LOADED)
    shutil.rmtree(stage)


def record_checksums(paths: Iterable[Path]) -> None:
    """Bring ``SHA256SUMS`` up to date for files of the published results; those that are gone leave it.

    ``sha256sum -c SHA256SUMS`` understands it.
    """
    root = results_dir()
    sums = _checksums(root) | {path.relative_to(root).as_posix(): _digest(path.read_bytes()) for path in paths}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items()) if (root / name).exists()]
    write_atomically(root / _SUMS, "".join(lines).encode())


def _checksums(root: Path) -> dict[str, str]:
    """The recorded checksums of published results, by path."""
    if not (root / _SUMS).exists():
        return {}
    return {name: digest for digest, name in (line.split("  ") for line in (root / _SUMS).read_text().splitlines())}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _intact(root: Path, path: Path) -> bytes:
    """What a published file holds, if that is what was published.

    Raises:
        ValueError: it is not.
    """
    content, recorded = path.read_bytes(), _checksums(root).get(path.relative_to(root).as_posix())
    if recorded not in (None, _digest(content)):
        raise ValueError(f"{path} is damaged: its checksum is not that in {_SUMS}; restore it, or publish it anew")
    return content
