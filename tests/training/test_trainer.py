"""Training goes on where it was killed, and loses nothing when something breaks."""

import errno
import hashlib
import io
import math
import os
import re
import resource
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kills import kill
from torch import nn

from harmonics_lib import HarmonicProcess, Run, Stage, TrainingConfig, random_stream, seeded, train
from harmonics_lib.networks.recurrent import Seq2SeqGRU, SmallLSTM, initialise
from harmonics_lib.networks.wiener import WienerNetwork
from harmonics_lib.training.directory import (
    RunDirectory,
    RunError,
    open_run,
    read_config,
    read_history,
    read_weights,
    write_atomically,
)
from harmonics_lib.training.trainer import TrainingDiverged

CONFIG = TrainingConfig(batch_size=8, report_every=5, warmup_steps=4, validation_size=16)
STAGES = (Stage(HarmonicProcess((1, 3)), 12), Stage(HarmonicProcess((3, 6), noise_std=0.1), 18, horizon=7))


def run(folder, stages=STAGES, config=CONFIG, **options):
    train(Run(SmallLSTM, stages, config, {"hidden": 16}), folder, **options)
    return folder


def checkpoint(folder):
    """The state in the checkpoint of a run that was stopped."""
    return RunDirectory(folder, Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}).fingerprint).restore()


def files(folder):
    return (folder / "history.csv").read_bytes(), (folder / "weights.safetensors").read_bytes()


def test_killed_at_any_moment_and_started_again_ends_bit_identical(tmp_path):
    """kill -9 in a step, before a row, within a file and before it gets its name; then as a run left alone."""
    expected = files(run(tmp_path / "alone"))
    killed = tmp_path / "killed"
    moments = ("SmallLSTM loss 9", "RunDirectory record 2", "os fsync 2", "os replace 1")
    kill("test_trainer", "run(folder)", killed, *moments)
    assert not (killed / "weights.safetensors").exists()
    assert files(run(killed)) == expected


@contextmanager
def counted(monkeypatch, network):
    """The calls of the network's loss: one a gradient step, one a validation."""
    original, calls = network.loss, []

    def loss(self, *arguments, **options):
        calls.append(1)
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(network, "loss", loss)
        yield calls


@contextmanager
def interrupted(monkeypatch, network, at):
    """Ctrl-C at the call number ``at`` of the network's loss."""
    original, calls = network.loss, []

    def loss(self, *arguments, **options):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(network, "loss", loss)
        yield


def test_stopped_between_reports_it_goes_on_from_the_last_one(tmp_path, monkeypatch):
    expected = files(run(tmp_path / "alone"))
    with interrupted(monkeypatch, SmallLSTM, 17):  # 14 gradient steps and two validations later
        run(tmp_path / "stopped")
    with counted(monkeypatch, SmallLSTM) as calls:
        assert files(run(tmp_path / "stopped")) == expected
    assert len(calls) == 20 + 4  # from step 10 on, not from the start


@pytest.mark.parametrize("tail", ["15,120,1,0.1,0.1,0.1\n", "15,12", ""])
def test_rows_after_the_checkpoint_are_written_again_not_twice(tmp_path, monkeypatch, tail):
    expected = files(run(tmp_path / "alone"))
    with interrupted(monkeypatch, SmallLSTM, 16):  # the checkpoint is that of step 10
        run(tmp_path / "run")
    with open(tmp_path / "run" / "history.csv", "a") as file:
        file.write(tail)  # killed after the row of step 15, or in the middle of it, but before its checkpoint
    assert files(run(tmp_path / "run")) == expected


def test_killed_before_the_first_row_it_starts_anew(unfinished):
    (unfinished.path / "history.csv").write_text("")
    assert read_history(run(unfinished.path))["step"] == [5, 10, 15, 20, 25, 30]


