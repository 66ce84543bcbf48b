"""The Bayes limit: the posterior mean given noise, power and number of components, but not the periods.

In its model each of K components has one of P whole-number periods, all equally likely (two may
share one), and Gaussian sine and cosine amplitudes whose variance is the window's power for a
component. On signals of this model no forecaster that is given the same has a smaller mean squared
error. The posterior mean is a sum over P^K choices of periods. A Markov chain samples them; given
the periods, amplitudes are integrated out in closed form.

Units are such that the noise and every amplitude have variance 1. The window x then has the
covariance C = I + the sum over the components of B_p B_p', where the columns of B_p (N, 2) are
sine and cosine of period p. A chain updates two arrays, in which all P sines come first and then all
P cosines: ``gram`` (2P, 2P) is B' C^-1 B and ``match`` (2P,) is B' C^-1 x.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from harmonics_lib.arguments import check_whole
from harmonics_lib.signals.process import SignalBatch, random_stream

_WARM = 0.3  # noise at which the cooling of a chain without initial components starts
_REFRESH = 20  # sweeps after which the arrays are recomputed, because rounding errors accumulate
_PHASES = 8192  # of one component: a finer grid than the posterior of its phase at a noise of 0.01


@dataclass(frozen=True)
class BayesLimit:
    """Posterior means of B windows, each by two Markov chains.

    Attributes:
        from_nothing: (B, horizon) of the chain that starts without components.
        from_truth: (B, horizon) of the chain that starts at the true periods.
        expected: (B,) expected mean squared error under the posterior of both chains together.
    """

    from_nothing: np.ndarray
    from_truth: np.ndarray
    expected: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(B, horizon) posterior mean: the average of both chains."""
        return (self.from_nothing + self.from_truth) / 2

    @property
    def converged(self) -> np.ndarray:
        """(B,) whether the mean squared difference of the two chains is below a tenth of the expected error."""
        return np.square(self.from_nothing - self.from_truth).mean(axis=1) < 0.1 * self.expected


def bayes_limit(
    batch: SignalBatch, horizon: int, sweeps: int = 200, periods: tuple[int, int] = (2, 99), seed: int = 0
) -> BayesLimit:
    """Posterior means by collapsed Gibbs sampling of the periods.

    A sweep draws the period of each component given the others, and then the periods of K / 2
    random pairs of components, each pair jointly. Joint draws let the chain leave states in which two
    components share one period, or one component represents two. Averages are taken over the last
    ``sweeps``. Half as many precede them; in the first half of those the chain from nothing cools
    from a noise of 0.3.

    Args:
        batch: noisy signals of whole-number periods. ``past`` is the window; the other fields give noise,
            power, number of components, and the initial state of the chain from the truth.
        horizon: samples to forecast.
        sweeps: number of averaged sweeps.
        periods: the shortest and the longest period in samples.
        seed: of the chains; each has its own random stream.

    Raises:
        ValueError: the horizon or the number of sweeps is below 1, or signals have no noise or other periods.

    Sources: George and McCulloch (1997) for Gibbs sampling of the variables of a regression with
    integrated coefficients; Andrieu and Doucet (1999) for sinusoids in noise; Kirkpatrick et al.
    (1983) for cooling.
    """
    horizon = check_whole("horizon", horizon)
    sweeps = check_whole("sweeps", sweeps)
    _check_signals(batch, periods)
    waves = _waves(periods, batch.lookback + horizon)
    rows = [_two_chains(batch[i : i + 1], waves, periods[0], sweeps, seed, i) for i in range(len(batch))]
    mean, square, variance = np.moveaxis(np.array(rows), 2, 0)  # (B, 2, H) each
    expected = (square + variance).mean(axis=1) - np.square(mean.mean(axis=1))
    return BayesLimit(mean[:, 0], mean[:, 1], expected.mean(axis=1))


def exact_one_component(batch: SignalBatch, horizon: int, periods: tuple[int, int] = (2, 99)) -> np.ndarray:
    """(B, horizon) exact posterior means for signals of one component, with the true prior of its amplitude.

    One component is divided by its own peak in the window, so its amplitude is a function of
    period and phase. The posterior is therefore a sum over all periods and 8,192 phases, without sampling.

    Args:
        batch: noisy signals of one component and a whole-number period.
        horizon: samples to forecast.
        periods: the shortest and the longest in samples.

    Raises:
        ValueError: the horizon is below 1, or signals have several components, no noise or other periods.
    """
    horizon = check_whole("horizon", horizon)
    _check_signals(batch, periods)
    if batch.amplitudes.count_nonzero(dim=1).max() > 1:
        raise ValueError("expected signals of one component, got several")
    phases = 2 * math.pi * (np.arange(_PHASES) + 0.5) / _PHASES  # none of them makes a zero of period 2
    mixture = np.stack([np.cos(phases), np.sin(phases)])  # (2, F): sin(wt + phase) from sin(wt) and cos(wt)
    waves = _waves(periods, batch.lookback + horizon).reshape(batch.lookback + horizon, 2, -1).transpose(2, 0, 1)
    seen, ahead = waves[:, : batch.lookback], waves[:, batch.lookback :]  # (P, N, 2), (P, H, 2)
    peaks = np.stack([np.abs(one @ mixture).max(axis=0) for one in seen])  # (P, F)
    tones = mixture / peaks[:, None]  # (P, 2, F) amplitudes of sine and cosine
    power = ((seen.transpose(0, 2, 1) @ seen @ tones) * tones).sum(axis=1)  # (P, F) sums of squares over the window
    forecasts = []
    for x, noise in zip(batch.past.double().numpy(), batch.noise_std.double().numpy(), strict=True):
        match = ((x @ seen)[:, :, None] * tones).sum(axis=1)  # (P, F)
        exponent = (match - power / 2) / noise**2
        weights = np.exp(exponent - exponent.max())
        amplitudes = (tones * weights[:, None]).sum(axis=2) / weights.sum()  # (P, 2)
        forecasts.append((ahead * amplitudes[:, None]).sum(axis=(0, 2)))
    return np.array(forecasts)


