"""Publishing replaces results file by file; what a kill leaves behind is refused or complete."""

import os
import shutil
import warnings

import pytest

from harmonics_lib import load_table
from harmonics_lib.checksums import read_checksums
from harmonics_lib.paths import results_dir
from harmonics_lib.published import store, tables
from harmonics_lib.published.store import publish
from harmonics_lib.published.tables import TABLES, load_metrics
from harmonics_lib.training.directory import RunError

NAMES = ("notebooks/90_test.ipynb", "figures/90_test/line.svg", "metrics/90_test.json", "runs/tiny/config.json")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    return tmp_path


def staged(place, text, names=NAMES):
    """A staging folder with one entry of each kind."""
    for name in names:
        path = place / "stage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place / "stage"


def published(place):
    return {
        path.relative_to(place / "results").as_posix(): path.read_text()
        for path in (place / "results").rglob("*")
        if path.is_file() and path.name != store.SUMS
    }


def test_a_result_is_replaced_and_what_it_lacks_goes(place):
    publish(staged(place, "[1]", [*NAMES, "figures/90_test/gone.svg", "figures/91_test/line.svg"]))
    publish(staged(place, "[2]"))
    assert published(place) == {name: "[2]" for name in NAMES} | {"figures/91_test/line.svg": "[1]"}
    assert sorted(read_checksums(results_dir())) == ["metrics/90_test.json", "runs/tiny/config.json"]
    assert load_metrics("90_test") == [2] and not (place / "stage").exists()


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_publication_cut_short_leaves_whole_files_and_refuses_those_without_their_checksum(place, monkeypatch, cut):
    """At whichever of its moves; no half file is left, and the next publication ends it."""
    publish(staged(place, "[1]"))
    moves, move = [], os.replace

    def until_cut(source, target):
        moves.append(target)
        if len(moves) == cut:
            raise KeyboardInterrupt
        return move(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", until_cut)
        publish(staged(place, "[2]"))
    (place / "results" / f"{store.SUMS}.part").unlink(missing_ok=True)
    after = published(place)
    assert set(after) == set(NAMES) and set(after.values()) <= {"[1]", "[2]"}
    if after["metrics/90_test.json"] == "[2]":
        with pytest.raises(ValueError, match=r"90_test\.json is damaged, or its publication was interrupted"):
            load_metrics("90_test")
    publish(staged(place, "[3]"))
    assert published(place) == dict.fromkeys(NAMES, "[3]") and load_metrics("90_test") == [3]


def test_results_on_another_file_system_are_replaced_whole(place, monkeypatch):
    move = os.replace

    def within(source, target):
        if "stage" in str(source):
            raise OSError(18, "Invalid cross-device link")
        move(source, target)

    monkeypatch.setattr(os, "replace", within)
    publish(staged(place, "[1]"))
    assert published(place) == dict.fromkeys(NAMES, "[1]")


def test_a_place_that_cannot_be_written_is_an_error_of_one_sentence(place):
    (place / "results" / "metrics" / "90_test.json").mkdir(parents=True)
    with pytest.raises(RunError, match=r"^could not write .*90_test\.json") as error:
        publish(staged(place, "[1]"))
    assert "\n" not in str(error.value)
    shutil.rmtree(place / "results" / "metrics" / "90_test.json")
    publish(staged(place, "[1]"))
    assert load_metrics("90_test") == [1]


def test_every_published_table_is_described_and_intact(monkeypatch):
    monkeypatch.delenv("HARMONICS_RESULTS", raising=False)
    assert {path.stem for path in (results_dir() / "metrics").glob("*.csv")} == set(TABLES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(len(load_table(name)) for name in TABLES)


def test_results_that_are_not_there_are_refused_when_they_are_read(monkeypatch, tmp_path):
    monkeypatch.setenv("HARMONICS_RESULTS", str(tmp_path / "typo"))
    for load in (lambda: load_table("grid"), lambda: load_metrics("05_curriculum")):
        with pytest.raises(ValueError, match=r"HARMONICS_RESULTS must name a folder that exists, got .*typo"):
            load()


def test_a_home_folder_is_written_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HARMONICS_RESULTS", "~/mine")
    assert results_dir() == tmp_path / "mine"


def test_what_other_results_lack_comes_from_those_of_the_code(place):
    assert len(load_table("grid"))
    with pytest.raises(ValueError, match=r"no metrics 77_none are published; there are .*05_curriculum"):
        tables.load_metrics("77_none")
