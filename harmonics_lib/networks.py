"""The neural forecasters, one class each.

Every network has ``settings`` (the arguments it was built with), ``loss(batch)`` (what training
minimises) and ``forecast(lookback, horizon)`` (the free-running continuation).
"""

import torch
from torch import Tensor, nn

from harmonics_lib.signals import SignalBatch, check_lookback


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew from ``generator``: PyTorch's default, uniform on +-1/sqrt(fan).

    ``fan`` is the hidden size of a recurrent layer and the number of inputs of a linear one.
    """
    with torch.no_grad():
        for layer in network.modules():
            fan = getattr(layer, "hidden_size", None) or getattr(layer, "in_features", None)
            for parameter in layer.parameters(recurse=False):
                parameter.uniform_(-(fan**-0.5), fan**-0.5, generator=generator)


class SmallLSTM(nn.Module):
    """One LSTM layer and a linear head that predict the next sample from all samples so far.

    Not a sequence-to-sequence network: beyond the lookback it runs on its own predictions.
    ``SmallLSTM(100)`` has 41,301 parameters (Hochreiter and Schmidhuber 1997 for the cell).
    """

    def __init__(self, hidden: int = 100):
        super().__init__()
        self.settings = {"hidden": hidden}
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, signal: Tensor, state=None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Next-sample predictions (B, T) for ``signal`` (B, T), and the LSTM's state after it."""
        hidden, state = self.lstm(signal[..., None], state)  # (B, T, H)
        return self.head(hidden)[..., 0], state

    def loss(self, batch: SignalBatch) -> Tensor:
        """Mean squared error of every one-step prediction whose target exists."""
        prediction, _ = self(batch.observed[:, :-1])
        return torch.mean((prediction - batch.clean[:, 1:]) ** 2)

    def forecast(self, lookback: Tensor, horizon: int) -> Tensor:
        """Free-running continuation (B, horizon) of ``lookback`` (B, N), N >= 1."""
        check_lookback(lookback, horizon)
        one_step, state = self(lookback)
        forecast = [one_step[:, -1:]]
        while len(forecast) < horizon:
            one_step, state = self(forecast[-1], state)
            forecast.append(one_step)
        return torch.cat(forecast, dim=1)
