"""Claims fail loudly, metrics are tidy, figures carry their description."""

import base64
import json
import math
import shutil

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from harmonics_lib.paths import staging_dir
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


def test_metrics_have_sensible_digits_and_are_the_same_file_in_whatever_order_they_come(build):
    path, texts = staging_dir("99_test") / "metrics" / "99_test.json", []
    for order in (1, -1):
        findings = Findings("99_test")
        for name, number in (("z", torch.tensor([1 / 3, 2.0])), ("a", 123456789.123))[::order]:
            findings.value(name, number)
        findings.save()
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    stored = json.loads(texts[0])
    assert stored["values"] == {"a": 123457000.0, "z": [0.333333, 2.0]}
    assert set(stored["provenance"]["packages"]) >= {"torch", "numpy", "harmonics-lib"}


def test_a_figure_is_saved_and_shown_with_its_description(build, monkeypatch):
    shown = []
    monkeypatch.setattr("harmonics_lib.report.findings.display", lambda data, **options: shown.append((data, options)))
    figure = plt.figure(figsize=(7, 3))
    Findings("99_test").figure(figure, "line", "A line that rises.")
    folder = staging_dir("99_test") / "figures" / "99_test"
    assert (folder / "line.svg").exists()
    ((data, options),) = shown
    assert base64.b64decode(data["image/png"]) == (folder / "line.png").read_bytes()
    assert options["metadata"] == {"image/png": {"alt": "A line that rises.", "figure": "line", "width": 700}}
    assert plt.get_fignums() == []


def test_an_animation_draws_every_frame_once(build):
    figure, ax = plt.subplots()
    (line,) = ax.plot([0, 1], [0, 0])
    drawn = []

    def draw(height):
        drawn.append(height)
        line.set_ydata([0, height])

    Findings("09_test").animation(figure, draw, (0.2, 0.5, 1.0), "rise", "A line that rises.")
    with Image.open(staging_dir("09_test") / "figures" / "09_test" / "rise.gif") as picture:
        assert drawn == [0.2, 0.5, 1.0] and picture.n_frames == 3


def test_rounding_is_neither_stored_nor_spelt_out(build):
    findings = Findings("99_test")
    findings.value("nothing", 3e-17)
    findings.claim("exact", "It is exact", 2e-29, "<=", 1e-12)
    findings.claim("count", "None fails", 0, "<=", 0)
    findings.save()
    stored = json.loads((staging_dir("99_test") / "metrics" / "99_test.json").read_text())
    assert stored["values"] == {"count": 0.0, "exact": 0.0, "nothing": 0.0}
    assert findings.table()["measured"].tolist() == ["below 1e-12", "0"]
    exact = next(claim for claim in stored["claims"] if claim["name"] == "exact")
    assert Claim(*(exact[name] for name in ("sentence", "value", "comparison", "bound"))).measurement == "below 1e-12"


def test_vector_figures_are_the_same_where_only_rounding_differs(build):
    """Curves, bands and stems of values that differ in the twelfth digit: what another processor computes."""
    drawn = []
    for shift in (0.0, 1e-12):
        figure, ax = plt.subplots()
        x = torch.linspace(0, 1, 50, dtype=torch.float64) * (1 + shift)
        ax.plot(x, x.sin(), "o-")
        ax.fill_between(x, x.sin(), x.cos())
        ax.stem(x[:5], x[:5])
        Findings("99_test").figure(figure, "line", "A line.")
        drawn.append((staging_dir("99_test") / "figures" / "99_test" / "line.svg").read_bytes())
    assert drawn[0] == drawn[1]


def test_a_figure_that_differs_by_what_nobody_sees_stays_the_published_one(build, tmp_path, monkeypatch):
    """… on a processor that rounds otherwise, where a value is near the floor of rounding."""
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "results"))
    folder = staging_dir("99_test") / "figures" / "99_test"

    def draw(height):
        figure, ax = plt.subplots()
        ax.plot([0, 1, 2], [0, height, 1])
        ax.set_ylim(0, 1)
        Findings("99_test").figure(figure, "line", "A line.")
        return [(folder / f"line.{kind}").read_bytes() for kind in ("svg", "png")]

    first = draw(0.5)
    shutil.copytree(folder, tmp_path / "results" / "figures" / "99_test")
    assert draw(0.50005) == first
    assert all(new != old for new, old in zip(draw(0.51), first, strict=True))
