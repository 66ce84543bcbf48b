"""The loop of every training, which can be killed at any moment and resumes from its last checkpoint."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import torch
from torch import Tensor

from harmonics_lib.training.directory import RunDirectory, open_run, read_weights
from harmonics_lib.training.distributed import Ranks

#: ``steps(state)`` resumes from the state that it yielded last (None: from the beginning). At every checkpoint it
#: yields a row of the history (numbers by column) and a state. The state is everything that the next step depends on,
#: as tensors and plain data, with the current weights of the network under ``"weights"``.
Steps = Callable[[dict | None], Generator[tuple[dict, dict], None, None]]


def complete(path: Path | str, description: dict, steps: Steps, ranks: Ranks | None = None) -> dict[str, Tensor]:
    """Run a training to its end in the directory ``path``, resuming an earlier attempt.

    Each yielded row is written with a checkpoint. At the end the weights replace the last checkpoint.
    With several processes (``ranks``) all take the steps, and the first one reads and writes.

    Returns:
        The final weights.

    Raises:
        RunError: the directory contains another run, is in use by another process, is damaged or cannot be written.
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
    """The state of networks, optimisers, schedules and random streams after ``step`` steps.

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
    """Load a ``snapshot``, if there is one, into these parts.

    Returns:
        The number of steps taken so far.
    """
    if state is None:
        return 0
    for name, part in parts.items():
        put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
        put(state[name])
    return state["step"]
