"""The networks: their sizes, their free-running continuation, and what their loss counts."""

import math

import pytest
import torch
from scipy import stats

from harmonics_lib import HarmonicProcess, random_stream
from harmonics_lib.networks.recurrent import (
    FEATURES,
    CurriculumGRU,
    SentinelLSTM,
    Seq2SeqGRU,
    SmallLSTM,
    dft_features,
    initialise,
)


def built(kind, **settings):
    network = kind(**settings)
    initialise(network, random_stream(0, "initialisation"))
    return network.double()


def batch(size=6, length=105, seed=0):
    return HarmonicProcess().sample(size, length, 100, generator=random_stream(seed, "test"), dtype=torch.float64)


@pytest.mark.parametrize("kind, parameters", [(SmallLSTM, 41_301), (Seq2SeqGRU, 45_415), (CurriculumGRU, 141_573)])
def test_parameter_counts(kind, parameters):
    assert sum(p.numel() for p in kind().parameters()) == parameters


def test_lstm_runs_on_its_own_predictions():
    """Against the definition: read everything again at each step, the predictions included."""
    network, signal = built(SmallLSTM), batch().past
    for _ in range(4):
        signal = torch.cat([signal, network(signal)[0][:, -1:]], dim=1)
    assert torch.allclose(network.forecast(signal[:, :100], 4), signal[:, 100:], atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 250])
def test_lstm_takes_a_lookback_of_any_length(length):
    assert built(SmallLSTM).forecast(batch(length=300).observed[:, :length], 3).shape == (6, 3)


def test_lstm_loss_counts_only_targets_that_exist():
    network, signals = SmallLSTM(4).double(), batch()
    by_hand = [(network(signals.observed[:, :n])[0][:, -1] - signals.clean[:, n]) ** 2 for n in range(1, 105)]
    assert network.loss(signals).item() == pytest.approx(torch.stack(by_hand).mean().item(), rel=1e-9)


@pytest.mark.parametrize("kind", [Seq2SeqGRU, CurriculumGRU])
def test_decoder_reads_the_truth_when_forced_and_itself_when_not(kind):
    network, signals = built(kind), batch()
    free = network(signals.past, 5)
    always = torch.ones(6, 4, dtype=torch.bool)
    assert torch.equal(network(signals.past, 5, ~always, signals.future), free)
    assert torch.allclose(network(signals.past, 5, always, free.detach()), free)
    forced = network(signals.past, 5, always, signals.future)
    assert torch.equal(forced[:, 0], free[:, 0]) and not torch.allclose(forced[:, 1:], free[:, 1:])


def test_a_sentinel_network_echoes_and_runs_on_reading_minus_two():
    """Against the definition: one step at a time, the state carried along."""
    network, signals = built(SentinelLSTM), batch(length=103)
    inputs = torch.cat([signals.past, torch.full((6, 3), -2.0, dtype=torch.float64)], dim=1)
    state, outputs = None, []
    for sample in inputs.T:
        hidden, state = network.lstm(sample[:, None, None], state)
        outputs.append(network.head(hidden)[:, 0])
    by_hand = torch.cat(outputs, dim=1)
    assert torch.allclose(network.forecast(signals.past, 3), by_hand[:, 100:], atol=1e-12)
    assert network.loss(signals).item() == pytest.approx(((by_hand - signals.clean) ** 2).mean().item(), rel=1e-9)


def test_a_sentinel_network_starts_remembering_and_its_second_biases_stay_zero():
    network = built(SentinelLSTM)
    assert torch.equal(network.lstm.bias_hh_l0[15:30], torch.ones(15, dtype=torch.float64))
    network.loss(batch()).backward()
    assert network.lstm.bias_ih_l0.grad is None and not network.lstm.bias_ih_l0.any()
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 4 * 15 * (1 + 15 + 1) + 15 + 1


def test_free_running_loss_is_the_error_of_the_forecast():
    network, signals = built(Seq2SeqGRU), batch()
    error = ((network.forecast(signals.past, 5) - signals.future) ** 2).mean()
    assert network.loss(signals).item() == pytest.approx(error.item())


def test_teacher_forcing_draws_from_its_generator_alone():
    network, signals = built(Seq2SeqGRU), batch()
    losses = [network.loss(signals, 0.5, random_stream(3, "forcing")) for _ in range(2)]
    assert losses[0] == losses[1] != network.loss(signals)


