// Forward passes of the published networks, in double precision from their single-precision weights.

import { diagonalSums, dot, rms, times, toeplitzSolver } from "./linear_algebra.js";
import { bins, correlate, synthesise, waves } from "./spectrum.js";

const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const sum = (a, b) => a.map((value, i) => value + b[i]);

/** The parts (rows (M / parts, N) each, or vectors) that the gates of a recurrent cell have of its weights. */
function gates(weights, count) {
  const size = weights.length / count;
  return Array.from({ length: count }, (_, gate) => weights.slice(gate * size, (gate + 1) * size));
}

/** A fully connected layer: weights (M, N) times input (N,), plus biases (M,). */
function linear(weights, name, input) {
  return sum(times(weights[`${name}.weight`], input), weights[`${name}.bias`]);
}

/** Layers of these names with an activation between them. */
function layers(weights, names, input, activation) {
  return names.reduce((x, name, i) => linear(weights, name, i === 0 ? x : x.map(activation)), input);
}

const leaky = (value) => (value < 0 ? 0.01 * value : value);

/** What both halves of a recurrent cell make of one sample and its state: (gates * H,) each. */
function cellInputs(weights, prefix, suffix, sample, state) {
  const [fed, own] = [weights[`${prefix}weight_ih${suffix}`], weights[`${prefix}weight_hh${suffix}`]];
  const input = weights[`${prefix}bias_ih${suffix}`].map((bias, i) => bias + fed[i][0] * sample);
  return [input, sum(times(own, state), weights[`${prefix}bias_hh${suffix}`])];
}

/** The next state (H,) of a gated recurrent unit (Cho et al. 2014), in PyTorch's order of gates. */
function gru(weights, prefix, suffix, sample, state) {
  const [input, recurrent] = cellInputs(weights, prefix, suffix, sample, state).map((parts) => gates(parts, 3));
  return state.map((last, i) => {
    const [reset, update] = [0, 1].map((gate) => sigmoid(input[gate][i] + recurrent[gate][i]));
    const candidate = Math.tanh(input[2][i] + reset * recurrent[2][i]);
    return (1 - update) * candidate + update * last;
  });
}

/** The next state and memory of an LSTM cell (Hochreiter and Schmidhuber 1997), in PyTorch's order of gates. */
function lstm(weights, sample, { state, memory }) {
  const [input, forget, cell, output] = gates(sum(...cellInputs(weights, "lstm.", "_l0", sample, state)), 4);
  const next = memory.map((kept, i) => sigmoid(forget[i]) * kept + sigmoid(input[i]) * Math.tanh(cell[i]));
  return { state: next.map((value, i) => sigmoid(output[i]) * Math.tanh(value)), memory: next };
}

/** A function that hears a sample and predicts the next one: the small LSTM, which has heard nothing yet. */
function smallLstmListener({ weights, settings }) {
  const nothing = new Float64Array(settings.hidden);
  let cell = { state: nothing, memory: nothing };
  return (sample) => {
    cell = lstm(weights, sample, cell);
    return linear(weights, "head", cell.state)[0];
  };
}

/** The small LSTM: every sample predicts the next; beyond the window it runs on its own predictions. */
function smallLstm(trained, window, horizon) {
  const hear = smallLstmListener(trained);
  let next = Array.from(window, hear).at(-1);
  return Float64Array.from({ length: horizon }, (_, step) => (next = step === 0 ? next : hear(next)));
}

/** A GRU cell that is fed its own last prediction, and a head that reads the next one off its state. */
function decoded(weights, start, last, horizon, head) {
  let [state, sample] = [start, last];
  return Float64Array.from({ length: horizon }, () => {
    state = gru(weights, "decoder.cell.", "", sample, state);
    sample = layers(weights, head, state, leaky)[0];
    return sample;
  });
}

/** Real and imaginary parts of the unitary DFT. */
function dftFeatures(window) {
  const { re, im } = correlate(window, waves(bins(window.length), 0, window.length));
  const unit = Math.sqrt(window.length);
  return [...re.map((value) => value / unit), ...im.map((value) => -value / unit)];
}

