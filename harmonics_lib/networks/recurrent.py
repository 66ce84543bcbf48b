"""Recurrent neural forecasters, one class each.

Every network has ``loss(batch)``, the scalar that training minimises, for a batch whose ``past`` is
(B, N) and ``future`` (B, H), and ``forecast(lookback, horizon)``, the free-running continuation. A
network that cannot be trained on every stage also has ``check_stage(stage)``.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from harmonics_lib.arguments import check_choice, check_weight, check_whole, describe
from harmonics_lib.forecasters.base import check_network_lookback
from harmonics_lib.networks.wiener import WIDEST
from harmonics_lib.signals.process import SignalBatch


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights from ``generator`` with PyTorch's default distribution, uniform on +-1/sqrt(fan).

    ``fan`` is the hidden size of a recurrent layer and the number of inputs of a linear one.
    A network with fixed initial values then sets them in its ``preset()``.

    Raises:
        ValueError: a layer of another kind has weights.
    """
    with torch.no_grad():
        for layer in network.modules():
            fan = getattr(layer, "hidden_size", None) or getattr(layer, "in_features", None)
            for parameter in layer.parameters(recurse=False):
                if fan is None:
                    raise ValueError(f"expected recurrent and linear layers, got weights in a {type(layer).__name__}")
                parameter.uniform_(-(fan**-0.5), fan**-0.5, generator=generator)
        if hasattr(network, "preset"):
            network.preset()


class SmallLSTM(nn.Module):
    """One LSTM layer and a linear head that predict the next sample from all samples so far.

    Beyond the lookback, its input is its own prediction (free-running). ``SmallLSTM(100)`` has 41,301 parameters.

    Args:
        hidden: size of the LSTM's state.

    Raises:
        ValueError: ``hidden`` is not a whole number of at least 1.

    Source: Hochreiter and Schmidhuber (1997) for the cell.

    Example:
        >>> SmallLSTM(8).forecast(torch.zeros(2, 100), 5).shape
        torch.Size([2, 5])
    """

    def __init__(self, hidden: int = 100):
        super().__init__()
        hidden = check_whole("hidden", hidden, maximum=WIDEST)
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, signal: Tensor, state=None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Next-sample predictions (B, T) for ``signal`` (B, T), and the LSTM's state after it."""
        hidden, state = self.lstm(signal[..., None], state)  # (B, T, H)
        return self.head(hidden)[..., 0], state

    def loss(self, batch: SignalBatch) -> Tensor:
        """Mean squared error, (), of all N + H - 1 one-step predictions of each signal."""
        prediction, _ = self(batch.observed[:, :-1])  # (B, N + H - 1)
        return torch.mean((prediction - batch.clean[:, 1:]) ** 2)

    def forecast(self, lookback: Tensor, horizon: int) -> Tensor:
        """Free-running continuation (B, horizon) of ``lookback`` (B, N), N >= 1."""
        horizon = check_network_lookback(self, lookback, horizon)
        one_step, state = self(lookback)
        forecast = [one_step[:, -1:]]  # (B, 1) each
        while len(forecast) < horizon:
            one_step, state = self(forecast[-1], state)
            forecast.append(one_step)
        return torch.cat(forecast, dim=1)


class SentinelLSTM(nn.Module):
    """One LSTM layer and a linear head that reproduce a signal, and continue it where the input is -2, "no data".

    The forget gates start with a bias of 1 (Gers, Schmidhuber and Cummins 2000). PyTorch's second
    bias of every gate is redundant and stays 0.

    Args:
        hidden: size of the LSTM's state.

    Raises:
        ValueError: ``hidden`` is not a whole number of at least 1.
    """

    NO_DATA = -2.0

    def __init__(self, hidden: int = 15):
        super().__init__()
        hidden = check_whole("hidden", hidden, maximum=WIDEST)
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)
        self.lstm.bias_ih_l0.requires_grad_(False)
        self.preset()

    def preset(self) -> None:
        """Set the biases that have fixed initial values."""
        with torch.no_grad():
            self.lstm.bias_ih_l0.zero_()
            self.lstm.bias_hh_l0.chunk(4)[1].fill_(1.0)  # of input, forget, cell and output gate

    def forward(self, lookback: Tensor, horizon: int) -> Tensor:
        """(B, N + horizon): the lookback (B, N) as the network reproduces it, then its continuation."""
        signal = functional.pad(lookback, (0, horizon), value=self.NO_DATA)  # (B, N + horizon)
        hidden, _ = self.lstm(signal[..., None])  # (B, N + horizon, H)
        return self.head(hidden)[..., 0]

    def loss(self, batch: SignalBatch) -> Tensor:
        """Mean squared error, (), over the lookback and its continuation, N + H samples a signal."""
        return torch.mean((self(batch.past, batch.future.shape[1]) - batch.clean) ** 2)

    def forecast(self, lookback: Tensor, horizon: int) -> Tensor:
        """Continuation (B, horizon) of ``lookback`` (B, N), N >= 1."""
        horizon = check_network_lookback(self, lookback, horizon)
        return self(lookback, horizon)[:, lookback.shape[1] :]


