"""W&B mirrors the history on disk: offline unless asked, under one id, and never asking for input."""

import http.server
import os
import socketserver
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from harmonics_lib import HarmonicProcess, Run, Stage, TrainingConfig, train
from harmonics_lib.networks.recurrent import SmallLSTM
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


@pytest.fixture
def reachable(monkeypatch):
    """A server that answers, without asking any."""
    monkeypatch.setattr(wandb_mirror, "_is_reachable", lambda: True)


def test_mode_is_online_for_a_user_who_is_logged_in(nobody, reachable, monkeypatch):
    (nobody / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (nobody / ".netrc").chmod(0o600)
    assert wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode() == "offline"


def test_mode_is_online_with_a_key(nobody, reachable, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode() == "online"


def test_a_mode_that_there_is_not_is_offline_and_said(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.warns(UserWarning, match="must be one of online, offline, disabled, got 'sometimes'; tracking offline"):
        assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "")
    assert wandb_mode() == "offline"


@pytest.mark.parametrize("server", ["http://127.0.0.1:9", "http://a b", "nonsense", "https://no-such-host.invalid"])
def test_a_server_that_does_not_answer_is_given_up_at_once(nobody, monkeypatch, server):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", server)
    started = time.monotonic()
    with pytest.warns(UserWarning, match="does not answer within 3 seconds; tracking offline"):
        assert wandb_mode() == "offline"
    assert time.monotonic() - started < 10


def test_a_server_that_refuses_does_answer(nobody, monkeypatch):
    """A login page, a proxy's or the server's 404: W&B itself finds out more."""
    with socketserver.TCPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_address[1]}/nothing-here")
        assert wandb_mode() == "online"
        server.shutdown()


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
    train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), tmp_path / "run", track=True)
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
        train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), tmp_path / "run", track=True)
    train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), tmp_path / "run", track=True)
    first, second = stand_in.started
    assert first["id"] == second["id"] and second["resume"] == "allow"
    assert [step for step, _ in stand_in.logged] == [2, 4]


def test_where_the_start_fails_tracking_goes_on_offline_under_another_id(stand_in, reachable, tmp_path, monkeypatch):
    import wandb

    tried = []

    def unreachable(**options):
        tried.append(options["id"])
        if options["mode"] == "online":
            raise wandb.errors.CommError("no route to host")
        return stand_in.init(**options)

    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setattr(wandb, "init", unreachable)
    with pytest.warns(UserWarning, match="no route to host"):
        train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), tmp_path / "run", track=True)
    assert [step for step, _ in stand_in.logged] == [2, 4]
    assert tried[0] != tried[1] == (tmp_path / "run" / "wandb_id").read_text()


def test_where_there_can_be_no_mirror_training_goes_on(stand_in, tmp_path, monkeypatch):
    import wandb

    def broken(**options):
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb, "init", broken)
    with pytest.warns(UserWarning, match=r"cannot be started \(no space left on device\); not tracking"):
        train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), tmp_path / "run", track=True)
    assert read_history(tmp_path / "run")["step"] == [2, 4] and stand_in.logged == []


TRACKED = """
import os, sys, wandb
from test_wandb_mirror import *
train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), f"{sys.argv[1]}/untracked")  # the first training imports much
for number, settings in enumerate(SETTINGS):
    if not os.fork():
        os.environ.update(settings)
        train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), f"{sys.argv[1]}/{number}", track=True)
        sys.exit()
    assert os.wait()[1] == 0, settings
"""
SETTINGS = [{}, {"WANDB_MODE": "", "WANDB_BASE_URL": "nonsense"}]
SETTINGS += [{"WANDB_API_KEY": "x" * 40, "WANDB_BASE_URL": "nonsense"}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the three processes are forks")
def test_offline_tracking_neither_asks_nor_talks(nobody, tmp_path):
    """The real W&B, in processes without a terminal: they end by themselves and print nothing but a warning."""
    done = subprocess.run(
        [sys.executable, "-c", TRACKED, str(tmp_path)],
        cwd=__file__.rpartition("/")[0],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "wandb:" not in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert all((tmp_path / str(number) / "wandb").is_dir() for number in range(len(SETTINGS)))
