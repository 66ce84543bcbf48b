"""Figures that move: their numbers against the library's, in Chromium, and their use by keyboard."""

import functools
import math
import re

import pytest
import torch
from pages import PHONE, WIDE, open_page, resize, serious_findings

from harmonics_lib import HarmonicProcess, dft_extrapolation, load_forecaster
from harmonics_lib.forecasters import sparse
from harmonics_lib.forecasters.estimates import white_noise_level
from harmonics_lib.signals.spectrum import dirichlet_kernel, energy_outside, harmonics, taper

FIGURES = {
    "leakage": "02_spectral_leakage",
    "free_running": "03_small_lstm",
    "propagation": "06_limits",
    "eigenvalues": "09_state_space",
}


@pytest.fixture(scope="module", params=FIGURES)
def figure(request, site, browser):
    """The name of a figure, its page, and what goes wrong on it."""
    page, wrong = open_page(browser, f"{site}/{FIGURES[request.param]}.html")
    ready(page, request.param)
    yield request.param, page, wrong
    page.close()


def ready(page, name):
    page.wait_for_function(f"document.getElementById('{name}')?.dataset.state === 'ready'")


@pytest.mark.parametrize(("period", "window", "name"), [(20, 110, "boxcar"), (13.25, 87, "blackmanharris")])
def test_the_kernel_and_the_forecast_of_a_tone_are_the_librarys(modules, period, window, name):
    script = """async ([period, window, name, frequencies]) => {
        const { kernel, leak, transform } = await import("/modules/leakage.js");
        const { signal, forecast, amplitudes, mse, leaked } = leak(period, window, name);
        return { signal: [...signal], forecast: [...forecast], amplitudes: [...amplitudes], mse, leaked,
            kernel: frequencies.map(f => kernel(name, f, window)),
            transform: frequencies.map(f => transform(name, f, 1 / period, window)) };
    }"""
    frequencies = [0.0, 0.013, 0.05, 1 / window, 0.25]
    found = modules.evaluate(script, [period, window, name, frequencies])
    weights, at = taper(name, window), torch.tensor(frequencies, dtype=torch.float64)
    time = torch.arange(window + 60, dtype=torch.float64)
    signal = torch.sin(2 * math.pi * time / period + 0.3)
    seen = signal[:window] * weights / weights.mean()
    waves = torch.polar(torch.ones(window, dtype=torch.float64), -2 * math.pi * at[:, None] * time[:window])
    forecast = dft_extrapolation(name)(signal[None, :window], 60)[0] / weights.mean()
    kernel = torch.view_as_complex(torch.tensor(found["kernel"], dtype=torch.float64))
    near = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-9)
    near(kernel, waves @ weights.to(waves))
    if name == "boxcar":
        near(kernel, dirichlet_kernel(at, window))
    near(torch.tensor(found["transform"], dtype=torch.float64), (waves @ (signal[:window] * weights).to(waves)).abs())
    near(torch.tensor(found["amplitudes"], dtype=torch.float64), harmonics(seen).amplitudes)
    near(torch.tensor(found["forecast"], dtype=torch.float64), forecast)
    assert found["mse"] == pytest.approx(float((forecast - signal[window:]).square().mean()) / 0.5, rel=1e-9)
    assert found["leaked"] == pytest.approx(energy_outside(seen, 1 / period), rel=1e-6)


def test_tapers_are_the_librarys(modules):
    script = 'async () => { const { TAPERS } = await import("/modules/leakage.js"); return TAPERS; }'
    for name, coefficients in modules.evaluate(script).items():
        assert float(taper(name, 1024).mean()) == pytest.approx(coefficients[0], abs=1e-12)
        transform = torch.fft.rfft(taper(name, 1024))[: len(coefficients)].real / 1024
        signed = [(-1) ** k * a / (2 if k else 1) for k, a in enumerate(coefficients)]
        assert transform.tolist() == pytest.approx(signed, abs=1e-9)


