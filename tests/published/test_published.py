"""Published networks are loaded, not trained; what is not published is trained; names lead to forecasters."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harmonics_lib import (
    HarmonicProcess,
    Run,
    Stage,
    TrainingConfig,
    load_forecaster,
    load_table,
    network_forecaster,
    paths,
    seeded,
    train_missing,
)
from harmonics_lib.networks.recurrent import SmallLSTM
from harmonics_lib.paths import build_dir, results_dir, retrain_dir, retraining, staging_dir
from harmonics_lib.published.runs import load_trained, train_again
from harmonics_lib.published.store import record_checksums
from harmonics_lib.published.tables import load_metrics
from harmonics_lib.training.directory import open_run, read_weights


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "results"))
    return tmp_path


STAGES, CONFIG = (Stage(HarmonicProcess(), 4),), TrainingConfig(batch_size=4, report_every=2, validation_size=4)


def tiny(hidden=4):
    return Run(SmallLSTM, STAGES, CONFIG, {"hidden": hidden})


def trained(run, name="tiny"):
    return train_missing({name: run}, "99_test")[name]


def publish(build):
    (build / "results").mkdir()
    for folder in staging_dir("99_test").iterdir():
        folder.rename(build / "results" / folder.name)


def test_what_is_published_is_loaded_and_what_is_missing_trained(build):
    with pytest.raises(ValueError, match=r"expected published runs, got no tiny \(train_missing trains them\)"):
        load_trained({"tiny": tiny()})
    assert not (build / "build").exists()
    first = trained(tiny())
    assert first.folder == staging_dir("99_test") / "runs" / "tiny"
    publish(build)
    for again in (trained(tiny()), load_trained({"tiny": tiny()})["tiny"]):
        assert again.folder == results_dir() / "runs" / "tiny"
        assert torch.equal(first.network.head.weight, again.network.head.weight)
        assert again.history["step"] == [2, 4] and again.fingerprint == tiny().fingerprint
    fingerprints = f"tiny with fingerprint {tiny().fingerprint}, not {tiny(5).fingerprint}"
    with pytest.raises(ValueError, match=fingerprints):
        load_trained({"tiny": tiny(5)})
    assert trained(tiny(5)).folder.is_relative_to(staging_dir("99_test"))


def test_looking_up_and_training_change_no_run(build):
    run = tiny()
    one, two = trained(run), trained(run)
    assert run == tiny() and one.network is one.network is not two.network
    assert one.network.head.weight.dtype == torch.float64


def damaged(path):
    """One bit of the middle byte turned."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_in_a_published_file_is_noticed(build):
    trained(tiny())
    publish(build)
    metrics = results_dir() / "metrics"
    metrics.mkdir()
    (metrics / "grid.csv").write_text("method,mse\na,1\nb,2\n")
    (metrics / "99_test.json").write_text(json.dumps({"values": {"a": 1}}))
    files = [path for path in results_dir().rglob("*") if path.is_file()]
    record_checksums(files)
    load = {"grid.csv": lambda: load_table("grid"), "99_test.json": lambda: load_metrics("99_test")}
    assert (
        load_table("grid").shape == (2, 2) and load_metrics("99_test")["values"] == {"a": 1} and load_forecaster("tiny")
    )
    for path in files:
        damaged(path)
        with pytest.raises(ValueError, match=rf"{path.name} is damaged, .*: its checksum is not that in SHA256SUMS"):
            load.get(path.name, lambda: load_forecaster("tiny"))()
        damaged(path)
    assert load_forecaster("tiny")


def test_what_was_damaged_before_it_was_published_is_noticed_too(build):
    folder = trained(tiny()).folder
    weights = {name: torch.full_like(tensor, torch.nan) for name, tensor in read_weights(folder).items()}
    save_file(weights, folder / "weights.safetensors")
    publish(build)
    with pytest.raises(ValueError, match="its weights are not finite real numbers"):
        load_forecaster("tiny")
    (results_dir() / "metrics").mkdir()
    (results_dir() / "metrics" / "grid.csv").write_text("")
    with pytest.raises(ValueError, match=r"grid.csv is damaged: it is no table"):
        load_table("grid")
    (results_dir() / "metrics" / "99_test.json").write_text('{"values"')
    with pytest.raises(ValueError, match=r"99_test.json is damaged: it is no JSON"):
        load_metrics("99_test")


@pytest.mark.parametrize("name", ["../models/small_lstm", "", "a b", None, 5])
def test_names_are_names(name):
    with pytest.raises(ValueError, match="expected a name of letters, digits and underscores"):
        load_metrics(name)
    with pytest.raises(ValueError, match="must be a published network"):
        load_forecaster(name)


def test_checksums_are_those_of_the_published_files():
    """… of all of them that are ever loaded."""
    results = Path(paths.__file__).parents[1] / "results"
    loaded = [path for kind in ("metrics", "models", "runs", "benchmarks") for path in (results / kind).rglob("*.*")]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(results).as_posix()}" for path in loaded
    ]
    assert sorted(lines) == sorted((results / "SHA256SUMS").read_text().splitlines())


def zeroed(path):
    """Weights that no training ends with."""
    weights = {name: torch.zeros_like(tensor) for name, tensor in read_weights(path).items()}
    save_file(weights, path / "weights.safetensors")


