"""A network that estimates the power spectrum of a window, and the optimal linear forecast under that spectrum."""

import math
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from harmonics_lib.arguments import check_positive, check_whole
from harmonics_lib.forecasters.base import check_network_lookback
from harmonics_lib.forecasters.toeplitz import diagonal_sums, solve_toeplitz
from harmonics_lib.signals.process import SignalBatch
from harmonics_lib.signals.waves import exponentials

_NOISE_RATIOS = (0.01, 0.1, 0.5)  # noise-to-signal ratios of the initial whitened periodograms
_HORIZON = 50  # steps for which the network estimates its own error
_FINEST = 1e-4  # spacing of frequencies, in cycles per sample
#: Units of a layer, and samples of a lookback, at most.
WIDEST = 10_000
_LEAST_NOISE = 1e-5  # variance, relative to the window's power; with less the equations are ill-conditioned
_OUTLIER = 100  # ratio of an error to its expectation above which the loss grows with the logarithm

# Mean squared errors over ten steps of expectation propagation, by noise and number of components (whole
# periods of 2 to 99): the unit of the loss. They are rounded from the cells of the grid, and extrapolated by eye
# to the noise of 0.003, which the grid does not have. They only weight the windows in training.
# ``experiments/tuning.py`` computes the same errors on windows from their own random stream ("expected errors").
_NOISE = (0.003, 0.01, 0.03, 0.1, 0.3)
_COMPONENTS = (1, 2, 5, 10, 20, 45)
_EXPECTED = (
    (2.7e-7, 6e-6, 1e-4, 6e-4, 2e-3, 7e-3),
    (2.9e-6, 4.5e-5, 6.5e-4, 2.2e-3, 5.8e-3, 1.4e-2),
    (3.2e-5, 3e-4, 2.1e-3, 6e-3, 1.3e-2, 2.5e-2),
    (6e-4, 2.7e-3, 1e-2, 2.1e-2, 3.3e-2, 4.7e-2),
    (7.3e-3, 1.9e-2, 4.2e-2, 6.8e-2, 8.7e-2, 9.9e-2),
)


