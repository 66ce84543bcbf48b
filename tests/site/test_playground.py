"""The playground: its methods against the library's on the same windows, and a newcomer's path, in Chromium."""

import itertools
import json
import math
import re
import warnings
from pathlib import Path

import pytest
import torch
from pages import PHONE, WIDE, open_page, resize, serious_findings

from harmonics_lib import (
    HarmonicProcess,
    dft_extrapolation,
    linear_mmse,
    linear_prediction,
    load_forecaster,
    random_stream,
    sparse_bayesian,
)
from harmonics_lib.forecasters.base import UnstableForecast
from harmonics_lib.report.plotting import METHODS
from harmonics_lib.report.prose import pages_url

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("dft", "prediction", "mmse", "sparse", "lstm", "seq2seq", "curriculum", "noise")
TOLERANCE = 1e-6  # in peaks, of double precision; networks, too, are computed in it
COUNTS, NOISES, RANGES = (1, 2, 5, 10, 20, 45), (0.0, 0.02, 0.1, 0.2, 0.4), ((2, 99), (10, 60))


def ready(page):
    page.wait_for_function("document.getElementById('playground')?.dataset.state === 'ready'")


@pytest.fixture
def playground(site, browser):
    """Opens the playground with settings, and what goes wrong on it, and closes it."""
    pages = []

    def show(settings="", address=site):
        page, wrong = open_page(browser, f"{address}/playground.html{settings}")
        pages.append(page)
        page.set_viewport_size({"width": WIDE, "height": 844})
        page.emulate_media(color_scheme="light")
        ready(page)
        return page, wrong

    yield show
    for page in pages:
        page.close()


def windows():
    """Sixty windows: (components, noise, process, (1, 100) samples)."""
    cases = itertools.product((True, False), COUNTS, NOISES)
    for number, (whole, count, noise) in enumerate(cases):
        periods = RANGES[number % 2]
        drawn = HarmonicProcess(count, periods, whole, noise)
        generator = random_stream(number, "playground")
        window = drawn.sample(1, 100, 100, generator=generator, dtype=torch.float64).past
        yield count, noise, HarmonicProcess((1, 45), periods, whole), 10.0 ** (number % 7 - 3) * window


def library(process):
    """The library's forecasters by their names in the playground."""
    name = "curriculum_gru" if process.periods[0] >= 10 else "curriculum_gru_2_99"
    return {
        "dft": dft_extrapolation(),
        "prediction": linear_prediction(),
        "mmse": linear_mmse(process),
        "sparse": sparse_bayesian(process),
        "lstm": load_forecaster("small_lstm"),
        "seq2seq": load_forecaster("seq2seq_gru"),
        "curriculum": load_forecaster(name),
        "noise": load_forecaster("noise_network"),
    }


FORECASTS = """async ([white, cases]) => {
    const { forecast, METHODS } = await import("/modules/methods.js");
    const { loadNetwork } = await import("/modules/weights.js");
    const networks = {};
    for (const name of ["small_lstm", "seq2seq_gru", "curriculum_gru", "curriculum_gru_2_99", "noise_network"])
        networks[name] = await loadNetwork("/playground/", name);
    return cases.map(({ window, process }) => Object.fromEntries(Object.keys(METHODS).map(name =>
        [name, Array.from(forecast(name, Float64Array.from(window), process, white, networks))])));
}"""


@pytest.fixture(scope="module")
def forecasts(site_folder, modules):
    """Of each window: components, noise, whether periods are whole, and by method the gaps over 10 and 50 steps."""
    report = re.search(r'id="report">(.*?)</script>', (site_folder / "playground.html").read_text())[1]
    given = list(windows())
    asked = []
    for _, _, process, window in given:
        shortest, longest = process.periods
        told = {"whole": process.integer_periods, "shortest": shortest, "longest": longest}
        asked.append({"window": window[0].tolist(), "process": told})
    answers = modules.evaluate(FORECASTS, [json.loads(report)["white"], asked])
    compared = []
    for (count, noise, process, window), answer in zip(given, answers, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnstableForecast)
            ours = {name: forecaster(window, 50)[0] for name, forecaster in library(process).items()}
        apart = {name: (torch.tensor(answer[name]) - ours[name]).abs() / window.abs().max() for name in ours}
        worst = {name: (float(d[:10].max()), float(d.max())) for name, d in apart.items()}
        compared.append((count, noise, process.integer_periods, worst))
    return compared


