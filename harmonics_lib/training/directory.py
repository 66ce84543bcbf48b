"""The directory of a run: configuration, history, checkpoint, weights, and the lock that protects them."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save

_DIGEST = hashlib.sha256().digest_size


class RunError(RuntimeError):
    """A run directory cannot be used; the message says why and what to do."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` through a temporary file, so that the file is always complete.

    Raises:
        RunError: the disk is full or not writable; the old file at ``path`` is unchanged.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # a read-only file system
            temporary.unlink(missing_ok=True)
        raise RunError(f"could not write {path} ({error.strerror}); the old file is intact") from error


@contextmanager
def open_run(path: Path | str, config: dict) -> Iterator["RunDirectory"]:
    """The directory of a run, locked for this process until the end of the ``with`` block.

    Args:
        path: the directory; created if missing.
        config: the description of the run as JSON data with a ``"fingerprint"``.

    Raises:
        RunError: the directory cannot be created, another training uses it, or it belongs to a run of another
            configuration.
    """
    path = Path(path).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / "lock", timeout=0).acquire()
    except Timeout as error:
        raise RunError(f"another training is at work in {path}; wait for it, or use another directory") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"could not make a run directory of the path {str(path)[:200]!r} ({reason})") from error
    with lock:
        for part in path.glob("*.part"):  # of a write that was killed
            part.unlink()
        stored = read_config(path)
        if stored is None:
            write_atomically(path / "config.json", (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())
        elif stored.get("fingerprint") != config["fingerprint"]:
            raise RunError(
                f"{path} holds run {stored.get('fingerprint')}, expected {config['fingerprint']}: "
                "the configuration differs; use another directory or delete this one"
            )
        yield RunDirectory(path, config["fingerprint"])


class RunDirectory:
    """``config.json``, ``history.csv``, ``checkpoint.pt`` during the run, ``weights.safetensors`` at its end.

    A checkpoint contains the history so far. Its first bytes are the SHA-256 digest of the rest.
    """

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint
        self._history = ""

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "weights.safetensors").exists()

    def restore(self) -> dict | None:
        """The state in the checkpoint, or None if there is none; the history is truncated to the checkpoint.

        Loading executes no code from the file.

        Raises:
            RunError: the checkpoint is damaged, or belongs to another configuration.
        """
        checkpoint = self._read_checkpoint()
        if checkpoint is None:
            (self.path / "history.csv").unlink(missing_ok=True)
            return None
        self._history = checkpoint["history"]
        write_atomically(self.path / "history.csv", self._history.encode())
        return checkpoint["state"]

    def record(self, row: dict, state: dict) -> None:
        """Append a row of numbers by column to the history, and replace the checkpoint.

        Raises:
            RunError: the disk is full or not writable; the previous checkpoint is intact.
        """
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, fieldnames=list(row), lineterminator="\n")
        if not self._history:
            writer.writeheader()
        writer.writerow(row)
        path = self.path / "history.csv"
        try:
            with open(path, "a", newline="") as file:
                file.write(lines.getvalue())
        except OSError as error:
            raise RunError(f"could not write {path} ({error.strerror}); the last checkpoint is intact") from error
        self._history += lines.getvalue()
        content = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, "history": self._history, "state": state}, content)
        digest = hashlib.sha256(content.getvalue()).digest()
        write_atomically(self.path / "checkpoint.pt", digest + content.getvalue())

    def finish(self) -> dict[str, torch.Tensor]:
        """Write the weights of the last checkpoint, and delete the checkpoint.

        Raises:
            RunError: there is no checkpoint, or the disk is full or not writable.
        """
        checkpoint = self._read_checkpoint()
        if checkpoint is None:
            raise RunError(f"the run in {self.path} ended before its first row")
        weights = {name: tensor.cpu().contiguous() for name, tensor in checkpoint["state"]["weights"].items()}
        write_atomically(self.path / "weights.safetensors", save(weights))
        (self.path / "checkpoint.pt").unlink(missing_ok=True)
        return weights

    def _read_checkpoint(self) -> dict | None:
        path = self.path / "checkpoint.pt"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"could not read {path} ({error.strerror})") from error
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            raise RunError(f"{path} is damaged or not a checkpoint; delete it to start the run again")
        try:
            checkpoint = torch.load(io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True)
            fingerprint = checkpoint["fingerprint"]
        except Exception as error:
            raise RunError(
                f"{path} is not a checkpoint ({type(error).__name__}); delete it to start the run anew"
            ) from error
        if fingerprint != self.fingerprint:
            raise RunError(
                f"{path} belongs to run {fingerprint}, expected {self.fingerprint}; delete it to start the run anew"
            )
        return checkpoint


def read_config(path: Path) -> dict | None:
    """The configuration in a run directory, or None if there is none.

    Raises:
        RunError: the file is damaged.
    """
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path / 'config.json'} is damaged ({error}); delete the directory") from error
    if not isinstance(config, dict):
        raise RunError(f"{path / 'config.json'} is damaged: it describes no run; delete the directory")
    return config


def read_history(path: Path) -> dict[str, list[float]]:
    """The columns of ``history.csv`` in a run directory.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        with open(path / "history.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in rows[0]}
    except (OSError, ValueError, TypeError, IndexError, csv.Error) as error:
        raise RunError(f"{path / 'history.csv'} is missing or damaged ({error})") from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The final weights in a run directory.

    Raises:
        RunError: there are none, or the file is damaged.
    """
    try:
        return load_file(path / "weights.safetensors")
    except FileNotFoundError as error:
        raise RunError(f"{path} has no weights: the run is not complete") from error
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path / 'weights.safetensors'} is damaged ({error})") from error
