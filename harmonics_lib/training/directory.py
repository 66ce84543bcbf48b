"""What a training run leaves on disk."""

import csv
import io
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save


class RunError(RuntimeError):
    """A run directory that cannot be used as it is; the message says why and what to do."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` by way of a temporary name: there is never half a file.

    Raises:
        RunError: the disk is full or not writable; what stood at ``path`` is untouched.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"could not write {path.name} ({error.strerror}); the previous one is intact") from error


class RunDirectory:
    """``config.json``, ``history.csv``, ``checkpoint.pt`` while running, ``weights.safetensors`` at the end.

    Args:
        path: the directory; made when missing.
        config: what the run is, as plain JSON data with a ``"fingerprint"``.

    Raises:
        RunError: the directory belongs to a run of another configuration.
    """

    def __init__(self, path: Path | str, config: dict):
        self.path, self.config = Path(path), config
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"could not make the directory {self.path} ({error.strerror})") from error
        for unfinished in self.path.glob("*.part"):  # of a write that was killed
            unfinished.unlink()
        stored = read_config(self.path)
        if stored is None:
            write_atomically(self.path / "config.json", (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())
        elif stored.get("fingerprint") != config["fingerprint"]:
            raise RunError(
                f"{self.path} holds run {stored.get('fingerprint')}, expected {config['fingerprint']}: "
                "the configuration differs; use another directory or delete this one"
            )

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / "weights.safetensors").exists()

    def save_checkpoint(self, state: dict) -> None:
        """Replace the checkpoint by ``state`` (tensors and plain Python data), atomically."""
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.config["fingerprint"], **state}, buffer)
        write_atomically(self.path / "checkpoint.pt", buffer.getvalue())

    def load_checkpoint(self) -> dict | None:
        """The latest checkpoint, or None when there is none; loading runs no code from the file.

        Raises:
            RunError: the file is truncated, is no checkpoint, or is one of another configuration.
        """
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            fingerprint = state["fingerprint"]
        except Exception as error:
            raise RunError(
                f"{path} is truncated or not a checkpoint ({type(error).__name__}); delete it to start the run anew"
            ) from error
        if fingerprint != self.config["fingerprint"]:
            raise RunError(
                f"{path} belongs to run {fingerprint}, expected {self.config['fingerprint']}; "
                "delete it to start the run anew"
            )
        return state

    def append_history(self, row: dict) -> None:
        """Add one row of numbers to ``history.csv``; the first row names the columns.

        Raises:
            RunError: the disk is full or not writable.
        """
        path = self.path / "history.csv"
        new = not path.exists()
        try:
            with open(path, "a", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise RunError(f"could not write {path.name} ({error.strerror}); the last checkpoint is intact") from error

    def rewind_history(self, step: int) -> None:
        """Drop the rows after ``step``, and a half-written last one: they will be written again."""
        path = self.path / "history.csv"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines[1:] if line.endswith("\n") and int(line.split(",")[0]) <= step]
        if kept:
            write_atomically(path, "".join([lines[0], *kept]).encode())
        else:
            path.unlink(missing_ok=True)

    def finish(self, weights: dict[str, torch.Tensor]) -> None:
        """Store the final weights; the checkpoint has done its work and goes."""
        content = save({name: tensor.cpu().contiguous() for name, tensor in weights.items()})
        write_atomically(self.path / "weights.safetensors", content)
        (self.path / "checkpoint.pt").unlink(missing_ok=True)


def read_config(path: Path) -> dict | None:
    """The configuration in a run directory, or None where there is none.

    Raises:
        RunError: the file is no JSON.
    """
    try:
        return json.loads((path / "config.json").read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise RunError(f"{path / 'config.json'} is not valid JSON ({error}); delete the directory") from error


def read_history(path: Path) -> dict[str, list[float]]:
    """The columns of ``history.csv`` in a run directory."""
    with open(path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The final weights in a run directory.

    Raises:
        RunError: there are none, or the file is truncated or foreign.
    """
    try:
        return load_file(path / "weights.safetensors")
    except FileNotFoundError as error:
        raise RunError(f"{path} holds no finished run") from error
    except SafetensorError as error:
        raise RunError(f"{path / 'weights.safetensors'} is truncated or foreign ({error})") from error
