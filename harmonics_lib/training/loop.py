"""The loop of every training: it can be killed at any moment, and goes on from its last checkpoint."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import torch
from torch import Tensor

from harmonics_lib.training.directory import RunDirectory, open_run, read_weights
from harmonics_lib.training.distributed import Ranks

#: ``steps(state)`` goes on from the state that it yielded last (None: from the beginning). It yields, after every
#: stretch, a row of the history (numbers by column) and a state: all that the next step depends on, in tensors and
#: plain data, with the weights that the network has come to under ``"weights"``.
Steps = Callable[[dict | None], Generator[tuple[dict, dict], None, None]]


def complete(path: Path | str, description: dict, steps: Steps, ranks: Ranks | None = None) -> dict[str, Tensor]:
    """Carry a training to its end in the directory ``path``, from where an earlier attempt was stopped.

    Each row is written when it is yielded, with a checkpoint. The weights of the last one are the result; they
    replace it. Of several processes (``ranks``) all take the steps, and the first one reads and writes.

    Returns:
        The final weights.

    Raises:
        RunError: the directory holds another run, is at work in another process, is damaged or cannot be written.
    """
    ranks = ranks or Ranks()
    with ExitStack() as stack:
        opened: list[RunDirectory] = []  # in the first process

        def begin() -> tuple[dict | None, dict | None]:
            opened.append(stack.enter_context(open_run(path, description)))
            return (read_weights(opened[0].path), None) if opened[0].finished else (None, opened[0].restore())

        weights, state = ranks.on_first(begin)
        if weights is not None:
            return weights
        for pair in stack.enter_context(closing(steps(state))):
            ranks.on_first(lambda pair=pair: opened[0].record(*pair))
        return ranks.on_first(lambda: opened[0].finish())


def snapshot(parts: Mapping, step: int) -> dict:
    """A state of networks, optimisers, schedules and random streams after so many steps.

    Example:
        >>> network = torch.nn.Linear(1, 1)
        >>> sorted(snapshot({"weights": network, "data": torch.Generator()}, step=5))
        ['data', 'step', 'weights']
    """
    return {"step": step} | {
        name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
        for name, part in parts.items()
    }


def restore(parts: Mapping, state: dict | None) -> int:
    """Put a ``snapshot`` back into these parts, if there is one; the number of steps that are done."""
    if state is None:
        return 0
    for name, part in parts.items():
        put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
        put(state[name])
    return state["step"]
