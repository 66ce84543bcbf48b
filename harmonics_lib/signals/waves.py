"""One convention for sinusoids: exp(2 pi i f t), whose real part is the cosine and whose imaginary part the sine."""

import math

import torch
from torch import Tensor


def exponentials(frequencies: Tensor, times: Tensor) -> Tensor:
    """Complex exponentials exp(2 pi i f t).

    A sinusoid of complex amplitude a is the real part of conj(a) times a wave: Re a multiplies the cosine and
    Im a the sine.

    Args:
        frequencies: (…, P) in cycles per sample.
        times: (T,) in samples.

    Returns:
        (…, T, P), complex.

    Example:
        >>> exponentials(torch.tensor([0.25]), torch.arange(2)).imag.round().flatten()
        tensor([0., 1.])
    """
    angles = 2 * math.pi * times.to(frequencies)[:, None] * frequencies[..., None, :]
    return torch.complex(angles.cos(), angles.sin())  # polar differs in last digits, which clean windows magnify
