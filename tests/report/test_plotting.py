"""What is drawn is drawn once, and only where someone can move the sliders."""

import sys

import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import pytest

from harmonics_lib.report.plotting import METHODS, explore, method_style, plot_seeds, use_style

matplotlib.use("agg")


@pytest.fixture
def drawn(monkeypatch):
    """What a figure was drawn with, and the controls that were made."""
    calls, made = [], []
    monkeypatch.delenv("HARMONICS_STILLS", raising=False)
    interact = ipywidgets.interact
    monkeypatch.setattr(ipywidgets, "interact", lambda show, **controls: made.append(interact(show, **controls)))

    def draw(period, taper):
        calls.append((period, taper))
        return plt.figure()

    draw.calls, draw.made = calls, made
    return draw


def test_sliders_redraw_and_leave_no_figure_open(drawn):
    explore(drawn, period=(4, 60), taper=["boxcar", "hann"])
    slider, choice = drawn.made[0].widget.children[:2]
    slider.value, choice.value = 7, "hann"
    assert drawn.calls == [(32, "boxcar"), (7, "boxcar"), (7, "hann")]
    assert plt.get_fignums() == []


def test_a_report_shows_stills(drawn, monkeypatch):
    monkeypatch.setenv("HARMONICS_STILLS", "1")
    explore(drawn, period=(4, 60))
    assert drawn.calls == drawn.made == []


def test_without_ipywidgets_the_still_is_all(drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore(drawn, period=(4, 60))
    assert drawn.calls == []


def test_every_method_has_a_look_of_its_own():
    looks = [tuple(method_style(method)[key] for key in ("color", "linestyle", "marker")) for method in METHODS]
    assert len(set(looks)) == len(METHODS)
    with pytest.raises(ValueError, match="method must be one of truth"):
        method_style("crystal ball")


def test_the_bar_of_an_even_number_of_seeds_is_one_that_occurred():
    _, ax = plt.subplots()
    plot_seeds(ax, {"two": [1e-6, 1.0]})
    assert ax.lines[1].get_xdata() == [1.0]
    plt.close("all")


def test_a_personal_style_does_not_change_the_reports():
    with matplotlib.rc_context({"axes.facecolor": "pink", "lines.linewidth": 7, "font.family": "monospace"}):
        use_style()
        assert plt.rcParams["axes.facecolor"] == "white" and plt.rcParams["font.family"] == ["sans-serif"]
        assert plt.rcParams["lines.linewidth"] == 1.6