/** The sequence-to-sequence GRU: its encoder's last state and DFT features are the decoder's first state. */
function seq2seqGru({ weights, settings }, window, horizon) {
  let encoded = new Float64Array(settings.encoder);
  for (const sample of window) encoded = gru(weights, "encoder.", "_l0", sample, encoded);
  const start = new Float64Array(weights["decoder.cell.weight_hh"][0].length);
  start.set([...encoded, ...dftFeatures(window)]);
  return decoded(weights, start, window.at(-1), horizon, ["decoder.head.0", "decoder.head.2"]);
}

/** The curriculum GRU: window and DFT features through three layers into the decoder. */
function curriculumGru({ weights }, window, horizon) {
  const features = Float64Array.from([...window, ...dftFeatures(window)]);
  const start = layers(weights, ["encoder.0", "encoder.2", "encoder.4"], features, leaky);
  return decoded(weights, start, window.at(-1), horizon, ["decoder.head.0", "decoder.head.2", "decoder.head.4"]);
}

const NOISE_RATIOS = [0.01, 0.1, 0.5]; // noise to signal, at which a window is whitened to begin with
const LEAST_NOISE = 1e-5; // variance, relative to the window's power
const relu = (value) => Math.max(value, 0);
const clamp = (value, most) => Math.min(Math.max(value, -most), most);

/** The noise network: it estimates the power at each frequency, and the rest is Wiener's linear forecast. */
function wienerNetwork({ weights, settings, tables }, window, horizon) {
  const length = window.length;
  const table = (tables.wiener ??= wienerTable(settings.spacing, length));
  const scale = rms(window) || 1;
  const x = window.map((value) => value / scale);
  let spectrum = firstGuess(weights, x, table);
  for (let refinement = 0; ; refinement++) {
    const power = spectrum.slice(0, -1).map(Math.exp);
    const lags = times(table.waves.cosines, power);
    lags[0] += Math.exp(spectrum.at(-1));
    const solve = toeplitzSolver(lags);
    const solved = solve(x);
    const { re, im } = correlate(solved, table.waves);
    if (refinement === settings.refinements) {
      const amplitudes = { re: re.map((value, g) => value * power[g]), im: im.map((value, g) => value * power[g]) };
      return synthesise(amplitudes, waves(table.frequencies, length, horizon)).map((value) => scale * value);
    }
    const found = re.map((value, g) => Math.log(value ** 2 + im[g] ** 2 + 1e-9));
    spectrum = refined(weights, `refine.${refinement}`, spectrum, found, dot(solved, solved), solve, table);
  }
}

/** Logarithms of the powers and, last, of the noise, from the window's whitened periodograms. */
function firstGuess(weights, x, { waves, whiteners, logMass }) {
  const energies = whiteners.map(({ solve, gains }) => {
    const { re, im } = correlate(solve(x), waves);
    return re.map((value, g) => 0.3 * Math.log((value ** 2 + im[g] ** 2) / gains[g] + 1e-7));
  });
  const start = [...logMass, Math.log(0.05)];
  return normalised(sum(start, change(weights, "guess", energies, [Math.log(0.05)], ["0", "3", "5"])));
}

/** The next spectrum, from the power found in C^-1 x at each frequency and the one that the last one expects. */
function refined(weights, name, spectrum, found, energy, solve, { waves, logMass }) {
  const sums = diagonalSums(solve(waves.cosines.map((_, t) => Number(t === 0))));
  const expected = correlate(sums, waves).re.map((value) => Math.log(Math.max(value, 1e-9)));
  const [power, noise] = [spectrum.slice(0, -1), spectrum.at(-1)];
  const unexplained = Math.log(energy / sums[0]);
  const features = [
    power.map((_, g) => clamp(0.5 * (found[g] - expected[g]), 6)),
    power.map((value, g) => 0.2 * (value + expected[g])),
    power.map((value, g) => 0.2 * (value - logMass[g])),
  ];
  const common = [0.2 * noise, clamp(0.5 * unexplained, 6)];
  return normalised(sum([...power, noise + unexplained], change(weights, name, features, common, ["0", "3"])));
}

/** What an update adds to the spectrum: the same small map at every frequency, and one across all of them. */
function change(weights, name, features, common, across) {
  const each = Array.from(features[0], (_, g) => features.map((feature) => feature[g]));
  let x = layerNorm(linear(weights, `${name}.across.0`, Float64Array.from([...each.flat(), ...common]))).map(relu);
  x = layers(weights, across.slice(1).map((layer) => `${name}.across.${layer}`), x, relu);
  const small = [`${name}.local.0`, `${name}.local.2`];
  const local = each.map((own) => layers(weights, small, Float64Array.of(...own, ...common), relu)[0]);
  return x.map((value, g) => 9 * Math.tanh((value + (local[g] ?? 0)) / 3));
}

