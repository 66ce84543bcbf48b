"""Processes that train together: they follow one process, and only the first one writes."""

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from harmonics_lib import HarmonicProcess, Stage, TrainingConfig, random_stream, train
from harmonics_lib.distributed import Ranks
from harmonics_lib.networks import Seq2SeqGRU, initialise
from harmonics_lib.tracking import RunError, read_history, read_weights

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


STAGES = {"own": (Stage(HarmonicProcess(), 20),), "shared": (Stage(Shared(), 20),)}

SCRIPT = """
import sys
from test_distributed import *
folder, signals, stop = sys.argv[1], sys.argv[2], int(sys.argv[3])
original, calls = Seq2SeqGRU.loss, []
def loss(self, *arguments, **options):
    calls.append(1)
    if len(calls) == stop:
        raise KeyboardInterrupt
    return original(self, *arguments, **options)
Seq2SeqGRU.loss = loss
train(Seq2SeqGRU(), STAGES[signals], CONFIG, folder)
"""


def run(folder, signals="own", processes=2, stop=0) -> subprocess.CompletedProcess:
    script = folder.parent / "script.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *launcher, str(script), str(folder), signals, str(stop)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def finished(folder, **options):
    result = run(folder, **options)
    assert result.returncode == 0, result.stderr
    return read_history(folder), read_weights(folder)


def test_two_ranks_of_half_a_batch_follow_one_process_with_the_whole(tmp_path):
    one_history, one = finished(tmp_path / "one", signals="shared", processes=1)
    two_history, two = finished(tmp_path / "two", signals="shared", processes=2)
    assert two_history["signals"] == one_history["signals"] == [80, 160, 240, 320]
    for column in ("train_loss", "validation_loss"):
        assert two_history[column] == pytest.approx(one_history[column], rel=1e-4)
    start = Seq2SeqGRU()
    initialise(start, random_stream(CONFIG.seed, "initialisation"))
    start = start.state_dict()
    way = sum((one[name] - start[name]).square().sum() for name in start).sqrt()
    apart = sum((one[name] - two[name]).square().sum() for name in start).sqrt()
    assert apart < 0.01 * way  # Adam and Muon blow rounding up where a gradient is near zero


def test_every_rank_draws_its_own_signals_and_resumes_them(tmp_path):
    _, expected = finished(tmp_path / "alone")
    assert run(tmp_path / "stopped", stop=13).returncode != 0
    checkpoint = torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)
    first, second = checkpoint["data"]
    assert not torch.equal(first, second)
    with pytest.raises(RunError, match=r"begun by 2 process\(es\) on cpu, this is 1"):
        train(Seq2SeqGRU(), STAGES["own"], CONFIG, tmp_path / "stopped")
    history, weights = finished(tmp_path / "stopped")
    assert history["step"] == [5, 10, 15, 20]  # one writer: no row twice
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("harmonics_lib.training.joined_ranks", _three)
    with pytest.raises(ValueError, match="3 processes can share, got 16"):
        train(Seq2SeqGRU(), STAGES["own"], CONFIG, tmp_path)


@contextmanager
def _three(device):
    yield Ranks(0, 3), device