def decided_by_rounding(name, count, noise, whole):
    """A clean window of many sinusoids: a recurrence multiplies rounding errors, and steps off the grid add to them."""
    if noise > 0:
        return False
    return (name == "prediction" and count >= 10) or (name == "sparse" and not whole and count >= 5)


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_as_the_library_does(forecasts, name):
    judged = [(*case, apart[name]) for *case, apart in forecasts if not decided_by_rounding(name, *case)]
    assert len(judged) >= 50
    assert [case for case in judged if not case[-1][1] <= TOLERANCE] == []


@pytest.mark.parametrize("name, tolerance", [("prediction", 1e-4), ("sparse", 0.05)])
def test_where_rounding_decides_the_first_ten_steps_agree(forecasts, name, tolerance):
    judged = [(*case, apart[name][0]) for *case, apart in forecasts if decided_by_rounding(name, *case)]
    assert len(judged) in (4, 6)
    assert [case for case in judged if not case[-1] <= tolerance] == []


def test_signals_are_what_they_are_said_to_be(modules):
    script = """async settings => {
        const { drawSignal } = await import("/modules/signals.js");
        const plain = ({ clean, observed, ...rest }) => ({ clean: [...clean], observed: [...observed], ...rest });
        return Array.from({ length: 100 }, (_, seed) => plain(drawSignal({ ...settings, seed: seed + 1 })));
    }"""
    settings = {"components": 7, "noise": 0.3, "whole": True, "shortest": 3, "longest": 12}
    drawn = modules.evaluate(script, settings)
    assert drawn == modules.evaluate(script, settings)
    quiet = modules.evaluate(script, settings | {"noise": 0})
    time = torch.arange(150.0, dtype=torch.float64)
    periods, spread = [], []
    for signal, without in zip(drawn, quiet, strict=True):
        clean = torch.tensor(signal["clean"], dtype=torch.float64)
        parts = [torch.tensor([s[key] for s in signal["sinusoids"]], dtype=torch.float64)
                 for key in ("amplitude", "period", "phase")]  # fmt: skip
        angles = 2 * math.pi * time[:, None] / parts[1] + parts[2]
        torch.testing.assert_close(clean, angles.sin() @ parts[0], rtol=0, atol=1e-12)
        assert clean[:100].abs().max() == pytest.approx(1) and without["observed"] == without["clean"]
        assert without["clean"] == signal["clean"]  # the noise slider changes the noise only
        periods += parts[1].tolist()
        spread += (torch.tensor(signal["observed"]) - clean).tolist()
    counts = torch.tensor(periods).long().bincount(minlength=13)[3:]
    assert len(counts) == 10 and (counts - 70).abs().max() < 5 * 70**0.5
    assert torch.tensor(spread).std() == pytest.approx(0.3, rel=0.02)


def test_a_link_brings_back_every_setting_and_nothing_wrong(modules):
    script = """async state => {
        const { DEFAULTS, fromHash, toHash } = await import("/modules/state.js");
        return fromHash(toHash({ ...DEFAULTS, ...state }), ["dft", "mmse", "noise"]);
    }"""
    state = {"components": 45, "noise": 0.37, "whole": False, "shortest": 3, "longest": 98, "seed": 4711}
    state |= {"methods": ["mmse"], "shown": True, "series": [math.sin(t) / 3 for t in range(150)]}
    assert modules.evaluate(script, state) == state
    first = modules.evaluate(script, {})
    wrong = {"components": 46, "noise": -1, "shortest": 2.5, "seed": "x", "series": [1, 2, 3]}
    assert modules.evaluate(script, wrong) == first
    assert modules.evaluate(script, {"shortest": 50, "longest": 10})["longest"] == 50


