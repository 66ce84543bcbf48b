"""What public names ask of their arguments, a function for each kind: the value in one type, or one sentence.

The sentence, that of a ``ValueError``, says what was expected and what came. Numbers of any type are
welcome, NumPy's too; a bool is no number.
"""

import math
import operator
import re
from collections.abc import Collection
from numbers import Real

import numpy as np
import torch


def shown(value) -> str:
    """A value within a sentence: itself where it is short, else its type and shape."""
    huge = isinstance(value, int) and value.bit_length() > 128
    text = f"a whole number of {value.bit_length()} bits" if huge else repr(value)
    if len(text) <= 60 and "\n" not in text:
        return text
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def listed(values: Collection, most: int = 10) -> str:
    """Values within a sentence, the first few of many."""
    rest = ", …" if len(values) > most else ""
    return ", ".join(str(value) for value in list(values)[:most]) + rest


def is_number(value) -> bool:
    """Whether ``value`` is a finite real number of any type, an array or tensor of no dimension too, and not a bool."""
    try:
        value = value.tolist() if getattr(value, "shape", None) == () else value
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except (OverflowError, RuntimeError):  # a whole number beyond all floats, a tensor without values
        return False


def check_whole(name: str, value, minimum: int | None = 1, maximum: int | None = None) -> int:
    """``value`` as an int, if it is a whole number, of any type, within these ends."""
    whole = _whole(value)
    if whole is None or (minimum is not None and whole < minimum):
        least = "" if minimum is None else f" of at least {minimum}"
        raise ValueError(f"{name} must be a whole number{least}, got {shown(value)}")
    if maximum is not None and whole > maximum:
        raise ValueError(f"{name} must be a whole number of at most {maximum:,}, got {shown(value)}")
    return whole


def _whole(value) -> int | None:
    if isinstance(value, (bool, np.bool_)) or getattr(value, "dtype", None) in (torch.bool, np.bool_):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # the last one of a tensor without values
        return None


def check_weight(name: str, value) -> float:
    """``value`` as a float, if it is a finite number of at least 0."""
    if not (is_number(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {shown(value)}")
    return float(value)


def check_positive(name: str, value) -> float:
    """``value`` as a float, if it is a finite number above 0."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {shown(value)}")
    return float(value)


def check_probability(name: str, value) -> float:
    """``value`` as a float, if it is a number from 0 to 1."""
    if not (is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{name} must be a probability, a number from 0 to 1, got {shown(value)}")
    return float(value)


def check_coverage(value, name: str = "coverage") -> float:
    """``value`` as a float, if it is a number between 0 and 1, both excluded."""
    if not (is_number(value) and 0 < value < 1):
        raise ValueError(f"{name} must be a number between 0 and 1, such as 0.9, got {shown(value)}")
    return float(value)


def check_range(name: str, value, whole: bool = False) -> tuple:
    """(low, high), ints if ``whole``, else floats, of such a pair of numbers or of one that stands for both ends."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    good = len(pair) == 2 and all(_whole(end) is not None if whole else is_number(end) for end in pair)
    if not good or pair[0] > pair[1]:
        what = "whole numbers" if whole else "numbers"
        raise ValueError(f"{name} must be one or a (low, high) pair of {what} with low <= high, got {shown(value)}")
    return tuple(operator.index(end) if whole else float(end) for end in pair)


def check_flag(name: str, value) -> bool:
    """``value`` as a bool, if it is one, Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def check_choice(name: str, value, known: Collection[str]) -> str:
    """``value``, if it is one of ``known``."""
    if not (isinstance(value, str) and value in known):
        raise ValueError(f"{name} must be one of {listed(known)}, got {shown(value)}")
    return value


def check_kind(name: str, value, kind: type | tuple[type, ...], what: str):
    """``value``, if it is of that kind, which ``what`` says in words."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {what}, got {shown(value)}")
    return value


def check_function(name: str, value):
    """``value``, if it can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {shown(value)}")
    return value


def check_device(value) -> torch.device:
    """The device of that name, if this machine has it."""
    try:
        device = torch.device(value)
        torch.empty(1, device=device)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"device must be one that this machine has, such as 'cpu', got {shown(value)}") from error
    if device.type == "meta":
        raise ValueError("device must be one that computes, such as 'cpu', got 'meta'")
    return device


def check_name(name) -> str:
    """``name``, if it is one of a published file or run, and leads nowhere else."""
    if not (isinstance(name, str) and re.fullmatch(r"\w{1,100}", name)):
        raise ValueError(f"expected a name of letters, digits and underscores, got {shown(name)}")
    return name
