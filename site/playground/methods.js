// The methods that the reader can switch on, each as one function of a window in any unit.

import { dftExtrapolation, linearMmse, noiseLevel } from "./classical.js";
import { LIMIT, linearPrediction } from "./linear_prediction.js";
import { HORIZON, LOOKBACK } from "./signals.js";
import { sparseBayesian } from "./sparse.js";

/** Greatest magnitude of a signal. */
export function peak(signal) {
  return signal.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

let linear = { told: null }; // of the process that the reader has set, for it takes a while

function mmse(window, { whole, shortest, longest }, white) {
  const process = { whole, shortest, longest };
  const told = JSON.stringify(process);
  if (linear.told !== told) {
    linear = { told, forecast: linearMmse(process, LOOKBACK, HORIZON, (x) => noiseLevel(x, white)) };
  }
  return linear.forecast(window);
}

const published = (name) => (window, process, white, networks) => networks[name](window, HORIZON);

/** The curriculum GRU that has learned the periods in question. */
const curriculum = ({ shortest }) => (shortest < 10 ? "curriculum_gru_2_99" : "curriculum_gru");

/**
 * Methods by the short names that links hold. ``style`` is the name that the report's figures give the method;
 * ``network`` the published network, if it is one, that it needs for a process.
 */
export const METHODS = {
  dft: { style: "DFT", forecast: (window) => dftExtrapolation(window, HORIZON) },
  prediction: { style: "linear prediction", forecast: (window, _, white) => linearPrediction(window, HORIZON, white) },
  mmse: { style: "linear MMSE", forecast: mmse },
  lstm: { style: "small LSTM", network: () => "small_lstm", forecast: published("small_lstm") },
  seq2seq: { style: "seq2seq GRU", network: () => "seq2seq_gru", forecast: published("seq2seq_gru") },
  curriculum: {
    style: "curriculum GRU",
    network: curriculum,
    forecast: (window, process, _, networks) => networks[curriculum(process)](window, HORIZON),
  },
  noise: { style: "noise network", network: () => "noise_network", forecast: published("noise_network") },
  sparse: {
    style: "sparse Bayesian",
    forecast: (window, process, white) => sparseBayesian(window, HORIZON, process, white),
  },
};

/**
 * The forecast (50,) of a window (100,) by one of ``METHODS``, held within three of the window's peaks; null where
 * the method finds none.
 *
 * @param process whole, shortest, longest: what the method is told of the periods.
 * @param white what ``noiseLevel`` measures in white noise of standard deviation 1.
 * @param networks the published networks, as far as they are loaded.
 */
export function forecast(name, window, process, white, networks) {
  const unit = peak(window) || 1;
  const scaled = window.map((value) => value / unit);
  const ahead = METHODS[name].forecast(scaled, process, white, networks);
  return ahead.every(Number.isFinite) ? ahead.map((value) => unit * Math.min(Math.max(value, -LIMIT), LIMIT)) : null;
}
