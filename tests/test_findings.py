"""Claims fail loudly, metrics are tidy, figures carry their description."""

import base64
import json
import math

import matplotlib.pyplot as plt
import pytest
import torch

from harmonics_lib.published import staging_dir
from harmonics_lib.report.findings import Claim, ClaimFailed, Findings


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(tmp_path / "build"))


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
    findings.claim("trained", "A network is good", 5, "<=", 1, full_only=True)
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
    monkeypatch.setattr("harmonics_lib.report.findings.display", shown.append)
    figure = plt.figure(figsize=(7, 3))
    Findings("99_test").figure(figure, "line", "A line that rises.")
    folder = staging_dir("99_test") / "figures" / "99_test"
    assert (folder / "line.svg").exists()
    data, about = shown[0]._repr_png_()
    assert base64.b64decode(data) == (folder / "line.png").read_bytes()
    assert about == {"alt": "A line that rises.", "figure": "line", "width": 700}
    assert plt.get_fignums() == []
