"""A file that is loaded again is the one whose checksum is recorded, or there is a word."""

import os
import warnings

import pytest

from harmonics_lib import paths
from harmonics_lib.checksums import digest, read_checksums, read_verified
from harmonics_lib.evaluation.measured import load_measured

CONTENT = b"a,b\n1,2\n"
LINE = f"{digest(CONTENT)}  metrics/grid.csv\n"


@pytest.fixture
def root(tmp_path):
    """A folder with one file and its checksum."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "grid.csv").write_bytes(CONTENT)
    (tmp_path / "SHA256SUMS").write_text(LINE)
    return tmp_path


def load(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_verified(root, root / "metrics" / "grid.csv")


@pytest.mark.parametrize(
    "text", [LINE, f"\n# results\n{LINE}\n", LINE.replace("\n", "\r\n"), LINE.replace("  ", " *"), LINE.strip()]
)
def test_checksums_are_read_as_sha256sum_reads_them(root, text):
    (root / "SHA256SUMS").write_text(text, newline="")
    assert load(root) == CONTENT


@pytest.mark.parametrize("damaged", [b"<<<<<<< HEAD", b"\xff\x00", LINE[:50].encode(), LINE[1:].encode()])
def test_damaged_checksums_are_refused_with_their_line(root, damaged):
    (root / "SHA256SUMS").write_bytes(b"\n" + damaged + b"\n" + LINE.encode())
    with pytest.raises(
        ValueError, match=r"SHA256SUMS is damaged: line 2 must be a checksum and a path, got .*git checkout"
    ):
        load(root)


@pytest.mark.parametrize("text", ["", None, LINE.replace("grid", "other")])
def test_a_file_without_a_checksum_is_loaded_with_a_warning(root, text):
    (root / "SHA256SUMS").unlink() if text is None else (root / "SHA256SUMS").write_text(text)
    with pytest.warns(UserWarning, match=r"grid\.csv cannot be verified: .*SHA256SUMS does not have it"):
        assert read_verified(root, root / "metrics" / "grid.csv") == CONTENT


def test_another_file_than_the_recorded_one_is_refused(root):
    (root / "metrics" / "grid.csv").write_bytes(CONTENT.replace(b"1", b"2"))
    with pytest.raises(ValueError, match=r"grid\.csv is damaged, or its publication was interrupted: .*git checkout"):
        load(root)


@pytest.mark.parametrize("name", ["SHA256SUMS", "metrics/grid.csv"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_and_nothing_hangs(root, name, make):
    (root / name).unlink()
    make(root / name)
    with pytest.raises(ValueError, match=rf"{name} must be a file; restore it with git"):
        load(root)


def test_checksums_are_parsed_once_for_each_state_of_the_file(root):
    first = read_checksums(root)
    assert read_checksums(root) is first
    (root / "SHA256SUMS").write_text(f"# changed\n{LINE}")
    assert read_checksums(root) == first and read_checksums(root) is not first


def test_a_measured_series_that_was_changed_is_refused(monkeypatch, tmp_path):
    folder = paths.data_dir()
    for name in ("SHA256SUMS", "oil.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.setattr("harmonics_lib.evaluation.measured.data_dir", lambda: tmp_path)
    assert load_measured("oil").size > 4000
    (tmp_path / "oil.csv").write_bytes((folder / "oil.csv").read_bytes().replace(b"25", b"26", 1))
    with pytest.raises(ValueError, match=r"oil\.csv is damaged"):
        load_measured("oil")
