"""The neural forecasters, one class each.

Every network has ``loss(batch)`` (a scalar, which training minimises, of a batch whose ``past`` is (B, N) and
``future`` (B, H)) and ``forecast(lookback, horizon)`` (the free-running continuation); where not every stage of
training suits it, ``check_stage(stage)``.
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
    """Draw all weights anew from ``generator``: PyTorch's default, uniform on +-1/sqrt(fan).

    ``fan`` is the hidden size of a recurrent layer and the number of inputs of a linear one.
    A network with fixed starting values then sets them in its ``preset()``.

    Raises:
        ValueError: weights in a layer of another kind.
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

    Not a sequence-to-sequence network: beyond the lookback it runs on its own predictions.
    ``SmallLSTM(100)`` has 41,301 parameters (Hochreiter and Schmidhuber 1997 for the cell).
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
        """Mean squared error, (), of every one-step prediction whose target exists: of N + H - 1 a signal."""
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
    """One LSTM layer and a linear head that echo a signal and continue it where the input is -2, which means "no data".

    The forget gates start with a bias of 1 (Gers, Schmidhuber and Cummins 2000). PyTorch's second
    bias of every gate, that of the inputs, is redundant and stays 0.
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
        """Set the biases that do not start at random."""
        with torch.no_grad():
            self.lstm.bias_ih_l0.zero_()
            self.lstm.bias_hh_l0.chunk(4)[1].fill_(1.0)  # of input, forget, cell and output gate

    def forward(self, lookback: Tensor, horizon: int) -> Tensor:
        """The lookback (B, N) as the network echoes it, and its continuation: (B, N + horizon)."""
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

    ``"real_imag"`` is linear in the signal, F = 2 K. ``"magnitude_angle"``, F = 2 K, has angles that
    jump at +-pi and take any value where the magnitude is small. Each of these two faults stands
    alone in ``"scaled_angle"``, F = 2 K, whose angles are multiplied by the magnitude, and in
    ``"magnitude_cosine"``, F = 3 K, the magnitude with cosine and sine of the angle. ``"samples"``
    is the lookback itself, and ``"none"`` is (B, 0).
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
    """A GRU cell that is fed one sample at a time, and a head that reads the next one off its state."""

    def __init__(self, hidden: int, *head: int):
        super().__init__()
        self.cell = nn.GRUCell(1, hidden)
        self.head = _mlp(hidden, *head, 1)

    def forward(self, state: Tensor, last: Tensor, horizon: int, forced=None, truth=None) -> Tensor:
        """(B, horizon) samples after ``last`` (B, 1), from the state (B, H).

        Free-running, but where ``forced`` (B, horizon - 1) is true the cell reads ``truth``
        instead of its own last prediction (Williams and Zipser 1989).
        """
        sample, forecast = last, []
        for step in range(horizon):
            state = self.cell(sample, state)  # (B, H)
            forecast.append(sample := self.head(state))  # (B, 1)
            if forced is not None and step < horizon - 1:
                sample = torch.where(forced[:, step : step + 1], truth[:, step : step + 1], sample)
        return torch.cat(forecast, dim=1)  # (B, horizon)


class _Seq2Seq(nn.Module):
    """Shared by the networks that encode a lookback of fixed length and decode its continuation."""

    lookback: int
    step_weight: float
    decoder: _Decoder

    def encode(self, lookback: Tensor) -> Tensor:
        """First state of the decoder, (B, H), from ``lookback`` (B, N)."""
        raise NotImplementedError

    def forward(self, lookback: Tensor, horizon: int, forced=None, truth=None) -> Tensor:
        """Continuation (B, horizon) of ``lookback`` (B, N)."""
        return self.decoder(self.encode(lookback), lookback[:, -1:], horizon, forced, truth)

    def loss(self, batch: SignalBatch, teacher_forcing: float = 0.0, generator=None) -> Tensor:
        """Mean squared error, (), of the continuation (B, H), step h weighted by ``h ** -step_weight``.

        Each decoder input is the truth with probability ``teacher_forcing``, drawn from
        ``generator``: 1 is teacher forcing, 0 free-running, between them scheduled sampling
        (Bengio et al. 2015).
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
    """A GRU encoder, its last state joined with DFT features, and a GRU-cell decoder.

    45,415 parameters with the default settings (Cho et al. 2014, Sutskever et al. 2014).

    Args:
        features: one of ``FEATURES``.
        encoder: hidden size of the recurrent encoder, at most 10; 0 for none.
        lookback: samples that are seen.
        step_weight: step h of the forecast weighs ``h ** -step_weight`` in the loss.
        width: units of the decoder; None for the 112 (at a lookback of 100) that the default settings
            fill, or for as many as the features need.
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
            raise ValueError(f"encoder must be at most 10, the decoder has no room for more, got {describe(encoder)}")
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
        """First state of the decoder, (B, width): encoder state and DFT features, zeros where one is left out."""
        parts = [dft_features(lookback, self.features)]
        if self.encoder:
            _, state = self.encoder(lookback[..., None])  # (B, N, 1) -> (1, B, encoder)
            parts.insert(0, state[0])
        first = torch.cat(parts, dim=1)
        return functional.pad(first, (0, self.width - first.shape[1]))  # (B, width)


class CurriculumGRU(_Seq2Seq):
    """The lookback and its DFT features through an MLP into a GRU-cell decoder, always free-running.

    141,573 parameters with the default settings.

    Args:
        features, lookback, step_weight: as in ``Seq2SeqGRU``.
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
        """First state of the decoder, (B, 140)."""
        return self.encoder(torch.cat([lookback, dft_features(lookback, self.features)], dim=1))
