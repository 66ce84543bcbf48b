"""Symmetric Toeplitz equations, against dense linear algebra."""

import pytest
import scipy.linalg
import torch

from harmonics_lib import random_stream
from harmonics_lib.forecasters import toeplitz
from harmonics_lib.forecasters.toeplitz import (
    diagonal_sums,
    innovations,
    solve_by_first_column,
    solve_by_halves,
    solve_toeplitz,
)


def covariances(count=20, length=30):
    """(count, length) first columns: noise and two sinusoids of random power."""
    draw = torch.rand(count, 4, 1, dtype=torch.float64, generator=random_stream(0, "toeplitz test"))
    time = torch.arange(length)
    lags = draw[:, 0] * (3 * draw[:, 1] * time).cos() + draw[:, 2] * (3 * draw[:, 3] * time).cos()
    lags[:, 0] += 0.1
    return lags


def dense(lags):
    time = torch.arange(lags.shape[1])
    return lags[:, (time[:, None] - time).abs()]


@pytest.fixture(params=["Levinson", "dense"])
def way(request, monkeypatch):
    """Both ways of solving: compiled where numba is, and the one without it."""
    if request.param == "Levinson":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(toeplitz, "_has_numba", lambda: False)


@pytest.mark.parametrize("count", [1, 16, 20])  # a lone window, a full vector, a full one and a rest
def test_solutions_solve_their_equations(way, count):
    lags = covariances(count)
    targets = torch.randn(count, 2, 30, dtype=torch.float64, generator=random_stream(1, "toeplitz test"))
    solved, first = solve_toeplitz(lags, targets)
    torch.testing.assert_close((dense(lags) @ solved.mT).mT, targets, rtol=0, atol=1e-11)
    torch.testing.assert_close(first, torch.linalg.inv(dense(lags))[:, 0], rtol=1e-9, atol=1e-11)


def test_solutions_agree_with_scipy(way):
    lags, target = covariances(1), torch.arange(30.0).double()
    solved, _ = solve_toeplitz(lags, target[None, None])
    torch.testing.assert_close(solved[0, 0], torch.from_numpy(scipy.linalg.solve_toeplitz(lags[0], target)))


def test_gradients_are_those_of_finite_differences(way):
    lags = covariances(3, 12).requires_grad_()
    targets = torch.randn(3, 2, 12, dtype=torch.float64, generator=random_stream(2, "toeplitz test")).requires_grad_()
    assert torch.autograd.gradcheck(solve_toeplitz, (lags, targets))


def test_diagonal_sums_of_the_inverse_follow_from_its_first_column():
    inverse = torch.linalg.inv(dense(covariances()))
    sums = diagonal_sums(inverse[:, 0])
    for lag in range(30):
        both = inverse.diagonal(lag, 1, 2).sum(dim=1) * (2 if lag else 1)
        torch.testing.assert_close(sums[:, lag], both, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("length", [9, 12])
def test_equations_fall_into_those_of_sums_and_differences_of_mirrored_samples(length):
    first = torch.cos(0.3 * torch.arange(length)) * 0.9 ** torch.arange(length, dtype=torch.float64)
    right = torch.randn(1, length, 2, dtype=torch.float64, generator=random_stream(3, "toeplitz test"))
    matrix = torch.from_numpy(scipy.linalg.toeplitz(first.numpy()))
    torch.testing.assert_close(toeplitz.toeplitz(first[None], 4)[0], matrix[:, :4])
    torch.testing.assert_close(solve_by_halves(first[None], right)[0], torch.linalg.solve(matrix, right[0]))


def test_the_first_column_of_the_inverse_is_all_of_it():
    lags = torch.exp(-torch.arange(30.0, dtype=torch.float64) / 9)[None]
    right = torch.randn(1, 3, 30, generator=random_stream(0, "right"), dtype=torch.float64)
    solved, first = solve_toeplitz(lags, right)
    torch.testing.assert_close(solve_by_first_column(first, right), solved)


def test_innovations_are_those_of_the_cholesky_factor():
    """For C = L L', the errors over their standard deviations are L^-1 x, and these deviations the diagonal of L."""
    lags = covariances(4)
    x = torch.randn(4, 2, 30, generator=random_stream(0, "x"), dtype=torch.float64)
    errors, powers = innovations(lags, x)
    factor = torch.linalg.cholesky(toeplitz.toeplitz(lags))
    torch.testing.assert_close(powers.sqrt(), factor.diagonal(dim1=1, dim2=2))
    expected = torch.linalg.solve_triangular(factor, x.mT, upper=False).mT
    torch.testing.assert_close(errors / powers[:, None].sqrt(), expected)
