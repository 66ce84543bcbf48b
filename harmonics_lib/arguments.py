"""Validation of arguments: a function for each kind of value.

Each function returns the value in one type, or raises a ``ValueError`` whose one sentence says what
was expected and what came. Numbers of any type are accepted, NumPy's too. A bool is not a number.
"""

import math
import operator
import re
from collections.abc import Collection
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch

#: What is accepted as windows (B, N) or (N,): a tensor, a list, an array or a pandas object.
Windows: TypeAlias = Any


def describe(value) -> str:
    """A value as text for an error message: its repr if that is short, else its type and shape."""
    huge = isinstance(value, int) and value.bit_length() > 128
    text = f"a whole number of {value.bit_length()} bits" if huge else repr(value)
    if len(text) <= 60 and "\n" not in text:
        return text
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def join_values(values: Collection, most: int = 10) -> str:
    """Values as text for an error message, separated by commas; at most ``most`` of them."""
    rest = ", …" if len(values) > most else ""
    return ", ".join(str(value) for value in list(values)[:most]) + rest


def is_number(value) -> bool:
    """Whether ``value`` is a finite real number of any type and not a bool; 0-dimensional arrays and tensors count."""
    try:
        value = value.tolist() if getattr(value, "shape", None) == () else value
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except (OverflowError, RuntimeError):  # an int too large for a float, a tensor without values
        return False


def check_whole(name: str, value, minimum: int | None = 1, maximum: int | None = None) -> int:
    """``value`` as an int, if it is a whole number of any type from ``minimum`` to ``maximum``."""
    whole = _whole(value)
    if whole is None or (minimum is not None and whole < minimum):
        least = "" if minimum is None else f" of at least {minimum}"
        raise ValueError(f"{name} must be a whole number{least}, got {describe(value)}")
    if maximum is not None and whole > maximum:
        raise ValueError(f"{name} must be a whole number of at most {maximum:,}, got {describe(value)}")
    return whole


def _whole(value) -> int | None:
    if isinstance(value, (bool, np.bool_)) or getattr(value, "dtype", None) in (torch.bool, np.bool_):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # a tensor without values raises a RuntimeError
        return None


def check_weight(name: str, value) -> float:
    """``value`` as a float, if it is a finite number of at least 0."""
    if not (is_number(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {describe(value)}")
    return float(value)


def check_positive(name: str, value) -> float:
    """``value`` as a float, if it is a finite number above 0."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {describe(value)}")
    return float(value)


def check_probability(name: str, value) -> float:
    """``value`` as a float, if it is a number from 0 to 1."""
    if not (is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{name} must be a probability, a number from 0 to 1, got {describe(value)}")
    return float(value)


def check_coverage(value, name: str = "coverage") -> float:
    """``value`` as a float, if it is a number between 0 and 1, both excluded."""
    if not (is_number(value) and 0 < value < 1):
        raise ValueError(f"{name} must be a number between 0 and 1, such as 0.9, got {describe(value)}")
    return float(value)


def check_range(name: str, value, whole: bool = False) -> tuple:
    """(low, high) as ints if ``whole``, else as floats, from a pair of numbers or from one number for both ends."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    good = len(pair) == 2 and all(_whole(end) is not None if whole else is_number(end) for end in pair)
    if not good or pair[0] > pair[1]:
        what = "whole numbers" if whole else "numbers"
        raise ValueError(f"{name} must be one or a (low, high) pair of {what} with low <= high, got {describe(value)}")
    return tuple(operator.index(end) if whole else float(end) for end in pair)


def check_flag(name: str, value) -> bool:
    """``value`` as a bool, if it is a bool of Python or NumPy."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {describe(value)}")
    return bool(value)


def check_choice(name: str, value, known: Collection[str]) -> str:
    """``value``, if it is one of ``known``."""
    if not (isinstance(value, str) and value in known):
        raise ValueError(f"{name} must be one of {join_values(known)}, got {describe(value)}")
    return value


def check_kind(name: str, value, kind: type | tuple[type, ...], what: str):
    """``value``, if it is an instance of ``kind``; the error message calls the kind ``what``."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {what}, got {describe(value)}")
    return value


def check_function(name: str, value):
    """``value``, if it can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {describe(value)}")
    return value


def to_windows(name: str, value: Windows) -> torch.Tensor:
    """Real numbers as a tensor; one dimension becomes a batch of one window. A tensor stays as it is."""
    if isinstance(value, torch.Tensor):
        return value
    try:
        array = np.asarray(value)
        array = array.astype(float) if array.dtype == object and all(map(is_number, array.flat)) else array
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length
        raise ValueError(f"{name} must be windows of equal length, got {describe(value)}") from error
    if array.dtype.kind not in "iuf" or array.ndim == 0:
        kind = f"{describe(value)} of dtype {array.dtype}"
        raise ValueError(f"{name} must be windows (B, N) of real numbers or one window (N,), got {kind}")
    windows = np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64, order="C")
    return torch.from_numpy(windows if array.ndim > 1 else windows[None])


def check_device(value) -> torch.device:
    """The torch device that ``value`` names, if this machine has it."""
    try:
        device = torch.device(value)
        torch.empty(1, device=device)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"device must be one that this machine has, such as 'cpu', got {describe(value)}") from error
    if device.type == "meta":
        raise ValueError("device must be one that computes, such as 'cpu', got 'meta'")
    return device


def check_name(name) -> str:
    """``name``, if it can name a published file or run: letters, digits and underscores, so no path."""
    if not (isinstance(name, str) and re.fullmatch(r"\w{1,100}", name)):
        raise ValueError(f"expected a name of letters, digits and underscores, got {describe(name)}")
    return name
