// Forecasters in closed form: the DFT run on, and the best linear forecast; and the estimate of the noise.

import { byHalves, dot, halves, rms, svd, times } from "./linear_algebra.js";
import { prior } from "./signals.js";
import { bins, harmonics, synthesise, waves } from "./spectrum.js";

/** The cosines and sines of the window's DFT, run on beyond it: (horizon,). */
export function dftExtrapolation(window, horizon) {
  return synthesise(harmonics(window), waves(bins(window.length), window.length, horizon));
}

/** Rows of ``columns`` consecutive samples, one starting at each. */
export function hankel(window, columns) {
  return Array.from({ length: window.length - columns + 1 }, (_, i) => window.slice(i, i + columns));
}

/**
 * Standard deviation of white noise in a window (N,), from the smallest quarter of the singular values of its
 * Hankel matrix of N / 3 + 1 columns, relative to ``white``, what white noise of standard deviation 1 has there.
 */
export function noiseLevel(window, white) {
  const { singular } = svd(hankel(window, Math.floor(window.length / 3) + 1));
  return rms(singular.slice(-Math.floor(singular.length / 4))) / white;
}

/**
 * A forecaster of least mean squared error under the covariance of a process, among all linear ones.
 *
 * Source: Wiener (1949). The window's covariance is taken apart once; the noise is estimated for each window.
 *
 * @param process whole, shortest, longest: what the periods may be.
 * @param noise estimates the standard deviation of the noise of a window.
 */
export function linearMmse(process, length, horizon, noise) {
  const { frequencies, mass } = prior(process, 1 / (16 * (length + horizon)));
  const covariance = times(waves(frequencies, 0, length + horizon).cosines, mass);
  const [even, odd] = halves(covariance.slice(0, length)).map(svd); // symmetric: eigenvalues and eigenvectors
  const largest = Math.max(even.singular[0], odd.singular[0]);
  return (window) => {
    const power = dot(window, window) / length;
    const variance = noise(window) ** 2;
    const ratio = variance / Math.max(power - variance, 1e-3 * power, Number.MIN_VALUE);
    // What the process cannot produce is no signal, however small the noise: not to be divided by rounding.
    const gain = (eigenvalue) => 1 / Math.max(eigenvalue + ratio, 1e-11 * largest);
    const weights = byHalves(window, inverse(even, gain), inverse(odd, gain));
    return Float64Array.from({ length: horizon }, (_, step) =>
      weights.reduce((sum, weight, t) => sum + weight * covariance[length + step - t], 0),
    );
  };
}

function inverse({ singular, right }, gain) {
  return (vector) => {
    const result = new Float64Array(vector.length);
    right.forEach((eigenvector, j) => {
      const weight = gain(singular[j]) * dot(eigenvector, vector);
      for (let i = 0; i < result.length; i++) result[i] += weight * eigenvector[i];
    });
    return result;
  };
}
