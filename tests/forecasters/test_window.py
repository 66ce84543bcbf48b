"""A window is scaled and analysed once, however many methods work on it."""

import pytest
import torch

from harmonics_lib import HarmonicProcess, auto_forecaster, random_stream
from harmonics_lib.forecasters import auto, estimates, nonlinear
from harmonics_lib.forecasters.estimates import noise_level
from harmonics_lib.forecasters.window import Window

WHOLE = HarmonicProcess((1, 20), (2, 99))
ANY = HarmonicProcess((1, 20), (2, 99), integer_periods=False)


def windows(count=6):
    process = HarmonicProcess((1, 20), (2, 99), False, 0.1)
    return process.sample(count, 100, 100, generator=random_stream(0, "window"), dtype=torch.float64).past


def test_windows_have_peak_1_and_know_their_unit():
    lookback = torch.tensor([[1.0, -4.0], [0.0, 0.0]])
    window = Window.of(lookback)
    assert window.x.tolist() == [[0.25, -1.0], [0.0, 0.0]] and window.unit.tolist() == [[4.0], [1.0]]
    centred = Window.of(lookback).centred()
    assert torch.equal(centred.x + centred.level, window.x)


def test_an_analysis_is_made_once_and_its_parts_go_with_their_windows():
    calls = []

    def analysis(x, factor):
        calls.append(len(x))
        return factor * x.mean(dim=1)

    window = Window.of(windows())
    assert torch.equal(window.once(analysis, 2), window.once(analysis, 2))
    rows = torch.tensor([4, 1])
    assert torch.equal(window[rows].once(analysis, 2), 2 * window.x[rows].mean(dim=1))
    assert calls == [6]
    window.once(analysis, 3)
    assert calls == [6, 6]


def test_noise_has_the_unit_of_the_window():
    lookback = windows()
    window = Window.of(lookback)
    assert torch.allclose(window.once(noise_level) * window.unit[:, 0], noise_level(lookback))


@pytest.mark.parametrize("process, searches", [(WHOLE, 0), (ANY, 1)], ids=["whole", "any"])
def test_auto_measures_noise_once_and_looks_for_sinusoids_once(process, searches, monkeypatch):
    made = {"noise": 0, "sinusoids": 0}

    def counted(name, function):
        def call(*arguments):
            made[name] += 1
            return function(*arguments)

        return call

    estimates.white_noise_level(100)
    monkeypatch.setattr(estimates, "_smallest_singular_values", counted("noise", estimates._smallest_singular_values))
    monkeypatch.setattr(nonlinear.SinusoidFit, "__init__", counted("sinusoids", nonlinear.SinusoidFit.__init__))
    auto_forecaster(process)(windows(), 5)
    assert made == {"noise": 1, "sinusoids": searches}


def test_a_search_that_goes_on_finds_what_a_longer_one_would_have():
    x = Window.of(windows(20)).x
    fit = nonlinear.SinusoidFit(x, (0.01, 0.5))
    fit.best(2)
    for most in (6, 3):
        found, counts = nonlinear.fit_sinusoids(x, most, (0.01, 0.5))
        again, same = fit.best(most)
        assert torch.equal(counts, same) and torch.equal(found.nan_to_num(), again.nan_to_num())


def test_more_whole_periods_than_can_be_tried_are_found_by_least_squares():
    """Inner products of 100,000 periods with one another would take 320 GB."""
    process = HarmonicProcess((1, 3), (2, auto._MOST_SINGLE + 2))
    batch = HarmonicProcess(1, (20, 40), noise_std=0.1).sample(
        2, 45, 40, generator=random_stream(0, "many periods"), dtype=torch.float64
    )
    error = (auto_forecaster(process)(batch.past, 5) - batch.future).square().mean()
    assert error < 0.3 * batch.future.square().mean()
