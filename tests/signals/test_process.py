"""The distribution of signals: equal to a loop that builds one at a time, and honest about the future."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from harmonics_lib import HarmonicProcess, random_stream
from harmonics_lib.signals.process import SignalBatch


def draw(process, size=20_000, length=110, lookback=100, seed=0, dtype=torch.float32):
    return process.sample(size, length, lookback, generator=random_stream(seed, "test"), dtype=dtype)


def loop_draw(size, components, periods, length=110, lookback=100, seed=0):
    """Counts, periods, amplitude shares, phases and RMS of signals built one at a time."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(size):
        count = rng.integers(components[0], components[1] + 1)
        shares = 1 - rng.random(count)
        shares /= shares.sum()
        period, phase = rng.integers(periods[0], periods[1] + 1, count), rng.random(count) * 2 * np.pi
        signal = sum(
            a * np.sin(2 * np.pi * np.arange(length) / p + f) for a, p, f in zip(shares, period, phase, strict=True)
        )
        signal /= np.abs(signal[:lookback]).max()
        rows.append((count, period[0], shares[0], phase[0], np.sqrt(np.mean(signal**2)), np.abs(signal).max()))
    return np.array(rows).T


@pytest.mark.parametrize("components", [(3, 6), (3, 45)])
def test_batch_and_loop_are_equal_in_distribution(components):
    batch = draw(HarmonicProcess(components, (2, 99)), 4000)
    shares = batch.amplitudes * batch.peak[:, None]
    ours = (
        (shares > 0).sum(1),
        batch.periods[:, 0],
        shares[:, 0],
        batch.phases[:, 0],
        batch.clean.square().mean(1).sqrt(),
        batch.clean.abs().amax(1),
    )
    for mine, theirs in zip(ours, loop_draw(4000, components, (2, 99)), strict=True):
        assert stats.ks_2samp(mine.numpy(), theirs).pvalue > 1e-3


def test_components_and_integer_periods_are_uniform_on_their_inclusive_ranges():
    batch = draw(HarmonicProcess((3, 6), (2, 99)), 50_000)
    counts = np.bincount((batch.amplitudes > 0).sum(1).numpy())
    assert counts[:3].sum() == 0 and len(counts) == 7
    assert stats.chisquare(counts[3:]).pvalue > 1e-3
    periods = np.bincount(batch.periods.flatten().long().numpy())
    assert periods[:2].sum() == 0 and len(periods) == 100
    assert stats.chisquare(periods[2:]).pvalue > 1e-3


def test_continuous_periods_and_phases_are_uniform():
    batch = draw(HarmonicProcess(5, (2, 99), integer_periods=False))
    assert stats.kstest(batch.periods[:, 0].numpy(), stats.uniform(2, 97).cdf).pvalue > 1e-3
    assert stats.kstest(batch.phases[:, 0].numpy(), stats.uniform(0, 2 * np.pi).cdf).pvalue > 1e-3


def test_frequencies_are_uniform_where_asked_for():
    batch = draw(HarmonicProcess(5, (25, 200), integer_periods=False, uniform="frequency"))
    assert stats.kstest(1 / batch.periods[:, 0].numpy(), stats.uniform(1 / 200, 1 / 25 - 1 / 200).cdf).pvalue > 1e-3


def test_amplitudes_sum_to_one_before_scaling():
    batch = draw(HarmonicProcess((1, 45), (2, 99)), dtype=torch.float64, size=2000)
    assert torch.allclose((batch.amplitudes * batch.peak[:, None]).sum(1), torch.ones(2000, dtype=torch.float64))


@pytest.mark.parametrize("integer_periods", [True, False])
@pytest.mark.parametrize("length", [1, 7, 110])
def test_clean_signal_is_the_sum_of_its_components(integer_periods, length):
    process = HarmonicProcess((1, 45), (2, 99), integer_periods)
    batch = draw(process, 50, length, min(length, 100), dtype=torch.float64)
    time = torch.arange(length, dtype=torch.float64)
    angles = 2 * math.pi * time / batch.periods[..., None] + batch.phases[..., None]
    assert torch.allclose((batch.amplitudes[..., None] * angles.sin()).sum(1), batch.clean, atol=1e-9)


