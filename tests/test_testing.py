"""Every forecaster of the report keeps what callers rely on; one that does not is told what is wrong."""

import pytest
import torch

from harmonics_lib import (
    HarmonicProcess,
    auto_forecaster,
    autoregression,
    check_forecaster,
    dft_extrapolation,
    linear_mmse,
    linear_prediction,
    matrix_pencil,
    network_forecaster,
    persistence,
    sparse_bayesian,
)
from harmonics_lib.forecasters.nonlinear import nonlinear_least_squares
from harmonics_lib.forecasters.recurrence import burg, cadzow, tufts_kumaresan
from harmonics_lib.networks.recurrent import CurriculumGRU, SentinelLSTM, Seq2SeqGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork
from harmonics_lib.testing import ForecasterError

WHOLE, ANY = HarmonicProcess((1, 10)), HarmonicProcess((1, 10), integer_periods=False)
FORECASTERS = {
    "persistence": persistence(),
    "DFT": dft_extrapolation(),
    "tapered DFT": dft_extrapolation("hann"),
    "linear MMSE": linear_mmse(WHOLE),
    "linear prediction": linear_prediction(),
    "linear prediction without a ridge": linear_prediction(ridge=0.0),
    "Tufts and Kumaresan": tufts_kumaresan(),
    "autoregression": autoregression(),
    "Burg": burg(),
    "matrix pencil": matrix_pencil(),
    "Cadzow": cadzow(),
    "nonlinear least squares": nonlinear_least_squares(),
    "sparse Bayesian": sparse_bayesian(WHOLE),
    "sparse Bayesian of any period": sparse_bayesian(ANY),
    "auto": auto_forecaster(),
    "auto of whole periods": auto_forecaster(WHOLE),
    "small LSTM": network_forecaster(SmallLSTM(4)),
    "sentinel LSTM": network_forecaster(SentinelLSTM(4)),
    "seq2seq GRU": network_forecaster(Seq2SeqGRU()),
    "curriculum GRU": network_forecaster(CurriculumGRU()),
    "noise network": network_forecaster(WienerNetwork(8)),
}


@pytest.mark.parametrize("forecaster", FORECASTERS.values(), ids=FORECASTERS)
def test_every_forecaster_of_ours_is_one(forecaster):
    check_forecaster(forecaster)


def test_a_method_that_is_told_the_noise_has_a_unit():
    told = linear_mmse(WHOLE, noise_std=0.1)
    check_forecaster(told, any_unit=False)
    with pytest.raises(ForecasterError, match="forecasts 1e-12 times as large for windows 1e-12 times as large"):
        check_forecaster(told)


def last(lookback, horizon):
    """Persistence, as a newcomer writes it: no check, but right."""
    return lookback[:, -1:].repeat(1, horizon)


def changing(lookback, horizon):
    ahead = last(lookback, horizon)
    lookback.zero_()
    return ahead


FAULTS = {
    "expected a ValueError or a TypeError for a missing value, got a forecast": last,
    "got list": lambda x, horizon: last(x, horizon).tolist(),
    r"expected a tensor of shape \(5, 1\), got \(5, 2\)": lambda x, horizon: last(x, horizon + 1),
    "expected torch.float64 on cpu as the lookback is, got torch.float32 on cpu": lambda x, horizon: last(
        x, horizon
    ).float(),
    "expected the lookback to stay unchanged": changing,
    "do not depend on the other windows": lambda x, horizon: last(x - x.mean(), horizon),
    "expected forecasts that do not depend on the order of the windows": lambda x, horizon: (
        last(x, horizon) * torch.arange(len(x))[:, None]
    ),
    "it changes from call to call": lambda x, horizon: last(x, horizon) + torch.rand(len(x), 1),
    "expected forecasts 1000 times as large": lambda x, horizon: last(x, horizon).tanh(),
    "NaN or infinity for windows of zeros": lambda x, horizon: last(x, horizon) / x.abs().amax(dim=1, keepdim=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said(fault):
    with pytest.raises(ForecasterError, match=fault):
        check_forecaster(FAULTS[fault])