@pytest.mark.parametrize("seed", [1, 11])
def test_running_free_is_the_librarys_network_and_hears_the_window_first(modules, seed):
    script = """async seed => {
        const { freeRunning } = await import("/modules/free_running.js");
        const { listeners } = await import("/modules/networks.js");
        const { drawSignal } = await import("/modules/signals.js");
        const { loadNetwork } = await import("/modules/weights.js");
        const { clean } = drawSignal({ components: 4, noise: 0, whole: true, shortest: 2, longest: 99, seed });
        const listener = await loadNetwork("/playground/", "small_lstm", listeners);
        return { clean: [...clean], ...freeRunning(listener(), clean) };
    }"""
    found = modules.evaluate(script, seed)
    clean, outputs = torch.tensor(found["clean"], dtype=torch.float64), torch.tensor(found["outputs"])
    assert found["inputs"] == found["clean"][:100] + found["outputs"][99:-1]
    free = load_forecaster("small_lstm")(clean[None, :100], 50)[0]
    torch.testing.assert_close(outputs[99:].double(), free.double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("seed", "components"), [(5, 4), (9, 12)])
def test_probabilities_after_each_step_are_the_librarys(modules, seed, components):
    script = """async ([seed, components, white]) => {
        const { beliefsByStep } = await import("/modules/sparse.js");
        const { drawSignal } = await import("/modules/signals.js");
        const process = { whole: true, shortest: 2, longest: 99 };
        const window = drawSignal({ ...process, components, noise: 0.1, seed }).observed.slice(0, 100);
        const beliefs = beliefsByStep(window, process, white);
        return { window: [...window], noise: beliefs.at(-1).noise, count: beliefs.at(-1).count,
            probabilities: beliefs.map(belief => [...belief.probabilities]) };
    }"""
    found = modules.evaluate(script, [seed, components, white_noise_level(100)])
    window = torch.tensor([found["window"]], dtype=torch.float64)
    scale = window.square().mean().sqrt()
    steps = list(sparse.beliefs(window / scale, HarmonicProcess((1, 45), (2, 99))))
    for ours, theirs in zip(steps, found["probabilities"], strict=True):
        assert theirs == pytest.approx(ours.probability[0].tolist(), abs=1e-6)
    assert found["noise"] == pytest.approx(float(scale * steps[-1].noise[0].sqrt()), rel=1e-6)
    assert found["count"] == pytest.approx(float(steps[-1].count[0]), rel=1e-6)


SINES = {"sine": (((5, 0.5),), 20), "spaced": (((5, 0.5), (2, 1.2), (1, 2.2)), 40)}


def taught(weights, kind, epochs):
    """Impulse response (N,) and loss of a system that torch has trained: the recurrence, literally, and autograd."""
    sines, length = SINES[kind]
    n = torch.arange(20 * length, dtype=torch.float64)
    cut = sum(size * torch.sin(angle * n) for size, angle in sines).unfold(0, length + 1, 1)
    parameters = [torch.tensor(weights[name], dtype=torch.float64, requires_grad=True) for name in "ABCD"]
    optimizer = torch.optim.SGD(parameters, lr=0.001)

    def said(windows):
        A, B, C, D = parameters
        state = torch.zeros(len(windows), 10, dtype=torch.float64)
        for sample in windows.unbind(dim=1):
            output = state @ C + D * sample
            state = state @ A.T + sample[:, None] * B
        return output

    for _ in range(epochs):
        for batch in cut.split(32):
            optimizer.zero_grad()
            (said(batch[:, :-1]) - batch[:, -1]).square().mean().backward()
            optimizer.step()
    with torch.no_grad():
        response = said(torch.eye(length, dtype=torch.float64)).flip(0)
        return response, float((said(cut[:, :-1]) - cut[:, -1]).square().mean())


