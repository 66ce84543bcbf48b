"""Checksums of files that are loaded again: in each folder of such files, a ``SHA256SUMS``."""

import hashlib
import re
import warnings
from functools import lru_cache
from pathlib import Path

SUMS = "SHA256SUMS"  # ``sha256sum -c SHA256SUMS`` understands it
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def read_intact(root: Path, path: Path) -> bytes:
    """What a file within ``root`` holds, if its checksum is the recorded one; a warning where none is recorded.

    Raises:
        ValueError: the file is another one than that recorded, or no file, or the checksums are damaged.
    """
    if not path.is_file():
        raise ValueError(f"{path} must be a file; restore it with git")
    content, recorded = path.read_bytes(), read_checksums(root).get(path.relative_to(root).as_posix())
    if recorded is None:
        warnings.warn(f"{path} cannot be verified: {root / SUMS} does not have it", stacklevel=3)
    elif recorded != digest(content):
        raise ValueError(
            f"{path} is damaged, or its publication was interrupted: its checksum is not that in {SUMS}; "
            f"run make report again, or git checkout {root.name}"
        )
    return content


def digest(content: bytes) -> str:
    """The checksum as it is written down."""
    return hashlib.sha256(content).hexdigest()


def read_checksums(root: Path) -> dict[str, str]:
    """The recorded checksums within ``root``, by path; none where there is no such file.

    Raises:
        ValueError: a line that is no checksum and path; blank lines and those that begin with # are none.
    """
    path = root / SUMS
    if not path.exists():
        return {}
    if not path.is_file():
        raise ValueError(f"{path} must be a file; restore it with git checkout {root.name}")
    state = path.stat()
    return _parse(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _parse(path: Path, modified: int, size: int) -> dict[str, str]:
    """``read_checksums``, once for each state of the file: a report reads hundreds of numbers and files."""
    sums = {}
    for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if (entry := _LINE.fullmatch(line)) is None:
            raise ValueError(
                f"{path} is damaged: line {number} must be a checksum and a path, got {line[:40]!r}; "
                f"restore it with git checkout {path.parent.name}"
            )
        sums[entry[2]] = entry[1]
    return sums
