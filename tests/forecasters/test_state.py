"""Forecasts leave the process as it was, and the state that it is in does not change them."""

import multiprocessing
import pickle
import threading
import warnings
from functools import partial

import pytest
import torch

from harmonics_lib import (
    HarmonicProcess,
    UnstableForecast,
    auto_forecaster,
    linear_mmse,
    linear_prediction,
    network_forecaster,
    persistence,
    window_forecaster,
)
from harmonics_lib.forecasters.base import cpu_threads
from harmonics_lib.networks.recurrent import CurriculumGRU, SmallLSTM
from harmonics_lib.networks.wiener import WienerNetwork

WHOLE, ANY = HarmonicProcess((1, 10)), HarmonicProcess((1, 10), integer_periods=False)
METHODS = {
    "linear prediction": linear_prediction(),
    "linear MMSE": linear_mmse(WHOLE),
    "auto": auto_forecaster(),
    "auto, whole": auto_forecaster(WHOLE),
    "auto, any": auto_forecaster(ANY),
}
NETWORKS = {"LSTM": partial(SmallLSTM, 4), "GRU": CurriculumGRU, "noise network": partial(WienerNetwork, 8)}


def windows(dtype=torch.float32):
    return torch.randn(3, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.fixture(autouse=True)
def one_process_as_it_was():
    threads, kind = torch.get_num_threads(), torch.get_default_dtype()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(kind)


def in_threads(count, work):
    """What ``work(number)`` returns in each of so many threads, which begin together."""
    results, start = [None] * count, threading.Barrier(count)

    def run(number):
        start.wait()
        results[number] = work(number)

    started = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results


def test_threads_that_forecast_at_once_keep_the_number_of_torch_threads_that_each_has():
    def work(number):
        torch.set_num_threads(4)
        forecaster, lookback = linear_prediction(), windows()
        for _ in range(5):
            forecaster(lookback, 3)
        return torch.get_num_threads()

    assert in_threads(6, work) == [4] * 6


def test_a_thread_that_starts_during_forecasts_has_as_many_torch_threads_as_others():
    torch.set_num_threads(3)
    found = []

    def estimate(x, horizon):
        inner = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        inner.start()
        inner.join()
        found.append(torch.get_num_threads())
        return x[:, :horizon]

    window_forecaster(estimate)(windows(), 3)
    assert found == [3, 1]
    assert torch.get_num_threads() == 3 and in_threads(2, lambda _: torch.get_num_threads()) == [3, 3]


def test_two_forecasts_that_overlap_leave_no_thread_with_one():
    """The first ends while the second goes on: whoever saves and sets back the number of all saves the other's 1."""
    torch.set_num_threads(2)
    inside, leave = threading.Event(), threading.Event()

    def first():
        with cpu_threads(1):
            inside.set()
            leave.wait()

    def second():
        inside.wait()
        with cpu_threads(1):
            leave.set()
            one.join()

    one, other = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    other.start()
    other.join()
    assert torch.get_num_threads() == 2 and in_threads(1, lambda _: torch.get_num_threads()) == [2]


@pytest.mark.parametrize("forecaster", METHODS.values(), ids=METHODS)
def test_the_number_of_threads_changes_no_forecast(forecaster):
    lookback = windows(torch.float64)
    answers = []
    for count in (1, 4):
        torch.set_num_threads(count)
        answers.append(forecaster(lookback, 5))
    assert torch.allclose(*answers, rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_network_first_used_in_inference_mode_goes_on_outside(make):
    network = make()
    forecaster, lookback = network_forecaster(network), windows()
    with torch.inference_mode():
        inside = forecaster(lookback, 3)
        forecaster(lookback.clone(), 3)
    assert torch.equal(forecaster(lookback, 3), inside)
    shift_weights(network)
    assert torch.equal(forecaster(lookback, 3), network_forecaster(network)(lookback, 3))
    assert not torch.equal(forecaster(lookback, 3), inside)


def shift_weights(network):
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.1)


def test_tables_that_are_first_made_in_inference_mode_serve_a_training():
    network = WienerNetwork(8, spacing=1 / 30)  # of its own, so that nothing is kept of it
    with torch.inference_mode():
        network_forecaster(network)(windows(), 3)
    batch = HarmonicProcess((1, 3), noise_std=0.1).sample(2, 110, 100, generator=torch.Generator().manual_seed(0))
    network.loss(batch).backward()
    assert all(torch.isfinite(weights.grad).all() for weights in network.guess.parameters())


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_weights_are_copied_only_when_they_have_changed(make, monkeypatch):
    network = make()
    forecaster, lookback = network_forecaster(network), windows()
    forecaster(lookback, 3)
    copies = list(forecaster._copies.values())
    forecaster(lookback, 3)
    assert [id(copied) for _, copied in forecaster._copies.values()] == [id(copied) for _, copied in copies]
    changes = {
        "in place": lambda: shift_weights(network),
        "other tensors": lambda: [setattr(weights, "data", weights.data + 0.1) for weights in network.parameters()],
        "a state that is loaded": lambda: network.load_state_dict(make().state_dict()),
    }
    for what, change in changes.items():
        change()
        assert torch.equal(forecaster(lookback, 3), network_forecaster(network)(lookback, 3)), what


@pytest.mark.parametrize("name", [*METHODS, *NETWORKS])
def test_autocast_changes_no_forecast(name):
    forecaster = METHODS[name] if name in METHODS else network_forecaster(NETWORKS[name]())
    plain = forecaster(windows(), 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(forecaster(windows(), 5), plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*METHODS, *NETWORKS])
def test_another_default_dtype_or_device_changes_no_forecast(name):
    forecaster = METHODS[name] if name in METHODS else network_forecaster(NETWORKS[name]())
    lookback = windows()
    plain = forecaster(lookback, 5)
    torch.set_default_dtype(torch.float64)
    assert torch.allclose(forecaster(lookback, 5), plain, rtol=0, atol=1e-6)
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        assert torch.allclose(forecaster(lookback, 5), plain, rtol=0, atol=1e-6)


def test_a_warning_of_a_worker_arrives():
    """One that cannot be unpickled stops a pool of processes for ever."""
    warning = UnstableForecast(2, 5)
    again = pickle.loads(pickle.dumps(warning))
    assert (str(again), again.count, again.total) == (str(warning), 2, 5)


def forecast_in_child(forecaster, lookback):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnstableForecast)
        return forecaster(lookback, 3)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="Windows cannot fork")
@pytest.mark.parametrize("name", ["linear prediction", "LSTM"])
def test_a_forked_process_forecasts_after_torch_has_used_many_threads(name):
    torch.set_num_threads(4)
    torch.randn(2000, 2000) @ torch.randn(2000, 2000)  # starts the threads that a child does not have
    forecaster = METHODS[name] if name in METHODS else network_forecaster(NETWORKS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            ahead = pool.apply_async(forecast_in_child, (forecaster, windows())).get(timeout=60)
    assert torch.allclose(ahead, forecaster(windows(), 3), rtol=0, atol=1e-6)


def test_persistence_of_a_parameter_has_no_gradient():
    assert not persistence()(torch.nn.Parameter(windows()), 3).requires_grad