def test_scheduled_sampling_resumes_bit_identical(tmp_path, monkeypatch):
    stages = (Stage(HarmonicProcess(), 12, teacher_forcing=0.5), Stage(HarmonicProcess(), 5))
    scheduled = Run(Seq2SeqGRU, stages, CONFIG)
    train(scheduled, tmp_path / "whole")
    with interrupted(monkeypatch, Seq2SeqGRU, 9):
        train(scheduled, tmp_path / "stopped")
    train(scheduled, tmp_path / "stopped")
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_muon_resumes_bit_identical(tmp_path, monkeypatch):
    config = replace(CONFIG, muon_rate=0.02, decay="linear")
    expected = files(run(tmp_path / "whole", config=config))
    with interrupted(monkeypatch, SmallLSTM, 17):
        run(tmp_path / "stopped", config=config)
    assert files(run(tmp_path / "stopped", config=config)) == expected


def test_muon_moves_the_matrices_and_adam_the_rest(tmp_path):
    """A step of Muon has a known spectral norm, rate sqrt(rows / columns); one of Adam, equal absolute values."""
    config = replace(CONFIG, learning_rate=1e-3, muon_rate=1e-2, warmup_steps=0)
    start = SmallLSTM(16)
    initialise(start, random_stream(CONFIG.seed, "initialisation"))
    network = train(Run(SmallLSTM, (replace(STAGES[0], steps=1),), config, {"hidden": 16}), tmp_path)
    step = {name: start.state_dict()[name] - weights for name, weights in network.state_dict().items()}
    spectral_norm = torch.linalg.matrix_norm(step["lstm.weight_hh_l0"], 2).item()  # (64, 16)
    assert spectral_norm == pytest.approx(1e-2 * math.sqrt(64 / 16), rel=0.3)
    for name in ("lstm.weight_ih_l0", "lstm.bias_hh_l0", "head.weight"):  # one column, no matrix, one row
        torch.testing.assert_close(step[name].abs(), torch.full_like(step[name], 1e-3), rtol=0.01, atol=0)


def test_adam_divides_by_its_epsilon_too(tmp_path):
    """With an epsilon that dwarfs the gradient, a step is the gradient times rate / epsilon."""
    config = replace(CONFIG, learning_rate=1e3, adam_epsilon=1e6, warmup_steps=0, final_rate=1.0, clip_norm=1e9)
    before = SmallLSTM(16)
    initialise(before, random_stream(0, "initialisation"))
    signals = STAGES[0].process.sample(8, 105, 100, generator=random_stream(0, "data"))
    before.loss(signals).backward()
    network = train(Run(SmallLSTM, (replace(STAGES[0], steps=1),), config, {"hidden": 16}), tmp_path / "run")
    for now, then in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.allclose(then - now, 1e-3 * then.grad, rtol=1e-3, atol=1e-6)


def test_seeds_are_runs_of_their_own():
    runs = seeded("small", Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}), 3)
    assert list(runs) == ["small", "small_seed1", "small_seed2"]
    assert [run.config.seed for run in runs.values()] == [0, 1, 2]
    assert len({run.fingerprint for run in runs.values()}) == 3


def test_progress_goes_to_a_file_or_nowhere(tmp_path, capsys):
    run(tmp_path / "a", progress=tmp_path / "bar")
    assert "30/30" in (tmp_path / "bar").read_text()
    run(tmp_path / "b", progress=False)
    assert capsys.readouterr().err == ""


def test_the_bar_shows_progress_time_left_rate_and_loss(tmp_path, capsys):
    run(tmp_path)
    last = capsys.readouterr().err.split("\r")[-1]
    assert re.search(r"30/30 \[\d\d:\d\d<\d\d:\d\d, .*step/s, loss \S+, validation \S+\]", last)


def test_a_finished_run_is_loaded_not_trained(tmp_path):
    folder = run(tmp_path)
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    network = train(Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}), folder)
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before
    assert torch.equal(network.head.weight, read_weights(folder)["head.weight"])


def test_stages_follow_one_another_in_the_history(tmp_path):
    history = read_history(run(tmp_path))
    assert history["stage"] == [0, 0, 1, 1, 1, 1]
    assert history["signals"] == [40, 80, 120, 160, 200, 240]


def test_a_stage_that_comes_again_is_told_from_the_first(tmp_path):
    short = tuple(replace(stage, steps=5) for stage in (STAGES[0], STAGES[1], STAGES[0]))
    assert read_history(run(tmp_path, short))["stage"] == [0, 1, 2]


