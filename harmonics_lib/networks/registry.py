"""The networks of the library by name."""

from torch import nn

from harmonics_lib.networks.recurrent import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork

_NETWORKS = {kind.__name__: kind for kind in (SmallLSTM, SentinelLSTM, Seq2SeqGRU, CurriculumGRU, WienerNetwork)}


def network_class(name: str) -> type[nn.Module]:
    """The class of the library with that name.

    Raises:
        ValueError: there is none. A class that a notebook defines exists only in that notebook.
    """
    if name not in _NETWORKS:
        raise ValueError(f"expected one of the networks {', '.join(_NETWORKS)}, got {name}")
    return _NETWORKS[name]


def build(description: dict) -> nn.Module:
    """The network of a run's ``config.json``: ``{"class": its name, "settings": its arguments}``.

    Raises:
        ValueError: the network is not one of the library, for example because a notebook defines it.
    """
    return network_class(description["class"])(**description["settings"])