def _check_signals(batch: SignalBatch, periods: tuple[int, int]) -> None:
    if not (batch.noise_std > 0).all():
        raise ValueError("expected signals with noise, got some without: their limit is 0")
    used = batch.periods[batch.amplitudes != 0]
    low, high = periods
    if ((used != used.round()) | (used < low) | (used > high)).any():
        raise ValueError(f"expected whole-number periods from {low} to {high}, got {used.min():g} to {used.max():g}")


def _waves(periods: tuple[int, int], length: int) -> np.ndarray:
    """(length, 2P): the sine of every period, then the cosine of every period."""
    period = np.arange(periods[0], periods[1] + 1)
    angles = 2 * math.pi * (np.arange(length)[:, None] % period) / period
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _two_chains(signal: SignalBatch, waves: np.ndarray, shortest: int, sweeps: int, seed: int, window: int) -> list:
    """The results of ``_chain`` from nothing and from the truth, for a batch of one signal."""
    used = signal.amplitudes[0] != 0
    truth = signal.periods[0, used].long().numpy() - shortest
    noise = signal.noise_std.item()
    scale = math.sqrt(signal.amplitudes.double().square().sum().item() / (2 * len(truth)))  # of an amplitude
    seen, ahead = scale / noise * waves[: signal.lookback], scale * waves[signal.lookback :].T.copy()
    model = seen.T @ seen, seen.T @ signal.past[0].double().numpy() / noise, ahead
    name = f"Bayes limit, {len(truth)} components, noise {noise:g}, window {window}, from "
    first, second = (
        np.random.default_rng(random_stream(seed, name + start).initial_seed()) for start in ("nothing", "truth")
    )
    cold = np.ones(sweeps + sweeps // 2)
    cooling = cold.copy()
    cooling[: sweeps // 4] = np.geomspace(min(noise / _WARM, 1) ** 2, 1, sweeps // 4, endpoint=False)
    nothing = np.full_like(truth, -1)
    return [_chain(*model, nothing, cooling, sweeps, first), _chain(*model, truth, cold, sweeps, second)]


_compiled = njit(cache=True, error_model="numpy")


@_compiled
def _inverse(a, b, d):
    """The inverse of the symmetric matrix ((a, b), (b, d)), as the same three entries."""
    determinant = a * d - b * b
    return d / determinant, -b / determinant, a / determinant


@_compiled
def _gain(gram, p, sign):
    """(sign I + B_p' C^-1 B_p)^-1, the gain of the Woodbury update of C^-1 that adds (1) or removes (-1) period p."""
    q = p + len(gram) // 2
    return _inverse(gram[p, p] + sign, gram[p, q], gram[q, q] + sign)


@_compiled
def _change(gram, match, p, sign):
    """Add a component of period p to C (sign 1), or remove one (-1), in place."""
    a, b, d = _gain(gram, p, sign)
    sine, cosine = gram[p].copy(), gram[p + len(gram) // 2].copy()  # (2P,) each
    for i in range(len(gram)):
        to_sine, to_cosine = a * sine[i] + b * cosine[i], b * sine[i] + d * cosine[i]
        for j in range(len(gram)):
            gram[i, j] -= to_sine * sine[j] + to_cosine * cosine[j]
    x, y = match[p], match[p + len(gram) // 2]
    match -= (a * x + b * y) * sine + (b * x + d * y) * cosine


@_compiled
def _blocks(gram):
    """(3, P): the blocks B_q' C^-1 B_q on the diagonal."""
    count = len(gram) // 2
    blocks = np.empty((3, count))
    for q in range(count):
        blocks[0, q] = gram[q, q]
        blocks[1, q] = gram[q, q + count]
        blocks[2, q] = gram[q + count, q + count]
    return blocks


@_compiled
def _evidence(gram, match, blocks, p, gain):
    """The evidence exp(exponent) / sqrt(determinant) for one more component of each period: both factors, (P,) each.

    It is the evidence after an update of period p with this gain; a gain of 0 means no update.
    """
    count = len(gram) // 2
    a, b, d = gain
    x, y = match[p], match[p + count]
    to_sine, to_cosine = a * x + b * y, b * x + d * y
    sine_sine, sine_cosine = gram[p, :count], gram[p, count:]
    cosine_sine, cosine_cosine = gram[p + count, :count], gram[p + count, count:]
    exponent, determinant = np.empty(count), np.empty(count)
    for q in range(count):
        s, t, u, v = sine_sine[q], cosine_sine[q], sine_cosine[q], cosine_cosine[q]
        first = 1 + blocks[0, q] - (a * s + b * t) * s - (b * s + d * t) * t
        mixed = blocks[1, q] - (a * s + b * t) * u - (b * s + d * t) * v
        second = 1 + blocks[2, q] - (a * u + b * v) * u - (b * u + d * v) * v
        sine = match[q] - to_sine * s - to_cosine * t
        cosine = match[q + count] - to_sine * u - to_cosine * v
        determinant[q] = first * second - mixed * mixed
        square = second * sine * sine - 2 * mixed * sine * cosine + first * cosine * cosine
        exponent[q] = square / (2 * determinant[q])
    return exponent, determinant


@_compiled
def _log_sum(exponent, determinant):
    """The logarithm of the sum of all evidences."""
    top, total = exponent.max(), 0.0
    for q in range(len(exponent)):
        if exponent[q] > top - 40:
            total += math.exp(exponent[q] - top) / math.sqrt(determinant[q])
    return top + math.log(total)


@_compiled
def _draw(exponent, determinant, rng):
    """Draw a period with probability proportional to its evidence."""
    cumulative = np.cumsum(np.exp(exponent - exponent.max()) / np.sqrt(determinant))
    return min(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"), len(exponent) - 1)


@_compiled
def _draw_one_more(gram, match, rng):
    """Draw the period of a component given those in C, and add it to C."""
    p = _draw(*_evidence(gram, match, _blocks(gram), 0, (0.0, 0.0, 0.0)), rng)
    _change(gram, match, p, 1.0)
    return p


@_compiled
def _redraw(gram, match, slots, k, rng):
    """Draw the period of component k again, given the others."""
    old = slots[k]
    slots[k] = _draw(*_evidence(gram, match, _blocks(gram), old, _gain(gram, old, -1.0)), rng)
    if slots[k] != old:
        _change(gram, match, old, -1.0)
        _change(gram, match, slots[k], 1.0)


@_compiled
def _redraw_pair(gram, match, slots, rng):
    """Draw the periods of two components again, jointly: one with the other marginalised, then the other given it."""
    one = int(rng.random() * len(slots))
    other = (one + 1 + int(rng.random() * (len(slots) - 1))) % len(slots)
    _change(gram, match, slots[one], -1.0)
    _change(gram, match, slots[other], -1.0)
    blocks = _blocks(gram)
    exponent, determinant = _evidence(gram, match, blocks, 0, (0.0, 0.0, 0.0))
    for p in range(len(exponent)):
        exponent[p] += _log_sum(*_evidence(gram, match, blocks, p, _gain(gram, p, 1.0)))
    slots[one] = _draw(exponent, determinant, rng)
    _change(gram, match, slots[one], 1.0)
    slots[other] = _draw_one_more(gram, match, rng)


@_compiled
def _forecast(gram, match, ahead, slots):
    """Posterior mean and variance (H,) of the continuation, given the periods in the slots."""
    mean, variance = np.zeros(ahead.shape[1]), np.zeros(ahead.shape[1])
    columns = np.concatenate((slots, slots + len(gram) // 2))
    for i in columns:
        explained = np.zeros(ahead.shape[1])
        for j in columns:
            for h in range(len(explained)):
                explained[h] += gram[i, j] * ahead[j, h]
        mean += ahead[i] * match[i]
        variance += ahead[i] * (ahead[i] - explained)
    return mean, variance


@_compiled
def _chain(gram, match, ahead, slots, coldness, sweeps, rng):
    """(3, H): forecast, its square, and its variance given the periods, averaged over the last ``sweeps``.

    Args:
        gram, match: for C = I; ahead: (2P, H) the continuation of the waves.
        slots: (K,) initial positions of the periods, -1 for none.
        coldness: (S,) variance of the noise relative to that of each sweep.
    """
    sums = np.zeros((3, ahead.shape[1]))
    slots, plain_gram, plain_match = slots.copy(), gram, match
    for sweep in range(len(coldness)):
        if sweep % _REFRESH == 0 or coldness[sweep] != coldness[sweep - 1]:
            gram, match = coldness[sweep] * plain_gram, coldness[sweep] * plain_match
            for k in range(len(slots)):
                if slots[k] < 0:
                    slots[k] = _draw_one_more(gram, match, rng)
                else:
                    _change(gram, match, slots[k], 1.0)
        for k in range(len(slots)):
            _redraw(gram, match, slots, k, rng)
        for _ in range(len(slots) // 2):
            _redraw_pair(gram, match, slots, rng)
        if sweep >= len(coldness) - sweeps:
            mean, variance = _forecast(gram, match, ahead, slots)
            sums[0] += mean
            sums[1] += mean**2
            sums[2] += variance
    return sums / sweeps
