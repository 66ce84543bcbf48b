"""A column of a CSV file as a series, with its times."""

from __future__ import annotations

import io
import re
import sys
import warnings
from pathlib import Path

import pandas as pd

from harmonics_lib.arguments import describe, join_values

_SEPARATORS = ";\t|,"  # the first of these that the first line holds
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-", "?"]
_COMMA = r"[+-]?\d*,\d+"
_GROUPS = r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"
_DAY_FIRST = re.compile(r"\d{1,2}\.\d{1,2}\.\d{2,4}")


def read_series(file: str, column: str | None = None, time: str | None = None, decimal: str | None = None) -> pd.Series:
    """A column of numbers of a CSV file, with its times as index if there are any.

    Columns are separated by semicolons, tabs, bars or commas; the first line names them.

    Args:
        file: a path, or ``-`` for standard input.
        column: of the values; None if only one holds numbers.
        time: the column of times; None for the first other column that holds dates or rising numbers, if any.
        decimal: the decimal mark, "." or ","; None to find out.

    Raises:
        ValueError: the file cannot be read, has no such column, several of numbers to choose from, or a value that is
            no number.
    """
    table = _table(file)
    if decimal:
        table = table.map(lambda text: _with_point(text, decimal), na_action="ignore")
    for name in filter(None, (column, time)):
        if name not in table:
            raise ValueError(f"expected one of the columns {join_values(table.columns)}, got {describe(name)}")
    column = column or _only_numbers(table, time)
    values = _numbers(table[column])
    if values is None:
        raise ValueError(f"expected numbers in column {column}, got {_wrong(table[column])}")
    return pd.Series(values.to_numpy(), _times(table, column, time), name=column)


def _with_point(text: str, decimal: str) -> str:
    """A number with this decimal mark, with a point instead and without groups of thousands."""
    plain = text.replace("." if decimal == "," else ",", "").replace(",", ".")
    return plain if _number(plain) is not None else text


def _wrong(texts: pd.Series) -> str:
    """Why a column is none of numbers: the first text that is no number, and its line."""
    if texts.isna().all():
        return "no value"
    for place, text in enumerate(texts):
        if isinstance(text, str) and _number(text) is None and not re.fullmatch(_GROUPS, text.strip()):
            return f"{describe(text)} in line {place + 2}"
    return "commas that may be decimal marks or group thousands: say --decimal , or --decimal ."


def _table(file: str) -> pd.DataFrame:
    """All cells of a file as texts, and missing ones as NaN."""
    text = _text(file)
    first = text.lstrip().partition("\n")[0]
    if not first.strip():
        raise ValueError(f"expected a line of column names and lines of values in {_named(file)}, got an empty file")
    separator = next((one for one in _SEPARATORS if one in first), ",")
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            na_values=_MISSING,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except (ValueError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"expected lines of equally many columns in {_named(file)}: {reason}") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"expected lines of equally many columns in {_named(file)}, got more values than names")
    if table.empty:
        raise ValueError(f"expected lines of values below the names of columns in {_named(file)}, got none")
    table.columns = table.columns.str.strip()
    if not _is_name(table.columns):
        raise ValueError(
            f"expected names of columns in the first line of {_named(file)}, got {describe(first.strip())}"
        )
    return table


def _is_name(columns: pd.Index) -> bool:
    return not any(_number(name) is not None for name in columns)


def _named(file: str) -> str:
    return "standard input" if file == "-" else file


def _text(file: str) -> str:
    """The text of a file: UTF-8, with or without a mark of byte order, or Windows' code of western letters."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"expected a CSV file, got {file} ({error.strerror})") from error
    if b"\0" in content[:10_000] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"expected a text file, got {_named(file)} with bytes that are no text")
    for encoding in ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"expected a text in UTF-8, got {_named(file)} in another encoding")


def _only_numbers(table: pd.DataFrame, time: str | None) -> str:
    """The name of the only column of numbers that is not the time."""
    named = [name for name in table if name != time and _numbers(table[name].head(1000)) is not None]
    if len(named) > 1 and time is None and _times(table, named[-1], None) is not None:
        named = [name for name in named if name != _time_column(table, named[-1])]
    others = [name for name in table if name != time]
    if len(others) == 1:
        return others[0]
    if len(named) != 1:
        got = f"{len(named)} columns of numbers: {join_values(named)}" if named else "no column of numbers"
        raise ValueError(f"expected --column with the name of one of {join_values(table.columns)}, got {got}")
    return named[0]


def _number(text: str) -> float | None:
    """One number, or None."""
    values = _numbers(pd.Series([text]))
    return None if values is None else float(values.iloc[0])


def _numbers(texts: pd.Series) -> pd.Series | None:
    """A column as numbers, NaN where it has no value; None if one of its texts is no number.

    A comma is a decimal mark where no value could group thousands by it, and groups thousands where one value has two
    groups or a point besides. "10,258" alone could be ten or ten thousand, and is no number.
    """
    texts = texts.str.strip().str.replace("\N{MINUS SIGN}", "-").str.replace("\N{NO-BREAK SPACE}", "")
    commas = texts[texts.str.contains(",", na=False)]
    if len(commas):
        grouped, decimal = (commas.str.fullmatch(pattern) for pattern in (_GROUPS, _COMMA))
        if grouped.all() and not decimal.all():
            texts = texts.str.replace(",", "")
        elif decimal.all() and not grouped.all():
            texts = texts.str.replace(",", ".")
    values = pd.to_numeric(texts, errors="coerce")
    return None if values.isna().all() or (values.isna() & texts.notna()).any() else values


def _time_column(table: pd.DataFrame, column: str) -> str | None:
    """The first column that holds dates or rising numbers, beside that of the values."""
    for name in table.columns.drop(column):
        values = _parsed(table[name])
        if values is not None and (isinstance(values, pd.DatetimeIndex) or values.is_monotonic_increasing):
            return str(name)
    return None


def _times(table: pd.DataFrame, column: str, time: str | None) -> pd.Index | None:
    """The index of the series: dates, numbers, or None for positions."""
    name = time or _time_column(table, column)
    if name is None:
        return None
    values = _parsed(table[name])
    if values is None:
        example = next(iter(table[name].dropna()), "")
        raise ValueError(f"expected dates or numbers in column {name}, got {describe(example)}")
    return values


def _parsed(texts: pd.Series) -> pd.Index | None:
    """Texts as dates or numbers, or None. Dates with points begin with the day."""
    if texts.isna().any():
        return None
    numbers = _numbers(texts)
    if numbers is not None and not numbers.isna().any():
        return pd.Index(numbers)
    day_first = bool(_DAY_FIRST.match(texts.iloc[0].strip()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of dates in no usual form
        try:
            return pd.DatetimeIndex(pd.to_datetime(texts, dayfirst=day_first))
        except (ValueError, TypeError, OverflowError):
            return None
