"""Time of the real DFT as a matrix product and as an FFT, against its length."""

import torch
from common import rate, write

from harmonics_lib.signals.spectrum import dft_matrix

LENGTHS = [2**k for k in range(4, 13)]


def microseconds(length: int) -> tuple[float, float]:
    signal = torch.cos(torch.arange(length, dtype=torch.float64))
    matrix = dft_matrix(length)
    as_complex = signal.to(matrix.dtype)
    product = 1e6 / rate(lambda: [matrix @ as_complex for _ in range(20)], 20, seconds=0.5)
    transform = 1e6 / rate(lambda: [torch.fft.rfft(signal) for _ in range(20)], 20, seconds=0.5)
    return product, transform


torch.set_num_threads(1)
measured = [microseconds(length) for length in LENGTHS]
write(
    "dft",
    {"length": LENGTHS, "matrix_us": [m for m, _ in measured], "fft_us": [f for _, f in measured]},
)
