"""Every method of the report is made by its name, in one place."""

import pytest
import torch

from harmonics_lib import HarmonicProcess, load_forecaster
from harmonics_lib.forecasters.registry import METHODS, Given, build
from harmonics_lib.published.networks import NETWORKS

MADE = [name for name, method in METHODS.items() if method.make is not None]
GIVEN = Given(HarmonicProcess((1, 3), (2, 20)), season=7)


@pytest.mark.parametrize("name", MADE)
def test_a_method_is_made_by_its_name(name):
    lookback = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    assert build(name, GIVEN, load_forecaster)(lookback, 3).shape == (2, 3)


def test_untrained_methods_are_all_different():
    built = [build(name, GIVEN) for name in MADE if not isinstance(METHODS[name].make, str)]
    assert len(set(built)) == len(built)


def test_a_method_has_what_it_is_given_and_networks_are_published():
    assert build("sparse Bayesian", GIVEN).process == GIVEN.process
    assert not build("linear MMSE, any period", GIVEN).process.integer_periods
    assert build("seasonal naive", GIVEN).season == 7
    assert {method.make for method in METHODS.values() if isinstance(method.make, str)} == set(NETWORKS)


@pytest.mark.parametrize("name, word", [("nothing", "one of"), ("truth", "only drawn"), ("small LSTM", "untrained")])
def test_what_cannot_be_made_is_refused(name, word):
    with pytest.raises(ValueError, match=word):
        build(name)
