"""The command line: what it reads, what it writes, and one sentence for what it cannot read."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harmonics_lib import forecast
from harmonics_lib.command.main import main
from harmonics_lib.command.reading import read_series

ROOT = Path(__file__).resolve().parents[1]
WAVE = np.round(10 + np.sin(2 * np.pi * np.arange(60) / 12), 3)
DAYS = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-01", periods=60)]


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "series.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def lines(*rows):
    return "\n".join(rows) + "\n"


PLAIN = lines("time,value", *(f"{day},{value}" for day, value in zip(DAYS, WAVE, strict=True)))
SAME = {
    "plain": PLAIN,
    "blank lines and a mark of byte order": b"\xef\xbb\xbf\n\n" + PLAIN.encode(),
    "decimal commas": lines("time;value", *(f"{d};{v}".replace(".", ",") for d, v in zip(DAYS, WAVE, strict=True))),
    "tabs": PLAIN.replace(",", "\t"),
    "quotes": lines('"time","value"', *(f'"{d}","{v}"' for d, v in zip(DAYS, WAVE, strict=True))),
    "days first": lines("time,value", *(f"{d[8:]}.{d[5:7]}.{d[:4]},{v}" for d, v in zip(DAYS, WAVE, strict=True))),
    "UTF-16": PLAIN.encode("utf-16"),
    "lines of Windows": PLAIN.replace("\n", "\r\n"),
    "a label last": lines("time,value,note", *(f"{d},{v},fine" for d, v in zip(DAYS, WAVE, strict=True))),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_the_same_series_is_read_however_it_is_written(content, write):
    series = read_series(write(content))
    expected = pd.Series(WAVE, pd.DatetimeIndex(DAYS), name="value")
    pd.testing.assert_series_equal(series, expected, check_names=False, check_freq=False, check_index_type=False)


@pytest.mark.parametrize(
    "texts, numbers",
    [
        (["1,234,567", "2,000"], [1234567, 2000]),
        (["1,234.5", "2,000"], [1234.5, 2000]),
        (["10,25", "11,3"], [10.25, 11.3]),
        (["10,258", "11,3"], [10.258, 11.3]),
        (["\N{MINUS SIGN}3", "4"], [-3, 4]),
        (["1e3", "+2"], [1000, 2]),
        (["1", "NA", "", "3"], [1, np.nan, np.nan, 3]),
    ],
)
def test_commas_are_decimal_marks_or_group_thousands_where_that_is_sure(texts, numbers, write):
    content = lines("time;value", *(f"{place};{text}" for place, text in enumerate(texts)))
    assert read_series(write(content)).to_numpy() == pytest.approx(numbers, nan_ok=True)


def test_who_knows_the_decimal_mark_says_it(write):
    content = write(lines("time;value", "1;10,258", "2;11,305"))
    assert read_series(content, decimal=",").tolist() == [10.258, 11.305]
    assert read_series(content, decimal=".").tolist() == [10258, 11305]


BROKEN = {
    "nothing": "",
    "blank lines": "\n\n\n",
    "names alone": "time,value\n",
    "names and a blank line": "time,value\n\n",
    "zeros of a binary file": bytes(100),
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "no text in any code": b"value\n\x81\x8d\n1\n2\n3\n",
    "no names": lines("1,2", "3,4", "5,6"),
    "words": lines("value", "one", "two", "three"),
    "one word among numbers": lines("value", "1", "two", "3", "4"),
    "two columns of numbers": lines("one,two", "3,1", "2,5", "4,1"),
    "commas that may be both": lines("time;value", "1;10,258", "2;11,305", "3;12,100"),
    "a comma too many": lines("time,value", "1,10,5", "2,11,5", "3,12,5"),
    "a row too long": lines("time,value", "1,2", "2,3,4,5", "3,4"),
    "an open quote": lines("time,value", '1,"2', "2,3", "3,4"),
    "units": lines("value", "1 kW", "2 kW", "3 kW"),
    "percent": lines("value", "1%", "2%", "3%"),
    "all missing": lines("time,value", "1,NA", "2,NA", "3,NA"),
    "mostly missing": lines("time,value", *(f"{place},{'' if place % 3 else 1}" for place in range(30))),
    "one value": lines("time,value", "1,2"),
    "two values": lines("time,value", "1,2", "2,3"),
    "infinity": lines("time,value", "1,2", "2,inf", "3,4", "4,5"),
    "times that repeat": lines("time,value", *(f"2024-01-01,{value}" for value in WAVE)),
    "times of no grid": lines("time,value", "1,2", "2,3", "3.7,4", "9.123,5"),
    "dates that are none": lines("time,value", "2024-13-45,1.5", "2024-13-46,2.5", "2024-13-47,3.5"),
    "JSON": '{"value": [1, 2, 3]}\n',
    "HTML": "<!doctype html>\n<html><body>404</body></html>\n",
    "a name twice": lines("value,value", "3,1", "2,5", "4,1"),
    "too large": lines("value", "1e400", "2", "3"),
    "hexadecimal": lines("value", "0x10", "0x20", "0x30"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_in_one_sentence(content, write, tmp_path, capsys):
    named = ["--time", "time"] if isinstance(content, str) and content.startswith("time") else []
    out = tmp_path / "out"
    status = main(["forecast", write(content), "--horizon", "3", "--out", str(out), *named])
    told = capsys.readouterr()
    assert status == 1 and not out.exists()
    (line,) = [line for line in told.err.splitlines() if not line.startswith("note: ")]
    assert line.startswith("harmonics: ") and ("expected" in line or "must" in line)
    assert told.out == ""


@pytest.mark.parametrize("arguments", [["missing.csv", "--horizon", "3"], ["data/oil.csv", "--horizon", "0"]])
def test_a_wrong_argument_is_told_in_one_sentence(arguments, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["forecast", *arguments]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_writes_the_forecast_of_the_library_and_a_picture(tmp_path, capsys):
    file = str(ROOT / "data" / "sunspots.csv")
    assert main(["forecast", file, "--horizon", "12", "--level", "90", "--out", str(tmp_path)]) == 0
    written = pd.read_csv(tmp_path / "forecast.csv", index_col="time")
    pd.testing.assert_frame_equal(
        written, forecast(read_series(file), 12, 90), check_frame_type=False, check_names=False
    )
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    found = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert "309 from 1700 to 2008, 1 apart" in found["samples"] and "0 of 309" in found["missing"]
    assert "period 11" in found["lines"] and "after 12" in found["expected error"]


def test_reads_standard_input_and_prints_a_table_that_another_program_reads(capsys, monkeypatch):
    content = lines("value", *map(str, WAVE)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["forecast", "-", "--horizon", "3"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="time")
    assert table.index.tolist() == [60, 61, 62]
    assert table["mean"].to_numpy() == pytest.approx(10 + np.sin(2 * np.pi * np.arange(60, 63) / 12), abs=0.01)


def test_a_million_rows_are_read_and_forecast(write):
    rows = "\n".join(map(str, np.round(np.sin(np.arange(10**6) / 7), 4)))
    assert main(["forecast", write(f"value\n{rows}\n"), "--horizon", "3"]) == 0


def test_scores_a_forecaster_by_its_name(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text("def last(lookback, horizon):\n    return lookback[:, -1:].repeat(1, horizon)\n")
    monkeypatch.chdir(tmp_path)
    assert main(["score", "mine:last", "--size", "20"]) == 0
    assert "mixtures_3_6: MSE 0." in capsys.readouterr().out
    assert main(["score", "mine:first"]) == 1
    assert "expected MODULE:NAME" in capsys.readouterr().err


def test_help_names_the_commands():
    done = subprocess.run([sys.executable, "-m", "harmonics_lib", "--help"], capture_output=True, text=True, check=True)
    assert "forecast" in done.stdout and "score" in done.stdout