def test_step_h_weighs_one_over_h_and_the_weights_average_to_one():
    signals = batch()
    errors = ((built(CurriculumGRU).forecast(signals.past, 5) - signals.future) ** 2).mean(0)
    weights = torch.tensor([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], dtype=torch.float64)
    weighted = built(CurriculumGRU, step_weight=1).loss(signals)
    assert weighted.item() == pytest.approx(((errors * weights).sum() / weights.sum()).item())


@pytest.mark.parametrize("kind", [Seq2SeqGRU, CurriculumGRU])
def test_a_longer_lookback_is_cut_and_a_shorter_one_refused(kind):
    network, signals = built(kind), batch(length=130)
    assert torch.equal(network.forecast(signals.observed, 3), network.forecast(signals.observed[:, -100:], 3))
    with pytest.raises(ValueError, match="at least 100 samples, got 99"):
        network.forecast(signals.observed[:, :99], 3)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("encoder", [0, 10])
def test_every_part_of_the_seq2seq_network_can_be_left_out(features, encoder):
    assert built(Seq2SeqGRU, features=features, encoder=encoder).forecast(batch().past, 5).shape == (6, 5)


def with_bin_7(magnitude, angle, features):
    """Features (6, F) of the lookbacks whose seventh bin is set to this magnitude and angle."""
    spectrum = torch.fft.rfft(batch().past, norm="ortho")
    spectrum[:, 7] = torch.polar(torch.tensor(magnitude).double(), torch.tensor(angle).double())
    return dft_features(torch.fft.irfft(spectrum, n=100, norm="ortho"), features)


@pytest.mark.parametrize(
    "features, jumps, loud",
    [
        ("real_imag", False, False),
        ("samples", False, False),
        ("scaled_angle", True, False),
        ("magnitude_cosine", False, True),
        ("magnitude_angle", True, True),
    ],
)
def test_which_features_jump_at_the_cut_and_which_are_loud_where_there_is_nothing(features, jumps, loud):
    def change(magnitude, first, second):
        difference = with_bin_7(magnitude, second, features) - with_bin_7(magnitude, first, features)
        return difference.abs().amax(dim=1)

    across = change(1.0, math.pi - 1e-5, -math.pi + 1e-5)
    assert (across > 6).all() if jumps else (across < 1e-4).all()
    of_nothing = change(1e-6, 0.0, 2.0)
    assert (of_nothing > 0.9).all() if loud else (of_nothing < 1e-5).all()


@pytest.mark.parametrize("features", ["scaled_angle", "magnitude_cosine", "samples"])
def test_features_hold_the_whole_lookback(features):
    told, past = dft_features(batch().past, features), batch().past
    if features != "samples":
        magnitude, *angle = told.split(51, dim=1)
        angle = torch.atan2(*reversed(angle)) if features == "magnitude_cosine" else angle[0] / magnitude
        told = torch.fft.irfft(torch.polar(magnitude, angle), n=100, norm="ortho")
    assert torch.allclose(told, past, atol=1e-12)


def test_the_decoder_is_as_wide_as_it_is_asked_to_be_and_else_as_what_it_is_told():
    assert Seq2SeqGRU().width == Seq2SeqGRU("samples").width == 112
    assert Seq2SeqGRU("magnitude_cosine").width == Seq2SeqGRU(width=163).width == 163
    past = batch().past
    wide = built(Seq2SeqGRU, width=163)
    assert torch.equal(wide.encode(past)[:, 10:112], dft_features(past, "real_imag"))
    assert not wide.encode(past)[:, 112:].any()


def test_a_layer_of_an_unknown_kind_is_not_initialised():
    with pytest.raises(ValueError, match="got weights in a LayerNorm"):
        initialise(torch.nn.LayerNorm(3), random_stream(0, "initialisation"))


def test_initial_weights_have_pytorchs_distribution_and_come_from_the_generator():
    network, again = SmallLSTM(), SmallLSTM()
    for each in (network, again):
        initialise(each, random_stream(1, "initialisation"))
    assert torch.equal(network.lstm.weight_hh_l0, again.lstm.weight_hh_l0)
    bound = 1 / math.sqrt(100)
    weights = network.lstm.weight_hh_l0.detach().flatten().numpy()
    assert stats.kstest(weights, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    default = SmallLSTM().lstm.weight_hh_l0.detach().flatten().numpy()
    assert stats.ks_2samp(weights, default).pvalue > 1e-3
