"""Claims fail loudly, metrics are tidy, and networks serve series in any unit."""

import base64
import json
import math

import matplotlib.pyplot as plt
import pytest
import torch
from safetensors.torch import save_file

from harmonics_lib import Findings, Stage, TrainingConfig, load_forecaster, network_forecaster, trained_network
from harmonics_lib.networks import SmallLSTM
from harmonics_lib.results import Claim, ClaimFailed, results_dir, retrain_dir, staging_dir, train_again
from harmonics_lib.signals import HarmonicProcess
from harmonics_lib.tracking import read_weights


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "results"))
    return tmp_path


@pytest.mark.parametrize(
    "value, comparison, bound, holds",
    [(1, "<=", 1, True), (2, "<=", 1, False), (1, ">=", 2, False), (8, "==", 8, True), (math.nan, "<=", 1, False)],
)
def test_a_claim_holds_when_its_number_keeps_its_bound(value, comparison, bound, holds):
    assert Claim("", value, comparison, bound).holds is holds


def test_an_unknown_comparison_is_refused():
    with pytest.raises(ValueError, match="comparison must be one of"):
        Claim("", 1, "<", 2)


def test_a_failed_claim_stops_the_notebook_and_is_named_with_its_number(build):
    findings = Findings("99_test")
    findings.claim("good", "One is one", 1, "==", 1)
    findings.claim("bad", "Pi is three", math.pi, "==", 3)
    with pytest.raises(ClaimFailed, match=r"^Pi is three \(measured 3.14159, bound == 3\)$"):
        findings.save()
    assert findings.table()["holds"].tolist() == ["yes", "NO"]


def test_the_quick_profile_judges_what_needs_no_training(build):
    findings = Findings("99_test", profile="quick")
    findings.claim("trained", "A network is good", 5, "<=", 1, trained=True)
    findings.save()
    assert findings.table()["holds"].tolist() == ["not judged"]
    findings.claim("exact", "Two is one", 2, "==", 1)
    with pytest.raises(ClaimFailed, match="Two is one"):
        findings.save()


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="'full' or 'quick'"):
        Findings("99_test", profile="fast")


def test_metrics_have_sorted_keys_and_sensible_digits(build):
    findings = Findings("99_test")
    findings.value("z", torch.tensor([1 / 3, 2.0]))
    findings.value("a", 123456789.123)
    findings.save()
    path = staging_dir("99_test") / "metrics" / "99_test.json"
    stored = json.loads(path.read_text())
    assert stored["values"] == {"a": 123457000.0, "z": [0.333333, 2.0]}
    assert path.read_text() == json.dumps(stored, indent=1, sort_keys=True) + "\n"
    assert set(stored["provenance"]["packages"]) >= {"torch", "numpy", "harmonics-lib"}


def test_a_figure_is_saved_and_shown_with_its_description(build, monkeypatch):
    shown = []
    monkeypatch.setattr("harmonics_lib.results.display", shown.append)
    figure = plt.figure(figsize=(7, 3))
    Findings("99_test").figure(figure, "line", "A line that rises.")
    folder = staging_dir("99_test") / "figures" / "99_test"
    assert (folder / "line.svg").exists()
    data, about = shown[0]._repr_png_()
    assert base64.b64decode(data) == (folder / "line.png").read_bytes()
    assert about == {"alt": "A line that rises.", "figure": "line", "width": 700}
    assert plt.get_fignums() == []


RUN = ("tiny", (Stage(HarmonicProcess(), 4),), TrainingConfig(batch_size=4, report_every=2, validation_size=4))


def trained(network, notebook="99_test"):
    name, stages, config = RUN
    return trained_network(name, network, stages, config, notebook)


def publish(build):
    (build / "results").mkdir()
    (staging_dir("99_test") / "models").rename(build / "results" / "models")


def test_a_published_configuration_is_loaded_and_another_trained(build, monkeypatch):
    first = SmallLSTM(4)
    trained(first)
    publish(build)
    again = SmallLSTM(4)
    assert trained(again) == results_dir() / "models" / "tiny"
    assert torch.equal(first.head.weight, again.head.weight)
    assert trained(SmallLSTM(5)).is_relative_to(staging_dir("99_test"))


def zeroed(path):
    """Weights that no training ends with."""
    weights = {name: torch.zeros_like(tensor) for name, tensor in read_weights(path).items()}
    save_file(weights, path / "weights.safetensors")


def test_retraining_takes_nothing_that_stands_but_what_it_had_itself_finished(build, monkeypatch):
    first = SmallLSTM(4)
    trained(first)
    (run,) = (build / "build" / "runs").iterdir()
    zeroed(run)
    monkeypatch.setenv("HARMONICS_RETRAIN", "1")
    again = SmallLSTM(4)
    trained(again)
    assert torch.equal(first.head.weight, again.head.weight)
    (run,) = retrain_dir("99_test").iterdir()
    zeroed(run)
    third = SmallLSTM(4)
    trained(third)  # after a later cell of the notebook failed: not trained a second time
    assert not third.head.weight.any()


def test_training_a_published_network_again_replaces_it(build):
    first = SmallLSTM(4)
    trained(first)
    publish(build)
    published = results_dir() / "models" / "tiny"
    zeroed(published)
    train_again("tiny")
    assert torch.equal(read_weights(published)["head.weight"], first.head.weight)
    with pytest.raises(ValueError, match=r"published network \(tiny\), got 'huge'"):
        train_again("huge")


def test_published_networks_are_forecasters_by_name(build):
    network = SmallLSTM(4)
    trained(network)
    publish(build)
    lookback = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_forecaster("tiny")(lookback, 3), network_forecaster(network)(lookback, 3))
    with pytest.raises(ValueError, match=r"published network \(tiny\), got 'huge'"):
        load_forecaster("huge")


def test_a_network_that_a_notebook_defines_is_no_forecaster_by_name(build):
    folder = build / "results" / "models" / "waves"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"network": {"class": "StackedLSTM", "settings": {}}}')
    with pytest.raises(ValueError, match=r"one of the networks SmallLSTM.*got StackedLSTM"):
        load_forecaster("waves")
    with pytest.raises(ValueError, match="got StackedLSTM"):
        train_again("waves")


def test_a_forecast_has_the_dtype_and_the_unit_of_its_lookback():
    forecast = network_forecaster(SmallLSTM(4))
    lookback = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ahead = forecast(lookback, 4)
    assert ahead.dtype == torch.float64 and forecast(lookback.float(), 4).dtype == torch.float32
    assert torch.allclose(forecast(1000 * lookback, 4), 1000 * ahead)
    assert torch.isfinite(forecast(torch.zeros(1, 20), 4)).all()


def test_forecasting_leaves_the_network_as_it_was():
    network = SmallLSTM(4).train()
    lookback = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    forecast = network_forecaster(network)
    before = forecast(lookback, 4)
    forecast(lookback.bfloat16(), 4)
    assert torch.equal(forecast(lookback, 4), before)
    assert network.training and network.head.weight.dtype == torch.float32


def test_a_forecast_leaves_no_gradient_and_changes_no_input():
    lookback = torch.ones(1, 20)
    assert not network_forecaster(SmallLSTM(4))(lookback, 4).requires_grad
    assert torch.equal(lookback, torch.ones(1, 20))