FEATURES = ("real_imag", "magnitude_angle", "scaled_angle", "magnitude_cosine", "samples", "none")


def dft_features(lookback: Tensor, kind: str) -> Tensor:
    """(B, F) features of ``lookback`` (B, N), from its unitary real DFT of K = floor(N/2) + 1 bins.

    * ``"real_imag"``, F = 2 K: real and imaginary part, linear in the signal.
    * ``"magnitude_angle"``, F = 2 K: the angle jumps at +-pi, and is arbitrary where the magnitude is small.
    * ``"scaled_angle"``, F = 2 K: magnitude, and magnitude times angle, which keeps only the jumps.
    * ``"magnitude_cosine"``, F = 3 K: magnitude, cosine and sine of the angle, which keeps only the arbitrary angles.
    * ``"samples"``, F = N: the lookback itself.
    * ``"none"``, F = 0.
    """
    if kind in ("samples", "none"):
        return lookback if kind == "samples" else lookback[:, :0]
    spectrum = torch.fft.rfft(lookback, norm="ortho")  # (B, K)
    if kind == "real_imag":
        return torch.cat([spectrum.real, spectrum.imag], dim=1)
    magnitude, angle = spectrum.abs(), spectrum.angle()
    parts = {
        "magnitude_angle": (angle,),
        "scaled_angle": (magnitude * angle,),
        "magnitude_cosine": (angle.cos(), angle.sin()),
    }
    return torch.cat([magnitude, *parts[kind]], dim=1)


def _feature_count(kind: str, lookback: int) -> int:
    return dft_features(torch.zeros(1, lookback), kind).shape[1]


def _mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with LeakyReLU between them."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


class _Decoder(nn.Module):
    """A GRU cell that takes one sample at a time, and a head that maps its state to the next sample."""

    def __init__(self, hidden: int, *head: int):
        super().__init__()
        self.cell = nn.GRUCell(1, hidden)
        self.head = _mlp(hidden, *head, 1)

    def forward(self, state: Tensor, last: Tensor, horizon: int, forced=None, truth=None) -> Tensor:
        """(B, horizon) samples after ``last`` (B, 1), from the state (B, H).

        The cell's input is its own last prediction, or ``truth`` where ``forced`` (B, horizon - 1) is true.

        Source: Williams and Zipser (1989) for teacher forcing.
        """
        sample, forecast = last, []
        for step in range(horizon):
            state = self.cell(sample, state)  # (B, H)
            forecast.append(sample := self.head(state))  # (B, 1)
            if forced is not None and step < horizon - 1:
                sample = torch.where(forced[:, step : step + 1], truth[:, step : step + 1], sample)
        return torch.cat(forecast, dim=1)  # (B, horizon)


class _Seq2Seq(nn.Module):
    """Base of the networks that encode a lookback of fixed length and decode its continuation."""

    lookback: int
    step_weight: float
    decoder: _Decoder

    def encode(self, lookback: Tensor) -> Tensor:
        """Initial state of the decoder, (B, H), from ``lookback`` (B, N)."""
        raise NotImplementedError

    def forward(self, lookback: Tensor, horizon: int, forced=None, truth=None) -> Tensor:
        """Continuation (B, horizon) of ``lookback`` (B, N)."""
        return self.decoder(self.encode(lookback), lookback[:, -1:], horizon, forced, truth)

    def loss(self, batch: SignalBatch, teacher_forcing: float = 0.0, generator=None) -> Tensor:
        """Mean squared error, (), of the continuation (B, H), step h weighted by ``h ** -step_weight``.

        Each decoder input is the truth with probability ``teacher_forcing``, drawn from
        ``generator``: 1 is teacher forcing, 0 is free-running, and values in between are scheduled
        sampling (Bengio et al. 2015).
        """
        truth, forced = batch.future, None
        if teacher_forcing > 0:
            shape = (len(batch), truth.shape[1] - 1)
            forced = torch.rand(shape, generator=generator, device=truth.device) < teacher_forcing
        errors = (self(batch.past, truth.shape[1], forced, truth) - truth) ** 2
        if self.step_weight == 0:
            return errors.mean()
        weights = torch.arange(1, truth.shape[1] + 1, device=truth.device) ** -self.step_weight  # (H,)
        return (errors * weights / weights.mean()).mean()

    def forecast(self, lookback: Tensor, horizon: int) -> Tensor:
        """Free-running continuation (B, horizon) of the last N samples of ``lookback`` (B, >= N)."""
        horizon = check_network_lookback(self, lookback, horizon, minimum=self.lookback)
        return self(lookback[:, -self.lookback :], horizon)


