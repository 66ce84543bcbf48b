"""Which class a network's name in ``config.json`` stands for."""

from torch import nn

from harmonics_lib.networks.recurrent import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork


def build(description: dict) -> nn.Module:
    """The network of a run's ``config.json``: ``{"class": its name, "settings": its arguments}``.

    Raises:
        ValueError: a network that is not of the library, but of the notebook that published it.
    """
    networks = {kind.__name__: kind for kind in (SmallLSTM, SentinelLSTM, Seq2SeqGRU, CurriculumGRU, WienerNetwork)}
    if description["class"] not in networks:
        raise ValueError(f"expected one of the networks {', '.join(networks)}, got {description['class']}")
    return networks[description["class"]](**description["settings"])
