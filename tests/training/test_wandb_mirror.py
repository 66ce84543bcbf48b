"""W&B mirrors the history on disk: offline unless asked, under one id, and never asking for input."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from harmonics_lib import HarmonicProcess, Run, SmallLSTM, Stage, TrainingConfig, train
from harmonics_lib.training import wandb_mirror
from harmonics_lib.training.directory import read_history
from harmonics_lib.training.wandb_mirror import wandb_mode

STAGES = (Stage(HarmonicProcess(), 4),)
CONFIG = TrainingConfig(batch_size=4, report_every=2, validation_size=4)


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """An account without W&B settings."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_mode_is_offline_by_default(nobody):
    assert wandb_mode() == "offline"


def test_mode_is_online_for_a_user_who_is_logged_in(nobody, monkeypatch):
    (nobody / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (nobody / ".netrc").chmod(0o600)
    assert wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode() == "offline"


def test_mode_is_online_with_a_key(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode() == "online"


def test_online_without_a_login_does_not_wait_for_a_key(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.warns(UserWarning, match="nobody is logged in"):
        assert wandb_mode() == "offline"


class StandIn:
    """Takes the place of ``wandb.init`` and of the run that it returns."""

    def __init__(self):
        self.started, self.logged, self.finished = [], [], 0

    def init(self, **options):
        self.started.append(options)
        return SimpleNamespace(log=lambda data, step: self.logged.append((step, data)), finish=self.finish)

    def finish(self):
        self.finished += 1


@pytest.fixture
def stand_in(monkeypatch, nobody):
    import wandb

    double = StandIn()
    monkeypatch.setattr(wandb, "init", double.init)
    return double


def test_project_name_tags_and_losses_are_those_of_the_run(stand_in, tmp_path):
    train(Run(SmallLSTM(4), STAGES, CONFIG), tmp_path / "run", track=True)
    (options,) = stand_in.started
    assert options["project"] == wandb_mirror.WANDB_PROJECT
    assert options["name"].startswith("SmallLSTM-") and options["mode"] == "offline"
    assert {"hidden=4", "batch_size=4", "learning_rate=0.002"} <= set(options["tags"])
    assert options["config"]["stages"][0]["steps"] == 4
    history = read_history(tmp_path / "run")
    assert [step for step, _ in stand_in.logged] == history["step"] == [2, 4]
    assert [data["train loss"] for _, data in stand_in.logged] == history["train_loss"]
    assert [data["validation loss"] for _, data in stand_in.logged] == history["validation_loss"]
    assert stand_in.finished == 1


def test_a_resumed_run_goes_on_under_its_id(stand_in, tmp_path, monkeypatch):
    original, calls = SmallLSTM.loss, []

    def interrupted(self, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(SmallLSTM, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(Run(SmallLSTM(4), STAGES, CONFIG), tmp_path / "run", track=True)
    train(Run(SmallLSTM(4), STAGES, CONFIG), tmp_path / "run", track=True)
    first, second = stand_in.started
    assert first["id"] == second["id"] and second["resume"] == "allow"
    assert [step for step, _ in stand_in.logged] == [2, 4]


def test_without_a_network_tracking_goes_on_offline(stand_in, tmp_path, monkeypatch):
    import wandb

    def unreachable(**options):
        if options["mode"] == "online":
            raise wandb.errors.CommError("no route to host")
        return stand_in.init(**options)

    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setattr(wandb, "init", unreachable)
    with pytest.warns(UserWarning, match="no route to host"):
        train(Run(SmallLSTM(4), STAGES, CONFIG), tmp_path / "run", track=True)
    assert [step for step, _ in stand_in.logged] == [2, 4]


def test_offline_tracking_neither_asks_nor_talks(nobody, tmp_path):
    """The real W&B, in a process without a terminal: it ends by itself and prints nothing."""
    script = (
        "import sys; from test_wandb_mirror import *\n"
        "train(Run(SmallLSTM(4), STAGES, CONFIG), sys.argv[1], track=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        cwd=__file__.rpartition("/")[0],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "wandb" not in done.stdout + done.stderr
    assert (tmp_path / "run" / "wandb").is_dir()