class Seq2SeqGRU(_Seq2Seq):
    """A GRU encoder, whose last state is concatenated with DFT features, and a GRU-cell decoder.

    It has 45,415 parameters with the default settings.

    Args:
        features: one of ``FEATURES``.
        encoder: hidden size of the recurrent encoder, at most 10; 0 for none.
        lookback: samples that the network is given.
        step_weight: step h of the forecast has the weight ``h ** -step_weight`` in the loss.
        width: units of the decoder; None for those that the default features need (112 at a lookback
            of 100), or more if ``features`` needs more.

    Raises:
        ValueError: a setting is out of range or of the wrong type.

    Sources: Cho et al. (2014); Sutskever, Vinyals and Le (2014).

    Example:
        >>> Seq2SeqGRU(lookback=20).forecast(torch.zeros(2, 20), 5).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        features: str = "real_imag",
        encoder: int = 10,
        lookback: int = 100,
        step_weight: float = 0.0,
        width: int | None = None,
    ):
        super().__init__()
        encoder = check_whole("encoder", encoder, minimum=0)
        lookback = check_whole("lookback", lookback, maximum=WIDEST)
        if encoder > 10:
            raise ValueError(f"encoder must be at most 10, which the decoder's width allows, got {describe(encoder)}")
        step_weight = check_weight("step_weight", step_weight)
        self.lookback, self.step_weight = lookback, step_weight
        self.features = check_choice("features", features, FEATURES)
        self.encoder = nn.GRU(1, encoder, batch_first=True) if encoder else None
        minimum = encoder + _feature_count(features, lookback)
        default = max(10 + 2 * (lookback // 2 + 1), minimum)
        self.width = default if width is None else check_whole("width", width, maximum=4 * WIDEST)
        if self.width < minimum:
            raise ValueError(
                f"width must be at least {minimum}, the numbers in the decoder's first state, got {describe(width)}"
            )
        self.decoder = _Decoder(self.width, self.width // 2)

    def encode(self, lookback: Tensor) -> Tensor:
        """Initial state of the decoder, (B, width): encoder state and DFT features, padded with zeros."""
        parts = [dft_features(lookback, self.features)]
        if self.encoder:
            _, state = self.encoder(lookback[..., None])  # (B, N, 1) -> (1, B, encoder)
            parts.insert(0, state[0])
        first = torch.cat(parts, dim=1)
        return functional.pad(first, (0, self.width - first.shape[1]))  # (B, width)


class CurriculumGRU(_Seq2Seq):
    """An MLP that encodes the lookback and its DFT features, and a free-running GRU-cell decoder.

    It has 141,573 parameters with the default settings.

    Args:
        features: as in ``Seq2SeqGRU``.
        lookback: as in ``Seq2SeqGRU``.
        step_weight: as in ``Seq2SeqGRU``.

    Raises:
        ValueError: a setting is out of range or of the wrong type.
    """

    def __init__(self, features: str = "real_imag", lookback: int = 100, step_weight: float = 0.0):
        super().__init__()
        lookback = check_whole("lookback", lookback, maximum=WIDEST)
        step_weight = check_weight("step_weight", step_weight)
        self.lookback, self.step_weight = lookback, step_weight
        self.features = check_choice("features", features, FEATURES)
        width = lookback + _feature_count(features, lookback)
        self.encoder = _mlp(width, 100, 202, 140)
        self.decoder = _Decoder(140, 70, 35)

    def encode(self, lookback: Tensor) -> Tensor:
        """Initial state of the decoder, (B, 140)."""
        return self.encoder(torch.cat([lookback, dft_features(lookback, self.features)], dim=1))
