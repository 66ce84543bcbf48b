"""Mirrors of run histories on W&B; the history on disk remains the reference."""

import http.client
import netrc
import os
import urllib.error
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from harmonics_lib.training.directory import write_atomically

WANDB_PROJECT = "time-series"
_MODES = ("online", "offline", "disabled")
_PATIENCE = 3  # seconds for the server's first answer


def wandb_mode() -> str:
    """``WANDB_MODE`` if it is set, else online for a user who is logged in, else offline.

    Online mode falls back to offline, with a warning, without a login (W&B would wait for a key) and without
    a server (W&B would wait for 90 seconds). An unknown mode falls back as well.
    """
    mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in() else "offline")
    if mode not in _MODES:
        return _fall_back(f"WANDB_MODE must be one of {', '.join(_MODES)}, got {mode!r}")
    if mode == "online" and not _is_logged_in():
        return _fall_back("WANDB_MODE is online but nobody is logged in (see wandb login)")
    if mode == "online" and not _is_reachable():
        return _fall_back(f"{_server()} does not answer within {_PATIENCE} seconds")
    return mode


def _fall_back(reason: str) -> str:
    warnings.warn(f"{reason}; tracking offline", stacklevel=4)
    return "offline"


def _server() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def _is_reachable() -> bool:
    try:
        urllib.request.urlopen(_server(), timeout=_PATIENCE).close()
    except urllib.error.HTTPError:  # an answer
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def _is_logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(_server()).hostname or "") is not None
    except (OSError, ValueError, netrc.NetrcParseError):
        return False


@contextmanager
def wandb_mirror(path: Path, description: dict, track: bool = True) -> Iterator[Callable[[dict], None]]:
    """A function that mirrors a row of the history in ``path``; a resumed run keeps its W&B id.

    It never asks for input. If W&B is not installed or fails to start, it warns and does nothing, so that
    tracking never stops a training.
    """
    mirror = _start(path, description) if track else None
    try:
        yield (
            lambda row: (
                mirror
                and mirror.log(
                    {"train loss": row["train_loss"], "validation loss": row["validation_loss"]}, step=row["step"]
                )
            )
        )
    finally:
        if mirror:
            mirror.finish()


def _start(path: Path, description: dict):
    """The W&B run of a run directory, offline if online mode fails; None if W&B fails to start."""
    try:
        import wandb  # imported late, because it takes a second
    except ImportError:
        warnings.warn("wandb is not installed (pip install harmonics-lib[tracking]); not tracking", stacklevel=4)
        return None
    mode = wandb_mode()
    try:
        return _init(wandb, mode, path, description)
    except Exception as error:
        if mode != "online":
            warnings.warn(f"W&B cannot be started ({_first_line(error)}); not tracking", stacklevel=4)
            return None
        warnings.warn(f"W&B cannot be reached ({_first_line(error)}); tracking offline", stacklevel=4)
    try:
        (path / "wandb_id").unlink()  # the failed attempt used up the id
        return _init(wandb, "offline", path, description)
    except Exception as error:
        warnings.warn(f"W&B cannot be started ({_first_line(error)}); not tracking", stacklevel=4)
        return None


@contextmanager
def _environment(mode: str) -> Iterator[None]:
    """Set W&B's environment variables for ``mode``: it reads them in spite of arguments, and refuses unknown values."""
    before = {name: os.environ.get(name) for name in ("WANDB_MODE", "WANDB_BASE_URL")}
    os.environ["WANDB_MODE"] = mode
    if mode != "online":
        os.environ.pop("WANDB_BASE_URL", None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _init(wandb, mode: str, path: Path, description: dict):
    id_file = path / "wandb_id"
    if not id_file.exists():
        write_atomically(id_file, uuid.uuid4().hex[:8].encode())
    hyperparameters = {**description["network"]["settings"], **description["training"]}
    with _environment(mode):
        return wandb.init(
            project=WANDB_PROJECT,
            name=f"{description['network']['class']}-{description['fingerprint']}",
            id=id_file.read_text(),
            resume="allow",
            tags=[f"{key}={value}"[:64] for key, value in hyperparameters.items()],
            config=description,
            dir=path,
            mode=mode,
            settings=wandb.Settings(silent=True, console="off", init_timeout=30),
        )
