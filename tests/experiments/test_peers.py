"""Other libraries: nothing else needs them, adapters are forecasters, and the published tables miss nothing."""

import re
from pathlib import Path

import pytest

from experiments.keys import key
from experiments.peers.methods import METHODS
from experiments.peers.methods import OURS as OWN
from experiments.peers.tables import describe, score_on_cell
from experiments.table import Table
from harmonics_lib import MEASURED, check_forecaster, load_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"darts", "lightgbm", "mlforecast", "neuralforecast", "pydmd", "statsforecast", "statsmodels"}
OURS = {"sparse Bayesian", "auto", "persistence"}
LEAST = OURS | {"AutoARIMA", "MSTL", "AutoReg", "Gaussian process", "Hankel DMD", "NHITS", "PatchTST"}


@pytest.mark.parametrize("folder", ["harmonics_lib", "notebooks", "site"])
def test_nothing_else_needs_a_peer_package(folder):
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.ipynb")]:
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


@pytest.mark.parametrize("name", ["auto_ets", "auto_ces", "mstl", "autoreg", "hankel_dmd", "darts_fft"])
def test_a_library_behind_its_adapter_is_a_forecaster(name):
    for package in PACKAGES:
        pytest.importorskip(package)
    from experiments.peers import local

    check_forecaster(getattr(local, name)())


@pytest.mark.parametrize("name", ["unobserved_components", "gaussian_process"])
def test_a_search_that_ends_within_its_tolerance_keeps_all_but_the_unit(name):
    """A likelihood is climbed until it rises by too little, and where that is depends on rounding, by 1e-5 peaks."""
    pytest.importorskip("statsmodels")
    from experiments.peers import local

    check_forecaster(getattr(local, name)(), any_unit=False)


def test_what_a_library_gives_up_is_counted():
    pytest.importorskip("statsforecast")
    import torch

    from experiments.peers import local

    def give_up(window, horizon):
        raise RuntimeError

    forecaster = local.by_window(give_up)
    window = torch.arange(40.0)[None]
    assert (forecaster(window, 3) == 39).all() and forecaster.failed == 1