class WienerNetwork(nn.Module):
    """Unrolled inference: layers estimate the power at each frequency, and the Wiener filter gives the forecast.

    For sinusoids with given powers and random phases in white noise, the best linear continuation
    of a window x is k' C^-1 x (Wiener), with the covariances C of the window and k of window and
    future. Only the powers and the noise have to be estimated. The first estimate comes from the
    window's whitened periodograms. Each refinement solves the window's equations and compares, at
    every frequency, the power of C^-1 x with its expectation under the estimate. Expectation
    propagation and sparse Bayesian learning iterate the same comparison; here the steps are learned.

    Args:
        hidden: width of the layers.
        refinements: number of refinements of the first estimate.
        spacing: largest gap between two frequencies, in cycles per sample; the frequencies always
            include the whole periods of 2 to 99.
        lookback: samples that the network is given.

    Raises:
        ValueError: a setting is out of range or of the wrong type.

    Sources: Gregor and LeCun (2010) for unrolled inference; Tipping (2001) for sparse Bayesian learning.
    """

    def __init__(self, hidden: int = 256, refinements: int = 2, spacing: float = 1 / 250, lookback: int = 100):
        super().__init__()
        hidden = check_whole("hidden", hidden, maximum=WIDEST)
        refinements = check_whole("refinements", refinements, minimum=0, maximum=100)
        lookback, spacing = check_whole("lookback", lookback, maximum=WIDEST), check_positive("spacing", spacing)
        if not _FINEST <= spacing <= 0.5:
            raise ValueError(f"spacing must be from {_FINEST:g} to 0.5 cycles per sample, got {spacing:g}")
        self.lookback, self.spacing = lookback, spacing
        count = len(_dictionary(spacing))
        self.guess = _Update(count, len(_NOISE_RATIOS), 1, hidden, hidden)
        self.refine = nn.ModuleList(_Update(count, 3, 2, hidden) for _ in range(refinements))
        self.error = _mlp(count + 1, 64, _HORIZON + 1)
        self.preset()

    def check_stage(self, stage) -> None:
        """Raise ``ValueError`` for a stage of training on which the loss is not defined.

        The loss contains the logarithm of the noise, and the network estimates its error for 50 steps.
        """
        for process in stage.processes:
            if process.noise_std[0] <= 0:
                raise ValueError(f"a WienerNetwork needs a process with noise_std above 0, got {process.noise_std}")
        if stage.horizon > _HORIZON:
            raise ValueError(f"a WienerNetwork needs a horizon of at most {_HORIZON} in training, got {stage.horizon}")

    @property
    def frequencies(self) -> Tensor:
        """(G,) frequencies of the spectrum, cycles per sample, in rising order and double precision."""
        return _dictionary(self.spacing)

    def preset(self) -> None:
        """Set the last layer of every update to 0, so that initially it does not change the spectrum."""
        for update in (self.guess, *self.refine):
            update.preset()

    def forward(self, lookback: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Amplitudes and spectrum of a window (B, N), after the first estimate and after each refinement.

        Returns:
            The mean amplitudes (B, 2 G) of cosines and sines after each step; the last spectrum (B, G + 1),
            the logarithms of the powers and of the noise's variance, which sum to 1; and the root mean
            square (B, 1) of the window, the unit of both.
        """
        table = _table(self.lookback, self.spacing, lookback.dtype, lookback.device)
        scale = lookback.square().mean(dim=1, keepdim=True).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        x = lookback / scale
        spectrum = self._first_guess(x, table)
        amplitudes = []
        for update in (*self.refine, None):
            power = spectrum[:, :-1].exp()
            solved, first = self._whiten(x, power, spectrum[:, -1:].exp(), table)
            correlation = (solved @ table.waves).unflatten(1, (2, -1))  # (B, 2, G)
            amplitudes.append((correlation * power[:, None]).flatten(1))
            if update is not None:
                spectrum = self._refine_spectrum(update, spectrum, solved, correlation, first, table)
        return amplitudes, spectrum, scale

    def _synthesise(self, amplitudes: Tensor, horizon: int) -> Tensor:
        """(B, horizon) samples after the lookback."""
        return amplitudes @ _waves(self.lookback, horizon, self.spacing, amplitudes.dtype, amplitudes.device)

    def _first_guess(self, x: Tensor, table: "_Table") -> Tensor:
        """(B, G + 1) logarithm of the powers and of the noise, from whitened periodograms."""
        cosine, sine = (x @ table.whiteners).unflatten(1, (len(_NOISE_RATIOS), -1)).chunk(2, dim=2)
        energies = 0.3 * (cosine.square() + sine.square() + 1e-7).log()  # (B, ratios, G)
        prior = functional.pad(table.log_mass, (0, 1), value=math.log(0.05)).expand(len(x), -1)
        return _normalise(prior + self.guess(energies.transpose(0, 1), prior[:, -1:]))

    def _whiten(self, x: Tensor, power: Tensor, noise: Tensor, table: "_Table") -> tuple[Tensor, Tensor]:
        """C^-1 x (B, N), and the first column of C^-1, (B, N), for the covariance C of a spectrum."""
        lags = power.double() @ table.cosines.mT
        lags = torch.cat([lags[:, :1] + noise, lags[:, 1:]], dim=1)
        solved, first = solve_toeplitz(lags, x[:, None])
        return solved[:, 0].to(x), first

    def _refine_spectrum(
        self, update, spectrum: Tensor, solved: Tensor, correlation: Tensor, first: Tensor, table
    ) -> Tensor:
        """The next spectrum, from the power of y = C^-1 x at each frequency and its expectation.

        The update of the noise starts from the residual variance, noise |y|² / trace C^-1 (MacKay 1992).
        """
        power, noise = spectrum[:, :-1], spectrum[:, -1:]
        sums = diagonal_sums(first).to(power)  # (B, N)
        cosine, sine = correlation.unbind(dim=1)
        measured = (cosine.square() + sine.square() + 1e-9).log()
        expected = (sums @ table.waves[:, : power.shape[1]]).clamp_min(1e-9).log()
        unexplained = (solved.square().sum(dim=1, keepdim=True) / sums[:, :1]).log()
        surprise = (0.5 * (measured - expected)).clamp(-6, 6)
        features = torch.stack([surprise, 0.2 * (power + expected), 0.2 * (power - table.log_mass)])  # (3, B, G)
        common = torch.cat([0.2 * noise, (0.5 * unexplained).clamp(-6, 6)], dim=1)
        return _normalise(torch.cat([power, noise + unexplained], dim=1) + update(features, common))

    def loss(self, batch: SignalBatch) -> Tensor:
        """Squared errors, (), relative to the expected error of each window, of the forecasts after all refinements.

        The last forecast has the weight 1, earlier ones 0.3; steps beyond the tenth have (10 / step)³. Very
        large errors enter by their logarithm, so that a few windows do not dominate the gradient. The
        estimate of the network's own error is trained at the same time, without an influence on forecasts.
        """
        truth = batch.future
        amplitudes, spectrum, scale = self(batch.past)
        forecasts = [scale * self._synthesise(each, truth.shape[1]) for each in amplitudes]
        weights = _step_weights(truth) / (expected_error(batch) + 5e-4)[:, None]
        relative = [(weights * (forecast - truth).square()).mean(dim=1) for forecast in forecasts]  # (B,) each
        errors = [_limit_outliers(error).mean() for error in relative]
        return errors[-1] + 0.3 * sum(errors[:-1]) + self._error_loss(batch, forecasts[-1], spectrum, scale)

    def _error_loss(self, batch: SignalBatch, forecast: Tensor, spectrum: Tensor, scale: Tensor) -> Tensor:
        """Negative log likelihood of the errors, plus the squared error of the noise's logarithm."""
        log_variance, log_noise = self._log_variances(spectrum.detach())
        squares = ((forecast.detach() - batch.future) / scale).square()
        log_variance = log_variance[:, : squares.shape[1]]
        noise = 2 * (batch.noise_std[:, None] / scale).log()
        likelihood = (_limit_outliers(squares * (-log_variance).exp()) + log_variance).mean()
        return 0.1 * (likelihood + (log_noise - noise).square().mean())

    def _log_variances(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Log variances of the clean continuation (B, 50) and of the noise (B, 1), relative to the window's power."""
        correction = self.error(0.2 * spectrum)
        noise = spectrum[:, -1:]
        correction = 9 * (correction / 3).tanh()
        return noise + correction[:, :-1], noise + correction[:, -1:]

    def forecast(self, lookback: Tensor, horizon: int) -> Tensor:
        """Continuation (B, horizon) of the last N samples of ``lookback`` (B, >= N)."""
        horizon = check_network_lookback(self, lookback, horizon, minimum=self.lookback)
        amplitudes, _, scale = self(lookback[:, -self.lookback :])
        return scale * self._synthesise(amplitudes[-1], horizon)

    def distribution(self, lookback: Tensor, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """Forecast and standard deviation of its error, (B, horizon) each, and that of the noise, (B, 1).

        Beyond 50 steps the standard deviation is that of step 50.
        """
        horizon = check_network_lookback(self, lookback, horizon, minimum=self.lookback)
        amplitudes, spectrum, scale = self(lookback[:, -self.lookback :])
        log_variance, log_noise = self._log_variances(spectrum)
        steps = torch.arange(horizon, device=lookback.device).clamp_max(_HORIZON - 1)
        std, noise_std = (0.5 * log_variance[:, steps]).exp(), (0.5 * log_noise).exp()
        return scale * self._synthesise(amplitudes[-1], horizon), scale * std, scale * noise_std


class _Update(nn.Module):
    """A change of the logarithmic spectrum: the same small network at every frequency, plus one for all of them."""

    def __init__(self, count: int, features: int, common: int, *hidden: int):
        super().__init__()
        self.local = _mlp(features + common, 8, 1)
        self.across = _mlp(count * features + common, *hidden, count + 1)
        self.across.insert(1, nn.LayerNorm(hidden[0], elementwise_affine=False))

    def preset(self) -> None:
        for layers in (self.local, self.across):
            nn.init.zeros_(layers[-1].weight)
            nn.init.zeros_(layers[-1].bias)

    def forward(self, features: Tensor, common: Tensor) -> Tensor:
        """(B, G + 1) from features (F, B, G) of the frequencies and (B, C) of the window."""
        across = self.across(torch.cat([features.permute(1, 2, 0).flatten(1), common], dim=1))
        return 9 * ((across + functional.pad(self._local(features, common), (0, 1))) / 3).tanh()

    def _local(self, features: Tensor, common: Tensor) -> Tensor:
        """(B, G): the map ``local`` at all frequencies, as two products with one wide matrix."""
        first, _, last = self.local
        own, shared = first.weight.split([len(features), common.shape[1]], dim=1)  # (8, F), (8, C)
        hidden = (own @ features.flatten(1)).unflatten(1, features.shape[1:])  # (8, B, G)
        hidden = hidden.add_(functional.linear(common, shared, first.bias).mT[..., None]).relu_()
        return (last.weight @ hidden.flatten(1)).view(features.shape[1:]) + last.bias


def _mlp(*sizes: int) -> nn.Sequential:
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _normalise(spectrum: Tensor) -> Tensor:
    """Logarithmic powers whose sum is 1; the last one, the noise, has a lower limit."""
    spectrum = spectrum.log_softmax(dim=1)
    return torch.cat([spectrum[:, :-1], spectrum[:, -1:].clamp_min(math.log(_LEAST_NOISE))], dim=1)


def _limit_outliers(error: Tensor) -> Tensor:
    """Relative errors; very large ones grow only logarithmically."""
    return _OUTLIER * (error / _OUTLIER).log1p()


def _step_weights(future: Tensor) -> Tensor:
    return (10 / torch.arange(1, future.shape[1] + 1).to(future)).clamp_max(1).pow(3)


def expected_error(batch: SignalBatch) -> Tensor:
    """(B,) expected errors of the signals, interpolated logarithmically in the table."""
    table = torch.tensor(_EXPECTED).log().to(batch.past)
    row, down = _place(batch.noise_std, _NOISE)
    column, right = _place((batch.amplitudes != 0).sum(dim=1), _COMPONENTS)
    upper = table[row, column] * (1 - right) + table[row, column + 1] * right
    lower = table[row + 1, column] * (1 - right) + table[row + 1, column + 1] * right
    return (upper * (1 - down) + lower * down).exp()


def _place(values: Tensor, ticks: tuple) -> tuple[Tensor, Tensor]:
    """The index of the tick below each value, and the fraction of the logarithmic distance to the next tick."""
    scale = torch.tensor(ticks).log().to(values.device)
    logs = values.float().log().clamp(scale[0], scale[-1])
    below = (torch.searchsorted(scale, logs, right=True) - 1).clamp(0, len(scale) - 2)
    return below, (logs - scale[below]) / (scale[below + 1] - scale[below])


# Tables are kept, so none may be a tensor of inference mode, which no training can use afterwards.
_normal_mode = torch.inference_mode(False)


@lru_cache(maxsize=8)
@_normal_mode
def _dictionary(spacing: float) -> Tensor:
    """(G,) frequencies in rising order, double precision: whole periods, and gaps filled evenly."""
    whole = (1 / torch.arange(2, 100, dtype=torch.float64)).flip(0)
    parts = []
    for low, high in pairwise(whole.tolist()):
        steps = math.ceil((high - low) / spacing - 1e-9)
        parts.append(low + (high - low) * torch.arange(steps, dtype=torch.float64) / steps)
    return torch.cat([*parts, whole[-1:]])


class _Table:
    """What a forward pass multiplies with, computed in double precision.

    Attributes:
        waves: (N, 2 G) cosines, then sines.
        cosines: (N, G) in double precision.
        whiteners: (N, 3 * 2 G) the waves behind the inverse of the prior's covariance at three levels of noise.
        log_mass: (G,) logarithm of the prior: half whole periods, half continuous ones, uniform from 2 to 99.
    """

    def __init__(self, lookback: int, spacing: float, dtype: torch.dtype, device: torch.device):
        frequencies = _dictionary(spacing)
        waves = _double_waves(frequencies, torch.arange(lookback))
        mass = _prior(frequencies)
        count = len(frequencies)
        lag = waves[:, :count] @ mass
        time = torch.arange(lookback)
        covariance = lag[(time[:, None] - time).abs()]
        whiteners = []
        for ratio in _NOISE_RATIOS:
            matrix = (1 - ratio**2) * covariance + ratio**2 * torch.eye(lookback, dtype=torch.float64)
            whitened = torch.linalg.solve(matrix, waves)
            gain = (waves * whitened).sum(dim=0).reshape(2, count).sum(dim=0).sqrt()
            whiteners.append(whitened / gain.repeat(2))
        self.waves, self.cosines = waves.to(device, dtype), waves[:, :count].contiguous().to(device)
        self.whiteners = torch.cat(whiteners, dim=1).to(device, dtype)
        self.log_mass = mass.log().to(device, dtype)


@lru_cache(maxsize=8)
@_normal_mode
def _table(lookback: int, spacing: float, dtype: torch.dtype, device: torch.device) -> _Table:
    return _Table(lookback, spacing, dtype, device)


def _double_waves(frequencies: Tensor, time: Tensor) -> Tensor:
    """(T, 2 G) cosines, then sines."""
    waves = exponentials(frequencies, time)
    return torch.cat([waves.real, waves.imag], dim=1)


@lru_cache(maxsize=16)
@_normal_mode
def _waves(start: int, horizon: int, spacing: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2 G, horizon) of the future."""
    waves = _double_waves(_dictionary(spacing), torch.arange(start, start + horizon))
    return waves.mT.contiguous().to(device, dtype)


def _prior(frequencies: Tensor) -> Tensor:
    """(G,) probabilities: one half whole periods, one half uniform periods gathered about each frequency."""
    middle = (frequencies[1:] + frequencies[:-1]) / 2
    edges = torch.cat([frequencies[:1], middle, frequencies[-1:]])
    periods = 1 / frequencies
    whole = ((periods - periods.round()).abs() < 1e-6).double()
    continuous = 1 / edges[:-1] - 1 / edges[1:]
    return (whole / whole.sum() + continuous / continuous.sum()) / 2
