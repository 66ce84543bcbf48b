"""The examples in docstrings of the library run and print what they say."""

import doctest
from importlib import import_module

import pytest
import torch

import harmonics_lib

MODULES = (
    "adapters",
    "adapters.sklearn",
    "evaluation.grid",
    "evaluation.intervals",
    "evaluation.measured",
    "evaluation.scores",
    "forecasters.auto",
    "forecasters.base",
    "forecasters.baselines",
    "forecasters.recurrence",
    "forecasters.registry",
    "forecasters.sparse",
    "forecasters.wrappers",
    "networks.recurrent",
    "published.networks",
    "published.tables",
    "series.forecasts",
    "signals.process",
    "signals.waves",
    "testing",
    "training.loop",
    "training.run",
    "training.trainer",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = import_module(f"harmonics_lib.{name}")
    scope = {"torch": torch} | {public: getattr(harmonics_lib, public) for public in harmonics_lib.__all__}
    result = doctest.testmod(module, extraglobs=scope | vars(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
