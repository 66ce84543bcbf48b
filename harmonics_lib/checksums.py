"""Checksums of published files: each folder of them has a ``SHA256SUMS``."""

import hashlib
import re
import warnings
from functools import lru_cache
from pathlib import Path

SUMS = "SHA256SUMS"  # in the format of ``sha256sum -c``
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def read_verified(root: Path, path: Path) -> bytes:
    """The content of a file in the folder ``root``, verified by its recorded checksum.

    Warns:
        UserWarning: no checksum is recorded for the file.

    Raises:
        ValueError: the file is missing or has another checksum, or the list of checksums is damaged.
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
    """The SHA-256 digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_checksums(root: Path) -> dict[str, str]:
    """The recorded checksums of the folder ``root``, by path; empty if it has no ``SHA256SUMS``.

    Raises:
        ValueError: a line is not a checksum and a path. Blank lines and lines that begin with # are skipped.
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
    """Parse ``SHA256SUMS``, once for each state of the file, because a report verifies hundreds of files."""
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