NUMBERS = [round(12 + math.sin(t), 3) for t in range(120)]
LINES = [str(number) for number in NUMBERS]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "value\r\n" + "\r\n".join(LINES) + "\r\n\r\n",
        ", ".join(LINES),
        "\n".join(f"2026-01-01 12:00,{line}" for line in ["value", *LINES]),
        "\n".join(f'"{number}"\t{line.replace(".", ",")}' for number, line in enumerate(LINES)),
        "\ufeffday;value\n" + "\n".join(f"{number};{line}" for number, line in enumerate(LINES)),
    ],
    ids=["column", "header, Windows, blank end", "one line", "dates", "tabs, decimal commas", "semicolons, mark"],
)
def test_reads_columns_of_numbers(modules, text):
    script = 'async text => (await import("/modules/state.js")).readSeries(text)'
    assert modules.evaluate(script, text) == NUMBERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected at least 100 numbers, got 0"),
        ("\n".join(LINES[:37]), "expected at least 100 numbers, got 37"),
        ("\n".join([*LINES, "", *LINES]), "expected a number in every line, got none in line 121"),
        ("\n".join([*LINES, "NaN"]), "expected a number in every line, got none in line 121"),
        ("a,b\n" + "\n".join(f"1,{x}" for x in (*LINES, "")), "expected a number in every line, got none in line 122"),
        ("\n".join([*LINES, "12.3.4"]), "expected numbers, got “12.3.4” in line 121"),
        ("\n".join([*LINES, "1e999"]), "expected numbers, got “1e999” in line 121"),
        ("\n".join([LINES[0], *(f"1,{line}" for line in LINES)]), "expected 2 columns, got 1 in line 1"),
        ("7\n" * 200, "expected numbers that vary, got 7 in all of the last 100 places"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_with_a_series(playground, text, message):
    page, wrong = playground()
    page.fill("#numbers", text)
    page.click("#use")
    page.wait_for_function("document.getElementById('read').textContent")
    assert page.inner_text("#read") == f"These numbers cannot be forecast: {message}."
    assert page.get_attribute("#numbers", "aria-invalid") == "true"
    assert wrong == []


def errors(page):
    """name -> [rank, error over 10 steps, over 50 steps], as the table shows them."""
    rows = page.eval_on_selector_all(
        "#methods tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return {name: rest for name, *rest in rows}


def picture(page):
    return page.inner_html("#signal"), page.inner_html("#spectrum"), errors(page), page.inner_text("#description")


def test_a_newcomers_path(site, browser):
    page, wrong = open_page(browser, f"{site}/index.html")
    page.set_viewport_size({"width": WIDE, "height": 844})
    page.locator("a[href$='playground.html']:visible").first.click()
    ready(page)
    assert page.inner_text("h1").startswith("Can you see 45 sinusoids coming?")
    assert page.locator("#signal .future, #signal .method").count() == 0  # nothing is given away
    page.click("#reveal")
    ready(page)
    assert page.locator("#signal .future").count() == 1
    clean = errors(page)
    assert clean["linear prediction"][0] == "1"
    for _ in range(10):
        page.press("#noise", "ArrowRight")
    ready(page)
    assert page.inner_text("output[for=noise]") == "0.1"
    noisy = errors(page)
    assert int(noisy["noise network"][0]) < int(noisy["linear prediction"][0])  # the ranking has turned
    page.fill("#numbers", "\n".join(str(20 + 3 * math.sin(t / 3) + math.cos(t / 1.7)) for t in range(170)))
    page.click("#use")
    ready(page)
    assert "your own series" in page.inner_text("#description")
    browser.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    page.click("#copy")
    page.wait_for_function("document.getElementById('copied').textContent === 'Copied.'")
    link = page.evaluate("navigator.clipboard.readText()")
    again, wrong_again = open_page(browser, link)
    again.set_viewport_size({"width": WIDE, "height": 844})
    ready(again)
    assert picture(again) == picture(page)
    assert wrong == wrong_again == []
    page.close()
    again.close()


ALL = "#components=12&noise=0.1&seed=3&methods=dft+prediction+mmse+lstm+seq2seq+curriculum+noise+sparse&shown=yes"


def test_shows_every_method_and_describes_what_is_seen(playground):
    page, wrong = playground(ALL)
    shown = errors(page)
    assert page.locator("#signal .method").count() == len(shown) - 1 == 8  # all but the guess
    assert set(shown) - {"your guess"} <= set(METHODS)
    described = page.inner_text("#description")
    assert described.startswith("12 sinusoids of whole periods from 2 to 99 samples, with noise of 0.1 of the peak.")
    for name in set(shown) - {"your guess"}:
        assert f"{name} {shown[name][1]}" in described
    ranked = sorted((row for name, row in shown.items() if name != "your guess"), key=lambda row: int(row[0]))
    assert [float(row[1]) for row in ranked] == sorted(float(row[1]) for row in ranked)
    page.uncheck("#methods input[value=lstm]")
    ready(page)
    assert page.locator("#signal .method").count() == 7 and errors(page)["small LSTM"] == ["", "", ""]
    assert wrong == []


def test_a_guess_is_drawn_with_the_mouse_or_typed_and_judged(playground):
    page, wrong = playground()
    area = page.locator("#guess").bounding_box()
    page.mouse.move(area["x"] + 2, area["y"] + area["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 2, area["y"] + area["height"] / 2, steps=3)
    page.mouse.up()
    ready(page)
    page.press("#guess", "ArrowUp")
    ready(page)
    assert re.match(r"sample 1 of 50: 0\.0\d+", page.get_attribute("#guess", "aria-valuetext"))
    page.click("#reveal")
    ready(page)
    guess = errors(page)["your guess"]
    assert all(0 < float(error) < 2 for error in guess[1:]) and page.locator("#signal .guess").count() == 1
    page.click("#another")
    ready(page)
    assert page.get_attribute("#reveal", "aria-pressed") == "false"  # guess again
    assert not page.locator("#clear").is_visible() and wrong == []


def test_a_dropped_file_is_forecast_and_its_end_held_back_if_asked(playground):
    page, _ = playground()
    lines = "\n".join(str(5 + math.sin(t / 4)) for t in range(160))
    page.set_input_files("#file", {"name": "series.csv", "mimeType": "text/csv", "buffer": lines.encode()})
    page.wait_for_function("document.getElementById('read').textContent.startsWith('Read 160 numbers')")
    ready(page)
    assert float(errors(page)["noise network"][1]) < 0.1
    page.uncheck("#hold")
    ready(page)
    assert page.locator("#signal .future").count() == 0 and page.locator("#signal .method").count() == 4
    drop = """text => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text", text);
        document.getElementById("numbers").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
    }"""
    page.evaluate(drop, lines.replace("\n", ", "))
    ready(page)
    assert page.input_value("#numbers").count(", ") == 159


def test_works_from_a_disk(playground, site_folder):
    page, _ = playground(ALL, site_folder.as_uri())
    assert all(all(row) for name, row in errors(page).items() if name != "your guess")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_is_accessible_and_fits(playground, width, scheme):
    page, wrong = playground(ALL)
    resize(page, width, scheme)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_findings(page) == {}
    assert wrong == []


def test_on_a_phone_the_chart_stays_in_sight_down_to_the_last_method(playground):
    page, _ = playground(ALL)
    resize(page, PHONE)
    last = page.locator("#methods input").last
    last.evaluate("box => box.scrollIntoView({ block: 'end', behavior: 'instant' })")
    chart, box = page.locator("#signal").bounding_box(), last.bounding_box()
    assert chart["y"] >= 0 and chart["y"] + chart["height"] <= box["y"] < 844


def test_is_small(site_folder):
    files = [site_folder / "playground.html", *(site_folder / "playground").iterdir()]
    assert sum(file.stat().st_size for file in files) < 5e6


def test_the_readme_begins_with_a_link_there():
    first = (ROOT / "README.in.md").read_text().splitlines()[:10]
    assert f"]({pages_url()}playground.html)" in "".join(first)
