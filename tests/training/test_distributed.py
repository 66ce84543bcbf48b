"""Processes that train together: they follow one process, and only the first one writes."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from harmonics_lib import HarmonicProcess, Run, Stage, TrainingConfig, random_stream, train
from harmonics_lib.networks.recurrent import Seq2SeqGRU, initialise
from harmonics_lib.training.directory import RunDirectory, RunError, read_history, read_weights
from harmonics_lib.training.distributed import Ranks

CONFIG = TrainingConfig(batch_size=16, muon_rate=0.01, report_every=5, warmup_steps=4, validation_size=100)
WHOLE = random_stream(0, "what all ranks share")


@dataclass(frozen=True)
class Shared(HarmonicProcess):
    """Training batches of which every rank draws the whole and takes its share."""

    def sample(self, batch_size, *arguments, generator, **options):
        if batch_size == CONFIG.validation_size:
            return super().sample(batch_size, *arguments, generator=generator, **options)
        count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        batch = super().sample(batch_size * count, *arguments, generator=WHOLE, **options)
        return batch[rank * batch_size : (rank + 1) * batch_size]


STAGES = (Stage(HarmonicProcess(), 20),)
RUNS = {
    "own": (STAGES, CONFIG),
    "broken": (STAGES, CONFIG),
    "shared": ((Stage(Shared(), 20),), replace(CONFIG, muon_rate=0)),  # Muon rounds to bfloat16: too coarse to compare
}

SCRIPT = """
import os, sys
from test_distributed import *
folder, rank, stop = Path(sys.argv[1]), os.environ["RANK"], int(sys.argv[2])
original, calls = Seq2SeqGRU.loss, []
def loss(self, *arguments, **options):
    calls.append(1)
    if len(calls) == stop:
        return original(self, *arguments, **options) * float("nan")
    return original(self, *arguments, **options)
Seq2SeqGRU.loss = loss
for signals in sys.argv[3:]:
    calls.clear()
    try:
        train(Run(Seq2SeqGRU, *RUNS[signals]), folder / f"{signals}{rank}")
        said = f"{len(calls)} losses of {signals} on rank {rank}"
    except RunError as error:
        if signals != "broken":
            raise
        said = f"RunError: {error}"
    os.write(1, f"{said}\\n".encode())  # in one piece: ranks share the pipe
"""


def run(folder, *signals, stop=0) -> subprocess.CompletedProcess:
    """Train one network after the other in ``folder``; the loss number ``stop`` of every rank is not a number."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, str(script), str(folder), str(stop), *signals]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """The folder where two processes trained all runs, of which one has a broken checkpoint, and what they said."""
    folder = tmp_path_factory.mktemp("complete")
    (folder / "broken0").mkdir()
    (folder / "broken0" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    result = run(folder, "broken", "shared", "own")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def distance(one, other):
    return sum((one[name] - other[name]).square().sum() for name in one).sqrt()


def test_two_ranks_of_half_a_batch_follow_one_process_with_the_whole(tmp_path, complete):
    folder, _ = complete
    one = train(Run(Seq2SeqGRU, *RUNS["shared"]), tmp_path / "one").state_dict()
    one_history = read_history(tmp_path / "one")
    two_history, two = read_history(folder / "shared0"), read_weights(folder / "shared0")
    assert two_history["signals"] == one_history["signals"] == [80, 160, 240, 320]
    for column in ("train_loss", "validation_loss"):
        assert two_history[column] == pytest.approx(one_history[column], rel=1e-4)
    start = Seq2SeqGRU()
    initialise(start, random_stream(CONFIG.seed, "initialisation"))
    # Adam blows rounding up where a gradient is near zero, so not to the last digit.
    assert distance(one, two) < 0.01 * distance(one, start.state_dict())


def test_every_rank_draws_its_own_signals_the_first_one_writes_and_all_resume(tmp_path, complete):
    failed = run(tmp_path, "own", stop=13)  # rank 0 validates too: its 13th loss is that of step 11
    assert failed.returncode != 0 and "the checkpoint of step 10" in failed.stderr
    started = Run(Seq2SeqGRU, STAGES, CONFIG)
    checkpoint = RunDirectory(tmp_path / "own0", started.fingerprint).restore()
    (first, _), (second, _) = checkpoint["streams"]
    assert not torch.equal(first, second)
    with pytest.raises(RunError, match=r"begun by 2 process\(es\) on cpu, this is 1"):
        train(started, tmp_path / "own0")
    resumed = run(tmp_path, "own")
    assert resumed.returncode == 0, resumed.stderr
    for rank, losses in ((0, 12), (1, 10)):  # rank 0 validates twice
        assert f"{losses} losses of own on rank {rank}" in resumed.stdout
    assert read_history(tmp_path / "own0")["step"] == [5, 10, 15, 20]
    expected, weights = read_weights(complete[0] / "own0"), read_weights(tmp_path / "own0")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert not (tmp_path / "own1").exists()  # no shared folder is needed


def test_a_broken_checkpoint_is_the_same_error_in_all_ranks_which_can_go_on(complete):
    folder, said = complete
    assert said.count(f"RunError: {folder / 'broken0' / 'checkpoint.pt'} is damaged") == 2
    assert said.count("losses of own") == 2


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("harmonics_lib.training.trainer.join_ranks", lambda device: (Ranks(0, 3), device))
    with pytest.raises(ValueError, match="3 processes can share, got 16"):
        train(Run(Seq2SeqGRU, STAGES, CONFIG), tmp_path / "run")
    assert not (tmp_path / "run").exists()
