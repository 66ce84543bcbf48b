"""W&B as a mirror of a run's history: what lies on disk is the truth."""

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
    """``WANDB_MODE`` where it is set, else online for a user who is logged in, else offline.

    Online without a login would ask for a key and wait, and without a server wait for a minute and a half; both
    become offline, with a warning, as does a mode that there is not.
    """
    mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    if mode not in _MODES:
        return _offline(f"WANDB_MODE must be one of {', '.join(_MODES)}, got {mode!r}")
    if mode == "online" and not _logged_in():
        return _offline("WANDB_MODE is online but nobody is logged in (see wandb login)")
    if mode == "online" and not _reachable():
        return _offline(f"{_server()} does not answer within {_PATIENCE} seconds")
    return mode


def _offline(reason: str) -> str:
    warnings.warn(f"{reason}; tracking offline", stacklevel=4)
    return "offline"


def _server() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def _reachable() -> bool:
    try:
        urllib.request.urlopen(_server(), timeout=_PATIENCE).close()
    except urllib.error.HTTPError:  # an answer
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlsplit(_server()).hostname or "") is not None
    except (OSError, ValueError, netrc.NetrcParseError):
        return False


@contextmanager
def wandb_mirror(path: Path, description: dict, track: bool = True) -> Iterator[Callable[[dict], None]]:
    """A function that mirrors a row of the history in ``path``; a resumed run goes on under its id.

    It never asks for input, and does nothing, with a warning, where W&B is not installed or cannot be started: a
    training does not fail for want of a mirror.
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
    """The W&B run of a run directory, offline where it cannot be online; None where there can be none."""
    try:
        import wandb  # here, because it takes a second that most uses of the library never need
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
        (path / "wandb_id").unlink()  # the id is taken by the attempt that failed
        return _init(wandb, "offline", path, description)
    except Exception as error:
        warnings.warn(f"W&B cannot be started ({_first_line(error)}); not tracking", stacklevel=4)
        return None


@contextmanager
def _environment(mode: str) -> Iterator[None]:
    """Variables as W&B accepts them: it reads them even where it is told, and refuses what it does not know."""
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