def test_retraining_takes_nothing_that_stands_but_what_it_had_itself_finished(build, monkeypatch):
    first = trained(tiny()).network
    (run,) = (build / "build" / "runs").iterdir()
    zeroed(run)
    monkeypatch.setenv("HARMONICS_RETRAIN", "1")
    assert torch.equal(first.head.weight, trained(tiny()).network.head.weight)
    (run,) = retrain_dir("99_test").iterdir()
    zeroed(run)
    assert not trained(tiny()).network.head.weight.any()  # after a later cell failed: not trained a second time


def test_training_a_published_network_again_replaces_it(build):
    first = trained(tiny()).weights["head.weight"]
    publish(build)
    folder = results_dir() / "runs" / "tiny"
    zeroed(folder)
    train_again("tiny")
    assert torch.equal(read_weights(folder)["head.weight"], first)
    with pytest.raises(ValueError, match=r"published network \(small_lstm, .*\), got 'huge'"):
        train_again("huge")


def test_training_again_makes_damaged_weights_good(build):
    trained(tiny())
    publish(build)
    folder = results_dir() / "runs" / "tiny"
    record_checksums(folder.iterdir())
    damaged(folder / "weights.safetensors")
    train_again("tiny")
    assert load_forecaster("tiny")
    damaged(folder / "config.json")  # which says what to train
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        train_again("tiny")


def test_published_networks_are_forecasters_by_name(build):
    lookback = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    for name, folder in (("small_lstm", "models"), ("tiny", "runs")):  # offered to all, kept for a comparison
        network = (found := trained(tiny(), name)).network
        assert found.folder == staging_dir("99_test") / folder / name
        assert not publish(build) and (results_dir() / folder / name).exists()
        assert torch.equal(load_forecaster(name)(lookback, 3), network_forecaster(network)(lookback, 3))
        shutil.rmtree(results_dir())


def test_an_unknown_name_is_answered_with_the_networks_that_are_meant_for_use():
    offered = "small_lstm, seq2seq_gru, curriculum_gru, curriculum_gru_2_99, noise_network"
    with pytest.raises(ValueError, match=rf"published network \({offered}\), got 'huge'"):
        load_forecaster("huge")


def test_a_network_that_a_notebook_defines_is_no_forecaster_by_name(build):
    folder = build / "results" / "runs" / "waves"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"network": {"class": "StackedLSTM", "settings": {}}}')
    with pytest.raises(ValueError, match=r"one of the networks SmallLSTM.*got StackedLSTM"):
        load_forecaster("waves")
    with pytest.raises(ValueError, match="got StackedLSTM"):
        train_again("waves")


def test_trainings_at_a_time_are_those_one_by_one(build):
    """Each seed in a process of its own."""
    one, two = (seeded(name, tiny(), 2) for name in ("one", "two"))
    alone, together = train_missing(one, "99_test"), train_missing(two, "99_test", processes=2)
    for first, second in zip(alone.values(), together.values(), strict=True):
        assert first.fingerprint == second.fingerprint and first.history == second.history
        assert torch.equal(first.network.head.weight, second.network.head.weight)


ORPHANS = """
import os, sys
from harmonics_lib import *
from harmonics_lib.networks.recurrent import SmallLSTM
STAGES = (Stage(HarmonicProcess(), 10**6),)
run = Run(SmallLSTM, STAGES, TrainingConfig(batch_size=4, report_every=5, validation_size=4), {"hidden": 4})
train_missing(seeded("endless", run, 2), "99_test", processes=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say who adopted a process")
def test_trainings_end_with_the_process_that_started_them(build):
    """… however that ended; their directories are then free."""
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], stderr=subprocess.DEVNULL)
    histories = [build / "build" / "runs" / f"{name}-{run.fingerprint}" / "history.csv" for name, run in endless()]
    deadline = time.monotonic() + 100
    while not all(path.exists() for path in histories):
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    time.sleep(2)
    before = [path.read_bytes() for path in histories]
    time.sleep(1)
    assert [path.read_bytes() for path in histories] == before
    for path, (_, run) in zip(histories, endless(), strict=True):
        with open_run(path.parent, run.description):
            pass


def endless():
    stages = (Stage(HarmonicProcess(), 10**6),)
    config = TrainingConfig(batch_size=4, report_every=5, validation_size=4)
    return seeded("endless", Run(SmallLSTM, stages, config, {"hidden": 4}), 2).items()


@pytest.mark.parametrize("value, on", [("", False), ("0", False), ("1", True)])
def test_a_switch_is_on_or_off(monkeypatch, value, on):
    monkeypatch.setenv("HARMONICS_RETRAIN", value)
    assert retraining() is on


def test_settings_that_mean_nothing_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HARMONICS_RETRAIN", "yes")
    with pytest.raises(ValueError, match="HARMONICS_RETRAIN must be 1 or 0, got 'yes'"):
        retraining()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="HARMONICS_BUILD must name a folder, got the file"):
        build_dir()


def test_the_settings_are_read_in_one_place_and_documented_there():
    used = {
        (path.name, name)
        for path in Path(paths.__file__).parent.rglob("*.py")
        for name in re.findall(r"HARMONICS_\w+", path.read_text())
    }
    readers = {file for file, name in used}
    setting = {"runner.py", "__main__.py", "prose.py"}  # for the kernels, and for Colab
    assert readers <= {"paths.py", "runs.py"} | setting
    assert {name for _, name in used} == set(re.findall(r"``(HARMONICS_\w+)``", paths.__doc__))