def test_peak_of_the_lookback_is_exactly_one_and_the_future_may_exceed_it():
    batch = draw(HarmonicProcess((3, 6), (2, 99)))
    assert (batch.clean[:, :100].abs().amax(1) == 1).all()
    assert (batch.future.abs().amax(1) > 1).any()


def test_the_future_does_not_leak_into_the_lookback():
    process = HarmonicProcess((3, 6), (2, 99))
    short, long = draw(process, 100, 105), draw(process, 100, 200)
    assert torch.allclose(short.past, long.past, atol=1e-6)


def test_noise_has_the_asked_for_level_in_units_of_the_peak():
    batch = draw(HarmonicProcess(4, (2, 99), noise_std=0.1), 2000)
    assert (batch.observed - batch.clean).std().item() == pytest.approx(0.1, rel=0.01)


def test_noise_range_is_log_uniform():
    batch = draw(HarmonicProcess(4, (2, 99), noise_std=(0.01, 1)))
    assert stats.kstest(batch.noise_std.log10().numpy(), stats.uniform(-2, 2).cdf).pvalue > 1e-3
    measured = (batch.observed - batch.clean).std(dim=1) / batch.noise_std
    assert measured.mean().item() == pytest.approx(1, abs=0.01)


def test_without_noise_the_observed_signal_is_the_clean_one():
    batch = draw(HarmonicProcess(4, (2, 99)), 10)
    assert torch.equal(batch.observed, batch.clean)


def test_a_stream_repeats_and_its_purposes_are_independent():
    process = HarmonicProcess()
    assert torch.equal(draw(process, 10).clean, draw(process, 10).clean)
    first, second = (torch.randn(100_000, generator=random_stream(0, name)) for name in ("data", "validation"))
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.02


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    draw(HarmonicProcess(noise_std=0.1), 10)
    assert torch.equal(before, torch.get_rng_state())


def test_rows_can_be_selected():
    batch = draw(HarmonicProcess(), 10)
    part = batch[2:5]
    assert len(part) == 3 and torch.equal(part.future, batch.future[2:5]) and part.lookback == 100


def test_equal_processes_are_equal_however_they_are_spelt():
    assert repr(HarmonicProcess(4, (2.0, 99.0))) == repr(HarmonicProcess((4, 4), (2, 99), noise_std=(0, 0)))


@pytest.mark.parametrize("uniform", ["period", "frequency"])
def test_the_prior_is_the_law_by_which_components_are_drawn(uniform):
    """Its mass in eight bands of frequency, against 200,000 components that were drawn."""
    process = HarmonicProcess(10, (2, 99), integer_periods=False, uniform=uniform)
    frequencies, mass = process.prior(spacing=1e-4)
    drawn = 1 / process.sample(20_000, 10, 10, generator=random_stream(0, "prior")).periods.double().flatten()
    edges = torch.tensor([1 / 99, 0.011, 0.013, 0.02, 0.04, 0.1, 0.2, 0.35, 0.5], dtype=torch.float64)
    share = torch.histogram(drawn, edges).hist / len(drawn)
    expected = torch.histogram(frequencies, edges, weight=mass).hist
    assert mass.sum().item() == pytest.approx(1)
    torch.testing.assert_close(expected, share, rtol=0, atol=0.012)


def test_the_prior_of_whole_periods_is_a_list_of_them():
    frequencies, mass = HarmonicProcess(3, (5, 8)).prior(spacing=0.1)
    assert torch.equal(frequencies, 1 / torch.tensor([5.0, 6.0, 7.0, 8.0], dtype=torch.float64))
    assert torch.equal(mass, torch.full((4,), 0.25, dtype=torch.float64))


def test_joined_batches_hold_the_signals_of_all_with_unused_slots_silent():
    few, many = (
        HarmonicProcess(count, noise_std=0.1).sample(3, 30, 20, generator=random_stream(0, "joined"))
        for count in (2, 5)
    )
    both = SignalBatch.concatenate([few, many])
    assert len(both) == 6
    torch.testing.assert_close(both.clean[:3], few.clean)
    torch.testing.assert_close(both.periods[3:], many.periods)
    assert (both.amplitudes[:3, 2:] == 0).all()
    time = torch.arange(30)
    angles = 2 * torch.pi * time[:, None] / both.periods[:, None] + both.phases[:, None]
    torch.testing.assert_close((angles.sin() * both.amplitudes[:, None]).sum(dim=2), both.clean, rtol=0, atol=1e-4)
