"""W&B as a mirror of a run's history: what lies on disk is the truth (see ``runs``)."""

import netrc
import os
import uuid
import warnings
from functools import partial
from urllib.parse import urlsplit

from harmonics_lib.training.directory import RunDirectory, write_atomically

WANDB_PROJECT = "time-series"


def wandb_mode() -> str:
    """``WANDB_MODE`` where it is set, else online for a user who is logged in, else offline.

    Online without a login would ask for a key and wait; that becomes offline, with a warning.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode == "online" and not _logged_in():
        warnings.warn("WANDB_MODE is online but nobody is logged in; tracking offline (see wandb login)", stacklevel=2)
        return "offline"
    return mode or ("online" if _logged_in() else "offline")


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def start_wandb(run: RunDirectory, name: str):
    """The W&B run that mirrors ``run``; a resumed run goes on under its run id. Never asks for input.

    None, with a warning, where wandb is not installed: a training does not fail for want of a mirror.
    """
    try:
        import wandb  # here, because it takes a second that most uses of the library never need
    except ImportError:
        warnings.warn("wandb is not installed (pip install harmonics-lib[tracking]); not tracking", stacklevel=2)
        return None

    id_file = run.path / "wandb_id"
    if not id_file.exists():
        write_atomically(id_file, uuid.uuid4().hex[:8].encode())
    config = run.config
    hyperparameters = {**config["network"]["settings"], **config["training"]}
    start = partial(
        wandb.init,
        project=WANDB_PROJECT,
        name=name,
        id=id_file.read_text(),
        resume="allow",
        tags=[f"{key}={value}"[:64] for key, value in hyperparameters.items()],
        config=config,
        dir=run.path,
        settings=wandb.Settings(silent=True, console="off"),
    )
    mode = wandb_mode()
    try:
        return start(mode=mode)
    except wandb.errors.Error as error:
        if mode != "online":
            raise
        warnings.warn(f"W&B cannot be reached ({error}); tracking offline", stacklevel=2)
        return start(mode="offline")