def test_training_learns(tmp_path):
    stage = Stage(HarmonicProcess(1, (10, 30)), 300)
    history = read_history(run(tmp_path, (stage,), replace(CONFIG, learning_rate=0.01, report_every=20, batch_size=16)))
    assert history["validation_loss"][-1] < history["validation_loss"][0] / 10


def test_rate_rises_linearly_and_falls_as_a_cosine():
    config = TrainingConfig(final_rate=0.1, warmup_steps=10)
    rate = [config.rate(2.0, step, 110) for step in range(111)]
    assert rate[0] == pytest.approx(0.2)
    assert rate[9] == rate[10] == pytest.approx(2.0)
    assert rate[60] == pytest.approx(1.1)
    assert rate[110] == pytest.approx(0.2)


def test_rate_falls_as_a_line():
    config = TrainingConfig(decay="linear", final_rate=0.0, warmup_steps=10)
    assert [config.rate(2.0, step, 110) for step in (0, 10, 60, 110)] == pytest.approx([0.2, 2.0, 1.0, 0.0])


def test_validation_is_drawn_from_the_stage_with_the_most_components(tmp_path):
    """So that a curriculum and its reverse, which end on different mixtures, are judged on the same ones."""
    stages = tuple(replace(stage, steps=5) for stage in STAGES)
    still = replace(CONFIG, learning_rate=1e-12)
    there = read_history(run(tmp_path / "a", stages, still))["validation_loss"][-1]
    back = read_history(run(tmp_path / "b", stages[::-1], still))["validation_loss"][-1]
    assert there == pytest.approx(back, rel=1e-4)


def test_a_stage_of_several_processes_gives_each_an_equal_share():
    one, other = HarmonicProcess(2), HarmonicProcess((3, 5), integer_periods=False, noise_std=0.1)
    stage = Stage((one, other), 1)
    batch = stage.sample(7, random_stream(0, "shares"))
    assert (batch.noise_std > 0).sum() == 3  # of seven, the first process has one more
    assert batch.clean.shape == (7, 105)
    alone = Stage(one, 1).sample(4, random_stream(0, "shares"))
    torch.testing.assert_close(batch.clean[:4], alone.clean)
    described = Run(SmallLSTM, (stage,), CONFIG, {"hidden": 16}).description
    assert Run.rebuild(described).stages == (stage,)


def test_a_description_holds_the_whole_run():
    stages = (Stage(HarmonicProcess(3, (2.5, 9), False, (0.01, 0.3)), 5, teacher_forcing=0.5), *STAGES)
    settings = {"features": "none", "encoder": 0}
    whole = Run("Seq2SeqGRU", stages, replace(CONFIG, muon_rate=0.02), settings)
    assert Run.rebuild(whole.description) == whole
    assert Run.rebuild(whole.description).description == whole.description


def test_a_fingerprint_names_a_configuration():
    name = Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}).fingerprint
    assert name == Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}).fingerprint
    assert name != Run(SmallLSTM, STAGES, CONFIG, {"hidden": 17}).fingerprint
    assert name != Run(SmallLSTM, STAGES[:1], CONFIG, {"hidden": 16}).fingerprint
    assert name != Run(SmallLSTM, STAGES, replace(CONFIG, seed=1), {"hidden": 16}).fingerprint


def test_seeds_give_other_weights(tmp_path):
    assert files(run(tmp_path / "a")) != files(run(tmp_path / "b", config=replace(CONFIG, seed=1)))


def test_a_directory_of_another_configuration_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(RunError, match="configuration differs"):
        run(tmp_path, config=replace(CONFIG, seed=1))


@pytest.fixture
def unfinished(tmp_path):
    """The directory of a run that has only begun, and an object that writes there."""
    with open_run(tmp_path / "unfinished", Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}).description) as directory:
        pass
    return directory


def state(step, **more):
    return {"step": step, "weights": {"a": torch.zeros(1000)}, **more}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not a checkpoint at all" * 9])
