"""Other libraries: their adapters are short and stand apart, and the published tables miss nothing."""

import ast
import re
from pathlib import Path

import pytest

from harmonics_lib import MEASURED, check_forecaster, load_metrics, load_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"darts", "lightgbm", "mlforecast", "neuralforecast", "pydmd", "statsforecast", "statsmodels"}
SHARED = {"by_window", "in_blocks"}  # what adapters have in common
OURS = {"sparse Bayesian", "auto", "persistence"}
LEAST = OURS | {"AutoARIMA", "MSTL", "AutoReg", "Gaussian process", "Hankel DMD", "NHITS", "PatchTST"}


def test_adapters_have_at_most_ten_lines():
    for name in ("local", "learned"):
        tree = ast.parse((ROOT / "experiments" / "peers" / f"{name}.py").read_text())
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            if ast.unparse(function.returns) == "Forecaster" and function.name not in SHARED:
                assert len(code(function)) <= 10, f"{name}.{function.name}"


def code(function):
    """The lines of a function below its docstring, a line for each that holds code when it is set anew."""
    return [line for statement in function.body[1:] for line in ast.unparse(statement).splitlines() if line.strip()]


@pytest.mark.parametrize("folder", ["harmonics_lib", "notebooks", "site"])
def test_nothing_else_needs_a_peer_package(folder):
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.ipynb")]:
        imported = re.findall(r'(?m)^[\s"]*(?:import|from) (\w+)', path.read_text())
        assert not {*PACKAGES, "experiments"} & set(imported), path.name


def test_every_method_has_every_cell_on_the_same_windows_and_says_what_it_is():
    table, notes = load_table("peers"), load_metrics("peers")
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
