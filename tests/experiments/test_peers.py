"""Other libraries: nothing else needs them, adapters are forecasters, and the published tables miss nothing."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.keys import key
from experiments.peers import local
from experiments.peers.methods import METHODS
from experiments.peers.methods import OURS as OWN
from experiments.peers.tables import describe, score_on_cell
from experiments.table import Table
from harmonics_lib import check_forecaster, load_table
from harmonics_lib.evaluation.measured import MEASURED

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"darts", "lightgbm", "mlforecast", "neuralforecast", "pydmd", "statsforecast", "statsmodels"}
OURS = {"sparse Bayesian", "auto", "persistence"}
LEAST = OURS | {"AutoARIMA", "MSTL", "AutoReg", "Gaussian process", "Hankel DMD", "NHITS", "PatchTST"}


@pytest.mark.parametrize("folder", ["harmonics_lib", "notebooks", "site"])
def test_nothing_else_needs_a_peer_package(folder):
    """… but the adapters, each of which is imported by those who have its host."""
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.ipynb")]:
        if path.parent.name == "adapters":
            continue
        imported = re.findall(r'(?m)^[\s"]*(?:import|from) (\w+)', path.read_text())
        assert not {*PACKAGES, "experiments"} & set(imported), path.name


def test_every_method_has_every_cell_on_the_same_windows_and_says_what_it_is():
    table, notes = load_table("peers"), load_table("peers_methods").set_index("method").to_dict("index")
    assert set(notes) == set(table["method"]) >= LEAST
    for name, rows in table.groupby("method"):
        assert {"package", "version", "settings", "assumes", "seconds_per_thousand"} <= set(notes[name])
        assert re.fullmatch(r"\d+\.\d+.*", notes[name]["version"]) and notes[name]["seconds_per_thousand"] >= 0
        for windows, same in rows.groupby("windows"):
            ten = same[(same["step_from"] == 1) & (same["step_to"] == 10)]
            cells = set(ten[["components", "noise_std", "periods"]].itertuples(index=False, name=None))
            slow = name in ("AutoARIMA", "Gaussian process")  # and cannot tell
            kinds = ("whole",) if slow else ("whole", "any")
            assert cells == {(c, n, p) for c in (1, 5, 20) for n in (0, 0.1) for p in kinds}, (name, windows)
            assert len(ten) == len(cells) and (ten["low"] <= ten["mse"]).all() and (ten["mse"] <= ten["high"]).all()
            assert (ten["failed"] <= windows).all()
        assert 200 in set(rows["windows"])


def test_ours_are_scored_where_no_other_library_is_installed():
    published = load_table("peers").query(
        "method == 'linear MMSE' and components == 5 and noise_std == 0.1 and periods == 'any'"
    )
    again = score_on_cell("linear MMSE", 5, 0.1, "any")
    assert again.mse.tolist() == pytest.approx(published.mse.tolist(), rel=2e-3)
    assert describe("persistence").package.item() == OWN


def test_rows_of_another_library_are_those_of_its_version_and_of_the_settings_that_are_told():
    stored = {name: Table(name, ["method"]).keys for name in ("peers_methods", "peers", "peers_measured")}
    for row in load_table("peers_methods").query("package != @OWN").itertuples():
        made = key(row.package, row.version, METHODS[row.method].settings)
        assert all(keys.get((row.method,), made) == made for keys in stored.values()), row.method


def test_every_local_method_has_every_measured_series():
    table = load_table("peers_measured")
    assert set(table["series"]) == set(MEASURED) and set(table["horizon"]) == {10, 24}
    counts = table[table["lookback"] == 100].groupby(["method", "series", "horizon"])["origin"]
    for (name, series, _), origins in counts:
        assert sorted(origins) == list(range(len(origins))), (name, series)
    assert (counts.size().unstack(["series", "horizon"]).nunique() == 1).all(), "methods differ in their windows"
    assert (table["error"] >= 0).all()


ADAPTERS = {
    "auto_ets": "statsforecast",
    "auto_ces": "statsforecast",
    "mstl": "statsforecast",
    "autoreg": "statsmodels",
    "hankel_dmd": "pydmd",
    "darts_fft": "darts",
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_library_behind_its_adapter_is_a_forecaster(name):
    pytest.importorskip(ADAPTERS[name])
    check_forecaster(getattr(local, name)())


def test_a_search_that_ends_within_its_tolerance_keeps_all_but_the_unit():
    """A likelihood is climbed until it rises by too little, and where that is depends on rounding, by 1e-5 peaks."""
    pytest.importorskip("statsmodels")
    check_forecaster(local.unobserved_components(), any_unit=False)


def test_a_gaussian_process_continues_a_wave():
    """It takes seconds a window, too many for all that ``check_forecaster`` asks."""
    wave = torch.sin(2 * torch.pi * torch.arange(45, dtype=torch.float64) / 9)[None]
    forecaster = local.gaussian_process(count=1)
    assert torch.allclose(forecaster(wave[:, :40], 5), wave[:, 40:], atol=0.05) and forecaster.failed == 0


@pytest.mark.parametrize("strongest", [7, 12.5])
def test_the_strongest_season_is_found(strongest):
    window = np.sin(2 * np.pi * np.arange(100) / strongest) + 0.3 * np.sin(2 * np.pi * np.arange(100) / 31)
    assert local.seasons(window, longest=50)[0] == round(strongest)
    assert local.seasons(np.zeros(100), longest=50) == [1]


def last_value(window, horizon):
    """A library as simple as can be."""
    return np.full(horizon, window[-1])


def give_up(window, horizon):
    """One that raises whatever its solver does."""
    raise RuntimeError


def test_what_continues_one_window_becomes_a_forecaster():
    check_forecaster(local.PerWindow(last_value))


@pytest.mark.parametrize("bad", [give_up, lambda w, h: np.full(h, np.nan), lambda w, h: w, lambda w, h: None])
def test_what_a_library_gives_up_is_counted_and_the_last_value_stands_in(bad):
    forecaster = local.PerWindow(bad)
    assert (forecaster(torch.arange(40.0)[None], 3) == 39).all() and forecaster.failed == 1
