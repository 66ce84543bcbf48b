// The recurrence that sums of sinusoids obey (Prony 1795): its weights by least squares, run on freely.

import { hankel, noiseLevel } from "./classical.js";
import { dot, svd } from "./linear_algebra.js";

export const LIMIT = 3; // lookback peaks at which a forecast is held

/** Linear prediction, forward and backward, with a ridge for the noise. Sources: Makhoul (1975), Marple (1980). */
export function linearPrediction(window, horizon, white, order = 66) {
  const { equations, target } = predictionEquations(window, order);
  const ridge = equations.length * noiseLevel(window, white) ** 2;
  const parts = svd(equations);
  const least = 1e-15 * Math.hypot(parts.singular[0], Math.sqrt(ridge));
  const gain = (value) => (Math.hypot(value, Math.sqrt(ridge)) > least ? value / (value * value + ridge) : 0);
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
