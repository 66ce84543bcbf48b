"""Tables that notebooks only read: what is missing or comes from other code is computed, and nothing is lost."""

import json

import click
import pandas as pd
import pytest
import torch

from experiments import keys as code
from experiments.__main__ import alone, fill
from experiments.table import Table
from harmonics_lib import FrozenSet, HarmonicProcess, linear_prediction, load_forecaster, network_forecaster
from harmonics_lib.evaluation.scores import score_batch
from harmonics_lib.networks.recurrent import SmallLSTM

PARTS = [(method, count) for method in ("one", "two") for count in (1, 2)]


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path))
    (tmp_path / "metrics").mkdir()
    return tmp_path


class Work:
    """Rows of a part, which say how often any were made; it can fail from one part on."""

    def __init__(self, fails_from=99, error=0.0):
        self.made, self.fails_from, self.error = [], fails_from, error

    def __call__(self, method, count):
        if len(self.made) == self.fails_from:
            raise KeyboardInterrupt
        self.made.append((method, count))
        return pd.DataFrame({"step": [1, 2], "mse": [count + self.error, 2 * count]})


def filled(key="a", **options):
    """A table whose parts all have a key, and the work that it took."""
    work, table = Work(), Table("test", ["method", "count"])
    table.fill(dict.fromkeys(PARTS, key), work, **options)
    return table, work


def test_a_table_that_was_killed_goes_on_where_it_was(results):
    work = Work(fails_from=3)
    with pytest.raises(KeyboardInterrupt):
        Table("test", ["method", "count"]).fill(dict.fromkeys(PARTS, "a"), work)
    assert len(pd.read_csv(results / "metrics" / "test.csv")) == 6
    table, again = filled()
    assert work.made + again.made == PARTS
    assert table.rows[["method", "count"]].drop_duplicates().values.tolist() == list(map(list, PARTS))
    assert filled()[1].made == []
    assert "metrics/test.csv" in (results / "SHA256SUMS").read_text()


def test_rows_of_other_code_stay_until_others_take_their_place(results):
    filled("a")
    table = Table("test", ["method", "count"])
    with pytest.raises(KeyboardInterrupt):
        table.fill(dict.fromkeys(PARTS, "b"), Work(fails_from=1, error=5))
    rows = pd.read_csv(results / "metrics" / "test.csv").query("step == 1")
    assert rows.mse.tolist() == [6, 2, 1, 2]
    assert json.loads((results / "metrics" / "test.keys.json").read_text()) == {"one": {"1": "b", "2": "a"}, "two": "a"}
    assert filled("b")[1].made == PARTS[1:]
    assert json.loads((results / "metrics" / "test.keys.json").read_text()) == {"one": "b", "two": "b"}


def test_what_cannot_be_computed_here_stays_and_what_is_no_part_any_more_goes(results):
    filled("a")
    table, work = Table("test", ["method", "count"]), Work()
    table.fill({("one", 1): "b", ("one", 2): None}, work, only=["two"])
    assert len(table.rows) == 8 and not work.made
    table.fill({("one", 1): "b", ("one", 2): None}, work)
    assert work.made == [("one", 1)] and set(table.rows.method) == {"one"} and len(table.rows) == 4


def test_parts_are_computed_side_by_side(results):
    assert len(filled(jobs=2)[0].rows) == 8


def test_changed_code_that_gives_the_same_numbers_may_keep_its_rows(results):
    filled("a")
    table = Table("test", ["method", "count"])
    assert table.adopt(dict.fromkeys(PARTS, "b"), Work(error=1e-2)) == []
    assert len(table.stale(dict.fromkeys(PARTS, "b"))) == 4
    assert table.adopt(dict.fromkeys(PARTS, "b"), Work(error=1e-14)) == ["one", "two"]
    assert not Table("test", ["method", "count"]).stale(dict.fromkeys(PARTS, "b"))


def test_anew_means_that_rows_are_replaced_not_deleted(results):
    table, _ = filled("a")
    table.forget({("one", 1): "a", ("two", 1): None})
    again = Table("test", ["method", "count"])
    assert len(again.rows) == 8 and again.stale(dict.fromkeys(PARTS, "a")) == [("one", 1)]


def test_two_commands_do_not_write_at_once(results, monkeypatch):
    monkeypatch.setenv("HARMONICS_BUILD", str(results / "build"))
    with alone(), pytest.raises(click.ClickException, match=r"another table is being made in .*: wait until it ends"):
        fill("experiments.limit", (), 1, anew=False, adopt=False, status=False)
    with alone():
        fill("experiments.limit", (), 1, anew=False, adopt=False, status=True)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of two modules, the first of which imports the second, and a function of the first."""
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    folder = tmp_path / "harmonics_lib"
    folder.mkdir()
    sources = {
        "one": "from harmonics_lib.two import g\n\ndef f():\n    return g()\n",
        "two": "def g():\n    return 1\n",
    }

    def rewritten(**changed):
        code._source.cache_clear()
        for name, source in (sources | changed).items():
            (folder / f"{name}.py").write_text(source)
        function = lambda: None  # noqa: E731
        function.__module__ = "harmonics_lib.one"
        return code.key(function)

    yield rewritten
    code._source.cache_clear()


def test_a_key_does_not_change_with_what_changes_no_number(library):
    plain = library()
    assert library(two='def g():\n    """One."""\n    return 1  # and no more\n') == plain
    assert library(two="def g() -> int:\n    return 1\n") == plain
    assert library(two="if TYPE_CHECKING:\n    import pandas\ndef g():\n    return 1\n") == plain
    typed = "def g(x{}):\n    y{} = 1\n    return y\n"
    assert library(two=typed.format("", "")) == library(two=typed.format(": int", ": int"))
    raising = "def g():\n    if False:\n        raise ValueError('{}')\n    return 1\n"
    assert library(two=raising.format("a")) == library(two=raising.format("b")) != plain


def test_a_key_changes_with_code_however_far_away(library):
    assert library() == library() != library(two="def g():\n    return 2\n")


def test_imports_that_hide_where_code_is_are_refused(library):
    with pytest.raises(ValueError, match="expected imports from the modules that define names"):
        library(one="from harmonics_lib import g\n")


def test_a_key_changes_with_settings_and_weights():
    torch.manual_seed(0)
    networks = [SmallLSTM(4) for _ in range(2)]
    subjects = [
        *(linear_prediction(order) for order in (50, 66)),
        *map(network_forecaster, networks),
        *(HarmonicProcess(count) for count in (1, 2)),
        b"data",
        {"horizon": 10},
    ]
    known = [code.key(score_batch, subject) for subject in subjects]
    assert len(set(known)) == len(subjects)
    assert code.key(score_batch, linear_prediction(50)) == known[0]
    assert code.key(score_batch, load_forecaster("small_lstm")) == code.key(score_batch, load_forecaster("small_lstm"))
    drawn = [FrozenSet("a key's", HarmonicProcess(3), size=size).batch() for size in (1, 2)]
    assert code.key(drawn[0]) == code.key(drawn[1])
