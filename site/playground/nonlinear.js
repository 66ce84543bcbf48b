// Nonlinear least squares: sinusoids of any period, found one by one and refined together.

import { cholesky, dot, rms, solveCholesky, transposed } from "./linear_algebra.js";
import { correlate, waves } from "./spectrum.js";

const OVERSAMPLING = 8; // of the periodogram in which a new sinusoid is looked for
const STEPS = 6; // of Gauss-Newton after each new sinusoid
const PATIENCE = 2; // sinusoids in a row that may fail to pay before the search ends
const FLOOR = 1e-26; // mean square of what rounding leaves of a window of peak 1

/**
 * The frequencies, at most so many, of the sinusoids that fit a window best by the Bayesian information criterion.
 *
 * Sources: Li and Stoica (1996), RELAX; Djuric (1996) for the criterion.
 */
export function fitSinusoids(window, most, [low, high]) {
  let [best, kept, failures, found, rest] = [criterion(window, 0), [], 0, [], window];
  for (let count = 1; count <= most && failures < PATIENCE && 3 * count < window.length; count++) {
    [found, rest] = refined([...found, peak(rest, low, high)], window, low, high);
    const value = criterion(rest, count);
    failures = value < best ? 0 : failures + 1;
    if (value < best) [best, kept] = [value, found];
  }
  return kept;
}

function criterion(rest, count) {
  const length = rest.length;
  return length * Math.log(Math.max(rms(rest) ** 2, FLOOR)) + 5 * count * Math.log(length);
}

/** The frequency of the highest point of the periodogram within a range. */
function peak(rest, low, high) {
  const size = OVERSAMPLING * rest.length;
  const inside = Array.from({ length: size / 2 + 1 }, (_, k) => k / size).filter((f) => f >= low && f <= high);
  const { re, im } = correlate(rest, centredWaves(inside, rest.length));
  const powers = re.map((value, k) => value ** 2 + im[k] ** 2);
  return inside[powers.indexOf(powers.reduce((a, b) => Math.max(a, b)))];
}

/** Frequencies after steps of Gauss-Newton, each made only where it lowers the residual, and that residual. */
function refined(frequencies, window, low, high) {
  const reach = 0.25 / window.length;
  let [found, fit] = [frequencies, amplitudes(frequencies, window)];
  for (let step = 0; step < STEPS; step++) {
    const columns = [...fit.columns, ...slopes(fit, window.length)];
    const solved = leastSquares(columns, fit.rest, 1e-9).slice(2 * found.length);
    const moved = found.map((f, k) => clamp(f + clamp(solved[k], -reach, reach), low, high));
    const tried = amplitudes(moved, window);
    if (dot(tried.rest, tried.rest) <= dot(fit.rest, fit.rest)) [found, fit] = [moved, tried];
  }
  return [found, fit.rest];
}

/** Least squares for given frequencies: {re, im} of each, the columns (cosines, then sines), and the residual. */
function amplitudes(frequencies, window) {
  const { cosines, sines } = centredWaves(frequencies, window.length);
  const columns = [...transposed(cosines), ...transposed(sines)];
  const solved = leastSquares(columns, window, 1e-11);
  const rest = window.map((value, t) => columns.reduce((left, column, k) => left - solved[k] * column[t], value));
  return { re: solved.slice(0, frequencies.length), im: solved.slice(frequencies.length), columns, rest };
}

/** How the signal changes with each frequency. */
function slopes({ re, im, columns }, length) {
  return Array.from(re, (_, k) => {
    const [cosine, sine] = [columns[k], columns[re.length + k]];
    return cosine.map((_, t) => 2 * Math.PI * (t - (length - 1) / 2) * (im[k] * cosine[t] - re[k] * sine[t]));
  });
}

/** Waves whose phase is 0 in the middle of the window: phase and frequency decouple. */
function centredWaves(frequencies, length) {
  return waves(frequencies, -(length - 1) / 2, length);
}

/** Least squares of a vector on columns of any scale, damped relative to each column's power. */
function leastSquares(columns, target, damping) {
  const scale = columns.map((column) => Math.sqrt(Math.max(dot(column, column), Number.MIN_VALUE)));
  const normal = columns.map((a, i) =>
    Float64Array.from(columns, (b, j) => dot(a, b) / scale[i] / scale[j] + (i === j ? damping : 0)),
  );
  const solved = solveCholesky(
    cholesky(normal),
    columns.map((column, i) => dot(column, target) / scale[i]),
  );
  return solved.map((value, i) => value / scale[i]);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