@pytest.mark.parametrize(("kind", "spread", "seed", "epochs"), [("sine", 1, 1, 4), ("spaced", 1, 2, 6)])
def test_roots_after_training_are_those_of_a_system_that_torch_trains(modules, kind, spread, seed, epochs):
    script = """async ([kind, spread, seed, epochs]) => {
        const { drawSystem, roots, train } = await import("/modules/eigenvalues.js");
        const system = drawSystem(seed, spread);
        const start = { A: system.A.map(row => [...row]), B: [...system.B], C: [...system.C], D: [...system.D] };
        const { response, loss } = train(system, kind, epochs).at(-1);
        const { re, im } = roots(response);
        return { start, loss, response: [...response], re, im };
    }"""
    found = modules.evaluate(script, [kind, spread, seed, epochs])
    response, loss = taught(found["start"], kind, epochs)
    assert found["loss"] == pytest.approx(loss, rel=1e-6)
    assert found["response"] == pytest.approx(response.tolist(), abs=1e-9)
    companion = torch.diag(torch.ones(len(response) - 1, dtype=torch.float64), -1)
    companion[0] = response
    ours = torch.linalg.eigvals(companion)
    theirs = torch.complex(*(torch.tensor(found[part], dtype=torch.float64) for part in ("re", "im")))
    apart = (ours[:, None] - theirs).abs()
    assert apart.amin(dim=0).max() < 1e-6 and apart.amin(dim=1).max() < 1e-6


def test_a_figure_is_moved_by_keyboard_and_says_what_is_seen(figure):
    name, page, wrong = figure
    for control in page.locator(f"#{name} :is(input, select)").all():
        drawn, said = page.inner_html(f"#{name} .panels"), page.inner_text(f"#{name} .seen")
        control.press("ArrowRight" if control.get_attribute("type") == "range" else "ArrowDown")
        page.wait_for_function(
            "([name, drawn]) => document.querySelector(`#${name} .panels`).innerHTML !== drawn", arg=[name, drawn]
        )
        ready(page, name)
        assert page.inner_text(f"#{name} .seen") != said or control.get_attribute("id").endswith("scale")
    assert page.locator(f"#{name} .seen[aria-live=polite]").count() == 1
    assert page.locator(f"#{name} svg[role=img][aria-label]").count() == page.locator(f"#{name} .panels > div").count()
    assert wrong == []


def test_a_figure_plays_only_when_asked_and_steps_and_goes_back(figure):
    name, page, _ = figure
    if name == "leakage":
        assert page.locator(f"#{name} button").count() == 0
        return
    slider, play = page.locator(f"#{name} input").first, page.get_by_role("button", name="Play")
    page.get_by_role("button", name="Back to the start").press("Enter")
    assert slider.input_value() == "0"
    page.get_by_role("button", name="Step").press("Enter")
    assert slider.input_value() == "1"
    play.press("Enter")
    page.wait_for_function("slider => slider.valueAsNumber >= 3", arg=slider.element_handle())
    assert page.locator(f"#{name} .seen").get_attribute("aria-live") == "off"
    page.get_by_role("button", name="Pause").press("Enter")
    stopped = slider.input_value()
    ready(page, name)
    assert page.locator(f"#{name} .seen").get_attribute("aria-live") == "polite"
    said = page.inner_text(f"#{name} .seen")
    page.get_by_role("button", name=re.compile("Another")).press("Enter")
    page.wait_for_function(
        "([name, said]) => document.querySelector(`#${name} .seen`).textContent !== said", arg=[name, said]
    )
    assert slider.input_value() == stopped


def test_a_figure_comes_after_its_still_and_not_on_paper_or_without_scripts(figure, site_folder):
    name, page, _ = figure
    still = "() => { const all = [...document.querySelectorAll('.cell_output img, figure.moving')];"
    assert page.evaluate(f"{still} return all[all.findIndex(box => box.matches('.moving')) - 1].matches('img'); }}")
    page.emulate_media(media="print")
    assert not page.locator(f"#{name}").is_visible()
    page.emulate_media(media="screen")
    assert "hidden></figure>" in (site_folder / f"{FIGURES[name]}.html").read_text()
    assert page.locator(".cell_output img[src$='.gif']").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_a_figure_is_accessible_and_fits(figure, width, scheme):
    name, page, wrong = figure
    resize(page, width, scheme)
    ready(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_findings(page, f"#{name}") == {}
    assert wrong == []


def test_figures_are_small(site_folder):
    files = [*(site_folder / "moving").iterdir(), site_folder / "playground" / "toolkit.css"]
    assert len(files) == len(FIGURES) + 2 and sum(file.stat().st_size for file in files) < 3e5
