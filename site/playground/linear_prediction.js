// The recurrence that sums of sinusoids obey (Prony 1795): its weights by least squares, run on freely.

import { hankel, noiseLevel } from "./classical.js";
import { dot, rms, svd } from "./linear_algebra.js";

export const LIMIT = 3; // lookback peaks at which a forecast is held
const PERHAPS_CLEAN = 0.02; // above this noise, in lookback peaks, a window is not free of it
const MISS = 1e-3; // root mean square error, in lookback peaks, of a recurrence that has learned a window

/** Linear prediction, forward and backward, with a ridge for the noise. Sources: Makhoul (1975), Marple (1980). */
export function linearPrediction(window, horizon, white, order = 66) {
  const { equations, target } = predictionEquations(window, order);
  const ridge = equations.length * noiseLevel(window, white) ** 2;
  const parts = svd(equations);
  const least = 1e-15 * Math.hypot(parts.singular[0], Math.sqrt(ridge));
  const gain = (value) => (Math.hypot(value, Math.sqrt(ridge)) > least ? value / (value * value + ridge) : 0);
  return runOn(window, solution(parts, target, gain), horizon);
}

/**
 * The continuation of a window that is free of noise, or null where one is not.
 *
 * Free of noise is a window whose recurrence, learned without its first tenth, runs back over that tenth.
 */
export function continueClean(window, horizon, white) {
  if (noiseLevel(window, white) >= PERHAPS_CLEAN) return null;
  const tenth = Math.floor(window.length / 10);
  const first = window.slice(0, tenth).reverse();
  const back = recurrence(window.slice(tenth).reverse(), tenth);
  return rms(back.map((value, i) => value - first[i])) < MISS ? recurrence(window, horizon) : null;
}

/** Linear prediction within the singular vectors that stand out of the noise. Source: Tufts and Kumaresan (1982). */
function recurrence(window, horizon) {
  const { equations, target } = predictionEquations(window, Math.floor((2 * window.length) / 3));
  const parts = svd(equations);
  const rank = signalRank(parts.singular, equations.length);
  const gain = (value, j) => (j < rank && value > 1e-15 * parts.singular[0] ? 1 / value : 0);
  return runOn(window, solution(parts, target, gain), horizon);
}

/** The samples before each target, nearest first, and the targets; forward in time, then backward. */
function predictionEquations(window, order) {
  const rows = hankel(window, order + 1);
  return {
    equations: [...rows.map((row) => row.slice(0, order).reverse()), ...rows.map((row) => row.slice(1))],
    target: Float64Array.from([...rows.map((row) => row[order]), ...rows.map((row) => row[0])]),
  };
}

function solution({ singular, left, right }, target, gain) {
  const weights = new Float64Array(right[0].length);
  singular.forEach((value, j) => {
    const part = gain(value, j) * dot(left[j], target);
    for (let i = 0; i < weights.length; i++) weights[i] += part * right[j][i];
  });
  return weights;
}

function runOn(window, weights, horizon) {
  const signal = [...window];
  for (let step = 0; step < horizon; step++) {
    const next = weights.reduce((sum, weight, k) => sum + weight * signal[signal.length - 1 - k], 0);
    signal.push(Math.min(Math.max(next, -LIMIT), LIMIT));
  }
  return Float64Array.from(signal.slice(window.length));
}

/**
 * How many singular values, in falling order, noise cannot explain: the minimum description length of
 * Wax and Kailath (1985) for ``snapshots`` vectors.
 */
function signalRank(singular, snapshots) {
  const size = singular.length;
  const floor = Number.EPSILON * Math.max(singular[0], Number.MIN_VALUE);
  let [sum, logs, rank, least] = [0, 0, size, Infinity];
  for (let k = size - 1; k >= 0; k--) {
    const eigenvalue = Math.max(singular[k], floor) ** 2;
    sum += eigenvalue;
    logs += Math.log(eigenvalue);
    const count = size - k;
    const misfit = snapshots * count * (Math.log(sum / count) - logs / count);
    const description = misfit + 0.5 * k * (2 * size - k) * Math.log(snapshots);
    if (description <= least) [rank, least] = [k, description];
  }
  return rank;
}
