"""A study, a training with a loop of its own, is stopped and goes on as ``train`` does."""

import pytest
import torch
from kills import kill
from torch import nn

from harmonics_lib import Study, random_stream
from harmonics_lib.training.directory import RunError
from harmonics_lib.training.loop import complete, restore, snapshot

INPUTS = torch.randn(32, 5, generator=random_stream(0, "loop test"))


def descend(study, state):
    """Adam on a line, then L-BFGS, noise from a stream; a scheduler, and a row every third step."""
    network = study.build()
    nn.init.constant_(network.weight, 0.1 + study.seed)
    nn.init.zeros_(network.bias)
    make = torch.optim.LBFGS if study.training["lbfgs"] else torch.optim.Adam
    optimizer = make(network.parameters(), lr=study.training["rate"])
    schedule, data = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12), random_stream(study.seed, "data")
    parts = {"weights": network, "optimizer": optimizer, "schedule": schedule, "data": data}
    for step in range(restore(parts, state) + 1, 13):
        noise = torch.randn(32, 1, generator=data)

        def closure(noise=noise):
            optimizer.zero_grad()
            loss = (network(INPUTS) - INPUTS.sum(dim=1, keepdim=True) - 0.1 * noise).square().mean()
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        schedule.step()
        if step % 3 == 0:
            yield {"step": step, "loss": loss.item()}, snapshot(parts, step)


def study(lbfgs=False, **changes):
    settings = {"in_features": 5, "out_features": 1}
    return Study(nn.Linear, descend, {"rate": 0.1, "lbfgs": lbfgs}, settings, **changes)


def finished(folder, of):
    complete(folder, of.description, lambda state: of.steps(of, state))
    return (folder / "history.csv").read_bytes(), (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("lbfgs", [False, True])
def test_a_study_that_is_killed_and_started_again_ends_bit_identical(tmp_path, lbfgs):
    expected = finished(tmp_path / "alone", study(lbfgs))
    training = f"finished(folder, study({lbfgs}))"
    kill("test_loop", training, tmp_path / "killed", "os fsync 3", "os replace 3", "os fsync 4")
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    assert finished(tmp_path / "killed", study(lbfgs)) == expected


def test_a_finished_study_takes_no_step(tmp_path):
    expected = finished(tmp_path, study())
    weights = complete(tmp_path, study().description, lambda state: pytest.fail("a step was taken"))
    assert finished(tmp_path, study()) == expected and weights["weight"].shape == (1, 5)


def test_steps_that_end_before_a_row_leave_no_result(tmp_path):
    with pytest.raises(RunError, match="ended before its first row"):
        complete(tmp_path, study().description, lambda state: (pair for pair in ()))
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_fingerprint_names_network_training_and_seed():
    one = study()
    assert one.fingerprint == study().fingerprint and one == study()
    others = {study(lbfgs=True).fingerprint, study(seed=1).fingerprint, one.with_seed(2).fingerprint}
    assert len({one.fingerprint, *others}) == 4
    assert one.description["network"]["class"] == "Linear" and one.description["training"]["seed"] == 0
    with pytest.raises(ValueError, match="training must be plain data"):
        Study(nn.Linear, descend, {"rate": torch.zeros(3)}, one.settings)