def test_a_foreign_checkpoint_is_refused_and_kept(unfinished, content):
    path = unfinished.path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"damaged or not a checkpoint; delete it"):
        run(unfinished.path)
    assert path.read_bytes() == content


def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(unfinished):
    unfinished.record({"step": 5}, state(5))
    path = unfinished.path / "checkpoint.pt"
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"checkpoint\.pt is damaged"):
            unfinished.restore()
    path.write_bytes(content[:2000])
    with pytest.raises(RunError, match=r"checkpoint\.pt is damaged"):
        unfinished.restore()


def sealed(content):
    """A file that looks like a checkpoint: torch's, with its digest in front."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


def test_a_checkpoint_of_another_run_is_refused(unfinished):
    (unfinished.path / "checkpoint.pt").write_bytes(sealed({"fingerprint": "abc"}))
    with pytest.raises(RunError, match="belongs to run abc"):
        run(unfinished.path)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (os.mkdir, ("trap-was-sprung",))


def test_loading_a_checkpoint_runs_no_code(unfinished, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (unfinished.path / "checkpoint.pt").write_bytes(sealed({"fingerprint": Trap()}))
    with pytest.raises(RunError, match="not a checkpoint"):
        unfinished.restore()
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_full_disk_leaves_the_last_checkpoint_whole(unfinished):
    unfinished.record({"step": 5}, state(5))
    good = (unfinished.path / "checkpoint.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"could not write .*checkpoint\.pt.*old file is intact"):
            unfinished.record({"step": 10}, state(10))
        with pytest.raises(RunError, match=r"could not write .*weights"):
            unfinished.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (unfinished.path / "checkpoint.pt").read_bytes() == good
    assert unfinished.restore()["step"] == 5 and not unfinished.finished
    assert read_history(unfinished.path)["step"] == [5]
    assert not list(unfinished.path.glob("*.part"))


def test_a_file_system_that_cannot_be_written_to_is_named_in_one_sentence(tmp_path, monkeypatch):
    """Where the temporary file cannot be removed either."""

    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("builtins.open", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(RunError, match=r"could not write .*table.csv \(Read-only file system\)"):
        write_atomically(tmp_path / "table.csv", b"1")


@pytest.mark.parametrize("name", ["x" * 300, "nul\0", "file/run"])
def test_a_path_that_cannot_be_a_directory_is_refused_in_one_sentence(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="could not make a run directory of the path"):
        run(tmp_path / name)


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run("~/run", (replace(STAGES[0], steps=1),))
    assert (tmp_path / "home" / "run" / "weights.safetensors").exists() and not (tmp_path / "~").exists()


def test_a_directory_has_one_training_at_a_time(unfinished):
    description = Run(SmallLSTM, STAGES, CONFIG, {"hidden": 16}).description
    with open_run(unfinished.path, description), pytest.raises(RunError, match="another training is at work in"):
        run(unfinished.path)
    run(unfinished.path)


@pytest.mark.parametrize(
    "file, content, read",
    [
        ("config.json", b"[]", read_config),
        ("config.json", b"\xff\xfe", read_config),
        ("config.json", b'{"a": ', read_config),
        ("history.csv", b"step,loss\n1,abc\n", read_history),
        ("history.csv", b"step,loss\n1\n", read_history),
        ("history.csv", b"\xff\xfe\x00", read_history),
        ("history.csv", b"", read_history),
        ("history.csv", None, read_history),
        ("weights.safetensors", b"", read_weights),
        ("weights.safetensors", None, read_weights),
    ],
)
def test_a_damaged_file_of_a_run_is_named(tmp_path, file, content, read):
    if content is None:
        (tmp_path / file).mkdir()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(RunError, match=rf"^\S*{file}"):
        read(tmp_path)


def test_rows_that_were_lost_come_back_with_the_checkpoint(tmp_path, monkeypatch):
    expected = files(run(tmp_path / "alone"))
    with interrupted(monkeypatch, SmallLSTM, 17):
        run(tmp_path / "run")
    (tmp_path / "run" / "history.csv").unlink()
    assert files(run(tmp_path / "run")) == expected


def test_truncated_weights_are_refused(tmp_path):
    folder = run(tmp_path)
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="is damaged"):
        read_weights(folder)


def test_a_loss_that_is_not_finite_stops_the_run_with_a_good_checkpoint(tmp_path, monkeypatch):
    original, calls = SmallLSTM.loss, []

    def explode(self, batch):
        calls.append(1)
        return original(self, batch) * (math.nan if len(calls) > 8 else 1)

    monkeypatch.setattr(SmallLSTM, "loss", explode)
    with pytest.raises(TrainingDiverged, match=r"step 7: loss nan.*checkpoint of step 5.*learning_rate below"):
        run(tmp_path)
    monkeypatch.setattr(SmallLSTM, "loss", original)
    kept = checkpoint(tmp_path)
    assert kept["step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in kept["weights"].values())


def test_weights_that_overflow_at_the_last_step_are_not_published(tmp_path, monkeypatch):
    original = torch.optim.Adam.step

    def overflow(self, *arguments):
        original(self, *arguments)
        self.param_groups[0]["params"][0].data.fill_(math.nan)

    monkeypatch.setattr(torch.optim.Adam, "step", overflow)
    with pytest.raises(TrainingDiverged, match=r"step 1: validation_loss nan; there is no checkpoint yet"):
        run(tmp_path, (replace(STAGES[0], steps=1),))
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_run_does_not_move_between_devices(unfinished):
    unfinished.record({"step": 5}, state(5, device="cuda", streams=[None]))
    with pytest.raises(RunError, match=r"process.* on cuda, this is 1 on cpu"):
        run(unfinished.path)


def test_a_whole_number_and_its_float_are_one_configuration():
    whole, floats = TrainingConfig(muon_rate=0, clip_norm=1), TrainingConfig(muon_rate=0.0, clip_norm=1.0)
    assert Run(SmallLSTM, STAGES, whole).fingerprint == Run(SmallLSTM, STAGES, floats).fingerprint


NOISY = HarmonicProcess((1, 3), noise_std=0.1)


@pytest.mark.parametrize(
    "kind, stage, sentence",
    [
        (WienerNetwork, Stage(HarmonicProcess(), 5), "noise_std above 0"),
        (WienerNetwork, Stage((NOISY, HarmonicProcess()), 5), "noise_std above 0"),
        (WienerNetwork, Stage(NOISY, 5, horizon=51), "horizon of at most 50 in training, got 51"),
        (SmallLSTM, Stage(NOISY, 5, teacher_forcing=0.5), "without teacher_forcing, which the loss of SmallLSTM"),
    ],
)
def test_a_stage_that_a_network_cannot_learn_from_is_refused_at_the_start(kind, stage, sentence):
    with pytest.raises(ValueError, match=sentence):
        Run(kind, (STAGES[1], stage) if kind is SmallLSTM else (stage,), CONFIG)


class Own(nn.Module):
    """A network of a user's: one weight a step, and whatever a test changes about it."""

    def __init__(self, size: int = 7, rate: float = 0.0):
        super().__init__()
        self.layer, self.dropout = nn.Linear(100, size), nn.Dropout(rate)

    def loss(self, batch):
        return (self.dropout(self.layer(batch.past)) - batch.future[:, : self.layer.out_features]).square().mean()


