"""Training goes on where it was killed, and loses nothing when something breaks."""

import copy
import math
import os
import re
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from harmonics_lib import HarmonicProcess, Run, SmallLSTM, Stage, TrainingConfig, random_stream, seeded, train
from harmonics_lib.networks.recurrent import Seq2SeqGRU, initialise
from harmonics_lib.training.directory import RunDirectory, RunError, read_history, read_weights
from harmonics_lib.training.trainer import TrainingDiverged, supports_bfloat16

CONFIG = TrainingConfig(batch_size=8, report_every=5, warmup_steps=4, validation_size=16)
STAGES = (Stage(HarmonicProcess((1, 3)), 12), Stage(HarmonicProcess((3, 6), noise_std=0.1), 18, horizon=7))
HALF = replace(CONFIG, precision="bfloat16")
needs_bfloat16 = pytest.mark.skipif(
    not supports_bfloat16(Run(SmallLSTM(16), STAGES, HALF)), reason="this processor has no LSTM in bfloat16"
)

SCRIPT = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from test_trainer import *
name, last = sys.argv[2], int(sys.argv[3])
owner = {{"loss": SmallLSTM, "append_history": RunDirectory, "fsync": os, "replace": os}}[name]
original, calls = getattr(owner, name), []
def deadly(*arguments, **options):
    calls.append(1)
    if len(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(owner, name, deadly)
train(Run(SmallLSTM(16), STAGES, CONFIG), sys.argv[1])
"""


def run(folder, stages=STAGES, config=CONFIG, **options):
    return train(Run(SmallLSTM(16), stages, config), folder, **options)


def files(folder):
    return (folder / "history.csv").read_bytes(), (folder / "weights.safetensors").read_bytes()


def test_killed_at_any_moment_and_started_again_ends_bit_identical(tmp_path):
    """kill -9 in a step, before a row, within a file and before it gets its name; then as a run left alone."""
    expected = files(run(tmp_path / "alone"))
    killed = tmp_path / "killed"
    for moment in (("loss", "9"), ("append_history", "2"), ("fsync", "2"), ("replace", "1")):
        script = SCRIPT.format(folder=os.path.dirname(__file__))
        command = [sys.executable, "-c", script, str(killed), *moment]
        assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
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
    whole = train(Run(Seq2SeqGRU(), stages, CONFIG), tmp_path / "whole")
    with interrupted(monkeypatch, Seq2SeqGRU, 9):
        train(Run(Seq2SeqGRU(), stages, CONFIG), tmp_path / "stopped")
    assert files(train(Run(Seq2SeqGRU(), stages, CONFIG), tmp_path / "stopped")) == files(whole)


@needs_bfloat16
def test_muon_in_bfloat16_resumes_bit_identical(tmp_path, monkeypatch):
    config = replace(CONFIG, muon_rate=0.02, precision="bfloat16", decay="linear")
    expected = files(run(tmp_path / "whole", config=config))
    with interrupted(monkeypatch, SmallLSTM, 17):
        run(tmp_path / "stopped", config=config)
    assert files(run(tmp_path / "stopped", config=config)) == expected


def test_muon_moves_the_matrices_and_adam_the_rest(tmp_path):
    """A step of Muon has a known spectral norm, rate sqrt(rows / columns); one of Adam, equal absolute values."""
    config = replace(CONFIG, learning_rate=1e-3, muon_rate=1e-2, warmup_steps=0)
    network, start = SmallLSTM(16), SmallLSTM(16)
    initialise(start, random_stream(CONFIG.seed, "initialisation"))
    train(Run(network, (replace(STAGES[0], steps=1),), config), tmp_path)
    step = {name: start.state_dict()[name] - weights for name, weights in network.state_dict().items()}
    spectral_norm = torch.linalg.matrix_norm(step["lstm.weight_hh_l0"], 2).item()  # (64, 16)
    assert spectral_norm == pytest.approx(1e-2 * math.sqrt(64 / 16), rel=0.3)
    for name in ("lstm.weight_ih_l0", "lstm.bias_hh_l0", "head.weight"):  # one column, no matrix, one row
        torch.testing.assert_close(step[name].abs(), torch.full_like(step[name], 1e-3), rtol=0.01, atol=0)


def test_adam_divides_by_its_epsilon_too(tmp_path):
    """With an epsilon that dwarfs the gradient, a step is the gradient times rate / epsilon."""
    config = replace(CONFIG, learning_rate=1e3, adam_epsilon=1e6, warmup_steps=0, final_rate=1.0, clip_norm=1e9)
    network = SmallLSTM(16)
    initialise(network, random_stream(0, "initialisation"))
    before = copy.deepcopy(network)
    signals = STAGES[0].process.sample(8, 105, 100, generator=random_stream(0, "data"))
    before.loss(signals).backward()
    train(Run(network, (replace(STAGES[0], steps=1),), config), tmp_path / "run")
    for now, then in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.allclose(then - now, 1e-3 * then.grad, rtol=1e-3, atol=1e-6)


@needs_bfloat16
def test_bfloat16_rounds_the_products_but_keeps_weights_whole(tmp_path):
    single, half = SmallLSTM(16), SmallLSTM(16)
    train(Run(single, STAGES, CONFIG), tmp_path / "single")
    train(Run(half, STAGES, HALF), tmp_path / "half")
    assert half.head.weight.dtype == torch.float32
    assert not torch.equal(single.head.weight, half.head.weight)
    torch.testing.assert_close(single.head.weight, half.head.weight, rtol=0, atol=0.01)


def test_a_precision_that_the_processor_does_not_have_is_refused_before_training(tmp_path, monkeypatch):
    """As PyTorch does for an LSTM on processors without AVX-512; found by trying, not by a list of processors."""
    original = SmallLSTM.loss

    def without_bfloat16(self, batch):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor")
        return original(self, batch)

    monkeypatch.setattr(SmallLSTM, "loss", without_bfloat16)
    sentence = r"expected precision='float32', for this cpu cannot train a SmallLSTM in bfloat16 \(could not create"
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path / "run", config=HALF)
    assert not (tmp_path / "run").exists()
    assert not supports_bfloat16(Run(SmallLSTM(16), STAGES, HALF))
    run(tmp_path / "run")


def test_asking_for_bfloat16_changes_neither_network_nor_random_streams():
    asked = Run(SmallLSTM(16), STAGES, HALF)
    before, state = copy.deepcopy(asked.network.state_dict()), torch.get_rng_state()
    supports_bfloat16(asked)
    assert all(torch.equal(before[name], weight) for name, weight in asked.network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in asked.network.parameters())


def test_seeds_are_runs_of_their_own():
    runs = seeded("small", Run(SmallLSTM(16), STAGES, CONFIG), 3)
    assert list(runs) == ["small", "small_seed1", "small_seed2"]
    assert [run.config.seed for run in runs.values()] == [0, 1, 2]
    assert len({run.fingerprint for run in runs.values()}) == len({id(run.network) for run in runs.values()}) == 3


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
    network = SmallLSTM(16)
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    train(Run(network, STAGES, CONFIG), folder)
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
    described = Run(SmallLSTM(16), (stage,), CONFIG).description
    assert Run.rebuild(described).stages == (stage,)
    with pytest.raises(ValueError, match="at least one process, got none"):
        Stage((), 1)


def test_a_description_holds_the_whole_run():
    stages = (Stage(HarmonicProcess(3, (2.5, 9), False, (0.01, 0.3)), 5, teacher_forcing=0.5), *STAGES)
    description = Run(Seq2SeqGRU("none", encoder=0), stages, replace(CONFIG, muon_rate=0.02)).description
    assert Run.rebuild(description).description == description


def test_a_fingerprint_names_a_configuration():
    name = Run(SmallLSTM(16), STAGES, CONFIG).fingerprint
    assert name == Run(SmallLSTM(16), STAGES, CONFIG).fingerprint
    assert name != Run(SmallLSTM(17), STAGES, CONFIG).fingerprint
    assert name != Run(SmallLSTM(16), STAGES[:1], CONFIG).fingerprint
    assert name != Run(SmallLSTM(16), STAGES, replace(CONFIG, seed=1)).fingerprint


def test_seeds_give_other_weights(tmp_path):
    assert files(run(tmp_path / "a")) != files(run(tmp_path / "b", config=replace(CONFIG, seed=1)))


def test_a_directory_of_another_configuration_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(RunError, match="configuration differs"):
        run(tmp_path, config=replace(CONFIG, seed=1))


@pytest.fixture
def unfinished(tmp_path):
    """The directory of a run that has only begun."""
    return RunDirectory(tmp_path / "unfinished", Run(SmallLSTM(16), STAGES, CONFIG).description)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not a checkpoint at all"])
def test_a_truncated_or_foreign_checkpoint_is_refused_and_kept(unfinished, content):
    path = unfinished.path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"truncated or not a checkpoint.*delete it"):
        run(unfinished.path)
    assert path.read_bytes() == content


def test_a_checkpoint_cut_short_is_refused(unfinished):
    unfinished.save_checkpoint({"step": 5, "weights": torch.zeros(1000)})
    path = unfinished.path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RunError, match="truncated"):
        unfinished.load_checkpoint()


def test_a_checkpoint_of_another_run_is_refused(unfinished):
    torch.save({"fingerprint": "abc", "step": 5}, unfinished.path / "checkpoint.pt")
    with pytest.raises(RunError, match="belongs to run abc"):
        run(unfinished.path)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (os.mkdir, ("trap-was-sprung",))


def test_loading_a_checkpoint_runs_no_code(unfinished, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.save({"fingerprint": Trap()}, unfinished.path / "checkpoint.pt")
    with pytest.raises(RunError, match="not a checkpoint"):
        unfinished.load_checkpoint()
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_full_disk_leaves_the_last_checkpoint_whole(unfinished):
    unfinished.save_checkpoint({"step": 5, "weights": torch.zeros(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(RunError, match=r"could not write checkpoint\.pt.*previous one is intact"):
            unfinished.save_checkpoint({"step": 10, "weights": torch.zeros(100_000)})
        with pytest.raises(RunError, match=r"could not write weights"):
            unfinished.finish({"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert unfinished.load_checkpoint()["step"] == 5 and not unfinished.finished
    assert not list(unfinished.path.glob("*.part"))


def test_truncated_weights_are_refused(tmp_path):
    folder = run(tmp_path)
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="truncated or foreign"):
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
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())


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
    unfinished.save_checkpoint({"step": 5, "device": "cuda", "data": [None]})
    with pytest.raises(RunError, match=r"process.* on cuda, this is 1 on cpu"):
        run(unfinished.path)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": 8.5},
        {"report_every": 0},
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"clip_norm": 0},
        {"warmup_steps": -1},
        {"final_rate": 2},
        {"muon_rate": -1},
        {"adam_epsilon": 0},
        {"precision": "float8"},
        {"decay": "sudden"},
    ],
)
def test_impossible_configurations_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}.*got"):
        TrainingConfig(**settings)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"steps": 2.5}, {"steps": 1, "horizon": 0}, {"steps": 1, "teacher_forcing": 2}]
)
def test_impossible_stages_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be a whole number|probability"):
        Stage(HarmonicProcess(), **settings)


def test_stages_that_the_network_cannot_be_trained_on_are_refused():
    with pytest.raises(ValueError, match="at least one stage"):
        Run(SmallLSTM(4), (), CONFIG)
    with pytest.raises(ValueError, match="lookback of 100, got 50"):
        Run(Seq2SeqGRU(), (Stage(HarmonicProcess(), 5, lookback=50),), CONFIG)


def test_a_whole_number_and_its_float_are_one_configuration():
    whole, floats = TrainingConfig(muon_rate=0, clip_norm=1), TrainingConfig(muon_rate=0.0, clip_norm=1.0)
    assert Run(SmallLSTM(4), STAGES, whole).fingerprint == Run(SmallLSTM(4), STAGES, floats).fingerprint