function layerNorm(x) {
  const mean = x.reduce((total, value) => total + value) / x.length;
  const centred = x.map((value) => value - mean);
  return centred.map((value) => value / Math.sqrt(rms(centred) ** 2 + 1e-5));
}

/** Logarithmic powers of sum 1, the noise (last) of a least size. */
function normalised(spectrum) {
  const most = Math.max(...spectrum);
  const total = most + Math.log(spectrum.reduce((all, value) => all + Math.exp(value - most), 0));
  const result = Float64Array.from(spectrum, (value) => value - total);
  result[result.length - 1] = Math.max(result.at(-1), Math.log(LEAST_NOISE));
  return result;
}

/** What the noise network multiplies with: its frequencies, their waves and prior, and three whitening filters. */
function wienerTable(spacing, length) {
  const frequencies = dictionary(spacing);
  const [table, mass] = [waves(frequencies, 0, length), dictionaryPrior(frequencies)];
  const lags = times(table.cosines, mass);
  const whiteners = NOISE_RATIOS.map((ratio) => {
    const solve = toeplitzSolver(lags.map((lag, t) => (1 - ratio ** 2) * lag + (t === 0 ? ratio ** 2 : 0)));
    const sums = diagonalSums(solve(lags.map((_, t) => Number(t === 0))));
    return { solve, gains: correlate(sums, table).re };
  });
  return { frequencies, waves: table, whiteners, logMass: mass.map(Math.log) };
}

/** Frequencies in rising order: whole periods of 2 to 99, and gaps filled evenly. */
function dictionary(spacing) {
  const whole = Array.from({ length: 98 }, (_, i) => 1 / (99 - i));
  const filled = whole.slice(0, -1).flatMap((low, i) => {
    const steps = Math.ceil((whole[i + 1] - low) / spacing - 1e-9);
    return Array.from({ length: steps }, (_, step) => low + ((whole[i + 1] - low) * step) / steps);
  });
  return Float64Array.from([...filled, 0.5]);
}

/** Probabilities of the frequencies: one half whole periods, one half uniform periods gathered about each. */
function dictionaryPrior(frequencies) {
  const last = frequencies.length - 1;
  const edges = [frequencies[0], ...frequencies.slice(1).map((f, g) => (f + frequencies[g]) / 2), frequencies[last]];
  const continuous = frequencies.map((_, g) => 1 / edges[g] - 1 / edges[g + 1]);
  const whole = frequencies.map((f) => Number(Math.abs(1 / f - Math.round(1 / f)) < 1e-6));
  const shares = [whole, continuous].map((part) => part.map((value) => value / part.reduce((a, b) => a + b)));
  return sum(...shares).map((value) => value / 2);
}

const CLASSES = {
  SmallLSTM: smallLstm,
  Seq2SeqGRU: seq2seqGru,
  CurriculumGRU: curriculumGru,
  WienerNetwork: wienerNetwork,
};

/** What a network has learned, from what the build exports of it (see ``network``). */
function trainedNetwork({ settings, shapes }, numbers) {
  const weights = {};
  let at = 0;
  for (const [name, [rows, columns]] of shapes) {
    const take = (count) => Float64Array.from(numbers.subarray(at, (at += count)));
    weights[name] = columns ? Array.from({ length: rows }, () => take(columns)) : take(rows);
  }
  return { weights, settings, tables: {} };
}

/**
 * A forecaster ``(window (100,), horizon) -> (horizon,)`` from a network as the build exports it.
 *
 * @param description class and settings, as in the network's config.json; shapes, a list of [name, shape].
 * @param numbers all weights in that order, a Float32Array.
 */
export function network(description, numbers) {
  const trained = trainedNetwork(description, numbers);
  return (window, horizon) => CLASSES[description.class](trained, window, horizon);
}

/** A function that makes a new ``smallLstmListener`` of the small LSTM, exported in the same way. */
export function listeners(description, numbers) {
  const trained = trainedNetwork(description, numbers);
  return () => smallLstmListener(trained);
}