class WithoutLoss(nn.Module):
    pass


class Frozen(Own):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


class Double(Own):
    def __init__(self):
        super().__init__()
        self.double()


class NoneLoss(Own):
    def loss(self, batch):
        return None


class VectorLoss(Own):
    def loss(self, batch):
        return self.layer(batch.past).mean(dim=1)


OWN_STAGES = (Stage(HarmonicProcess(), 10, horizon=7),)


@pytest.mark.parametrize(
    "kind, settings, sentence",
    [
        (WithoutLoss, {}, "method loss.*WithoutLoss has none"),
        (Frozen, {}, "weights to train, but Frozen has none"),
        (Own, {"size": torch.zeros(3)}, "settings must be plain data"),
        (Own, {"size": math.nan}, "settings must be plain data"),
        (Own, {"sise": 3}, "settings must be the arguments of Own.*sise"),
        (Own, 5, "settings must be a mapping"),
        (SmallLSTM(4), {}, "network must be the name or the class of a torch module, got"),
        ("StackedLSTM", {}, "one of the networks SmallLSTM.*got StackedLSTM"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(kind, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Run(kind, OWN_STAGES, CONFIG, settings)


@pytest.mark.parametrize("kind", [NoneLoss, VectorLoss])
def test_a_loss_that_is_no_scalar_is_refused(tmp_path, kind):
    with pytest.raises(ValueError, match=f"loss of {kind.__name__} must be a scalar tensor, got"):
        train(Run(kind, OWN_STAGES, CONFIG), tmp_path)


def test_a_network_of_doubles_is_trained_in_single_precision(tmp_path):
    single, double = (train(Run(kind, OWN_STAGES, CONFIG), tmp_path / kind.__name__) for kind in (Own, Double))
    assert double.layer.weight.dtype == torch.float32 and torch.equal(single.layer.weight, double.layer.weight)


def test_a_network_that_was_used_in_inference_mode_can_be_trained_afterwards(tmp_path):
    """Tables that it keeps are made in either mode alike."""
    noisy = Run(WienerNetwork, (Stage(NOISY, 2, lookback=31),), CONFIG, {"hidden": 4, "lookback": 31})
    with torch.inference_mode():
        noisy.build().forecast(torch.ones(1, 31), 5)
    train(noisy, tmp_path, progress=False)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_training_needs_no_setting_of_the_process(tmp_path, around):
    expected = files(run(tmp_path / "plain"))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with around():
            assert files(run(tmp_path / "odd")) == expected
    finally:
        torch.set_default_dtype(before)


def test_dropout_is_drawn_from_the_run_and_resumes_bit_identical(tmp_path, monkeypatch):
    dropout = Run(Own, OWN_STAGES, CONFIG, {"rate": 0.5})
    train(dropout, tmp_path / "whole")
    with interrupted(monkeypatch, Own, 8):
        train(dropout, tmp_path / "stopped")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(dropout, tmp_path / "stopped")
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    assert torch.equal(torch.get_rng_state(), before)
    train(replace(dropout, settings={}), tmp_path / "without")
    assert files(tmp_path / "without") != files(tmp_path / "whole")


def test_a_training_changes_nothing_that_it_is_given_and_draws_nothing_from_the_global_stream(tmp_path):
    asked, before = Run(SmallLSTM, STAGES, CONFIG, {"hidden": 4}), torch.get_rng_state()
    description = asked.description
    train(asked, tmp_path)
    assert asked == Run("SmallLSTM", STAGES, CONFIG, {"hidden": 4}) and asked.description == description
    assert torch.equal(torch.get_rng_state(), before)


def test_a_training_that_diverges_may_end_with_its_last_checkpoint(tmp_path, monkeypatch):
    expected = read_history(run(tmp_path / "whole"))["validation_loss"][0]
    original, calls = SmallLSTM.loss, []

    def explode(self, batch):
        calls.append(1)
        return original(self, batch) * (math.inf if len(calls) > 8 else 1)

    monkeypatch.setattr(SmallLSTM, "loss", explode)
    run(tmp_path / "kept", keep_diverged=True)
    assert read_history(tmp_path / "kept")["validation_loss"] == [expected]
    monkeypatch.setattr(SmallLSTM, "loss", original)
    network = SmallLSTM(16)
    network.load_state_dict(read_weights(tmp_path / "kept"))
    validation = STAGES[1].sample(CONFIG.validation_size, random_stream(0, "validation"))
    assert network.loss(validation).item() == pytest.approx(expected)


@pytest.mark.parametrize("bar", [".", "nowhere/bar", "/dev/full"])
def test_a_bar_that_cannot_be_written_is_no_failure(tmp_path, monkeypatch, bar):
    monkeypatch.chdir(tmp_path)
    expected = files(run(tmp_path / "alone", progress=False))
    assert files(run(tmp_path / "run", progress=Path(bar))) == expected
