// Sparse Bayesian forecasting: few sinusoids of unknown periods, averaged over what they may be.
//
// Each frequency of a dictionary is either absent or has Gaussian amplitudes of cosine and sine (a spike and a
// slab). Sources: Minka (2001) for expectation propagation, Hernandez-Lobato et al. (2013) for spikes and slabs
// in groups, Yang et al. (2013) for frequencies off the grid.

import { noiseLevel } from "./classical.js";
import { cholesky, diagonalSums, dot, rms, solveCholesky, times, toeplitz, toeplitzSolver } from "./linear_algebra.js";
import { fitSinusoids } from "./nonlinear.js";
import { prior } from "./signals.js";
import { correlate, synthesise, waves } from "./spectrum.js";

const LEAST_NOISE = 1e-6; // variance, relative to the window's power: below, rounding decides forecasts
const COMPONENTS = [1, 45]; // what their number may be
const ITERATIONS = 30;
const SLACK = 1.3; // of the slab's variance: the components that are seen are the stronger ones
const KEPT = 64; // frequencies that may leave the grid
const TOLERANCE = 1.1; // unexplained variance that a move off the grid may leave, relative to that before it
const FEW = [TOLERANCE, 1.1, 1.03]; // the same for a start from so many sinusoids
const ABSENT = 1e6; // precision of what is taken for absent, relative to the window's power
const MOVES = 4; // off the grid
const STEPS_A_MOVE = 5; // of expectation propagation

/** The mean of the future under a prior of few sinusoids from the process (whole, shortest, longest): (horizon,). */
export function sparseBayesian(window, horizon, process, white) {
  const scale = rms(window) || 1;
  const { frequencies, belief } = fit(
    window.map((value) => value / scale),
    process,
    white,
  );
  const { mean } = gaussian(belief, waves(frequencies, 0, window.length));
  return synthesise(mean, waves(frequencies, window.length, horizon)).map((value) => scale * value);
}

function fit(window, process, white) {
  const length = window.length;
  const { frequencies, mass } = prior(process, 1 / (4 * length));
  const table = waves(frequencies, 0, length);
  const onGrid = process.whole || frequencies.length === 1;
  const belief = beliefs(window, mass, table, white, onGrid ? ITERATIONS : ITERATIONS / 2).at(-1);
  if (onGrid) return { frequencies, belief };
  const ends = [1 / process.longest, 1 / process.shortest];
  return leaveGrid(...strongest(belief, table, frequencies), ends, (ends[1] - ends[0]) / frequencies.length);
}

/** What is believed of a window of power 1 before and after each of so many steps of expectation propagation. */
function beliefs(window, mass, table, white, steps) {
  const found = [priorBelief(window, mass, Math.min(noiseLevel(window, white) ** 2, 0.5))];
  for (let step = 0; step < steps; step++) found.push(propagated(found[step], table, step === 0));
  return found;
}

/**
 * What is believed of a window of whole periods, before and after each of 30 steps: the probability of each period,
 * the standard deviation of the noise in the window's unit, and the count of components.
 */
export function beliefsByStep(window, process, white) {
  const scale = rms(window) || 1;
  const { frequencies, mass } = prior(process);
  const table = waves(frequencies, 0, window.length);
  const scaledWindow = window.map((value) => value / scale);
  return beliefs(scaledWindow, mass, table, white, ITERATIONS).map((belief) => ({
    probabilities: belief.probabilities,
    noise: scale * Math.sqrt(belief.noise),
    count: belief.count,
  }));
}

/**
 * A belief about a window of power 1: a factor exp(-precision |a|² / 2 + Re(conj(shift) a)) for the amplitude a of
 * each frequency, the probability ``mass`` of each for one component, the ``probabilities`` that each is present, the
 * expected ``count`` of components, and the variance of the noise.
 */
function priorBelief(window, mass, noise) {
  const [count, nothing] = [Math.sqrt(COMPONENTS[0] * COMPONENTS[1]), mass.map(() => 0)];
  const belief = { window, mass, noise: Math.max(noise, LEAST_NOISE), count, shift: { re: nothing, im: nothing } };
  const { present, variance } = slab(belief);
  const precision = present.map((probability, p) => 1 / (probability * variance[p]));
  return { ...belief, probabilities: present, precision };
}

/**
 * The probability that a frequency is present, and the variance of its amplitudes if it is. Components fall on
 * frequencies like Poisson points, and share the power that is not noise.
 */
function slab({ mass, count, noise }) {
  const present = mass.map((share) => -Math.expm1(-count * share));
  const power = Math.max(1 - noise, 0.05);
  return { present, variance: mass.map((share, p) => (SLACK * power * share) / present[p]) };
}

/** The posterior of the amplitudes under the factors. Sources: Musicus (1985), MacKay (1992) for the noise. */
function gaussian({ window, precision, shift, noise }, table) {
  const variance = precision.map((value) => 1 / value);
  const start = scaled(shift, variance);
  const lags = times(table.cosines, variance);
  lags[0] += noise;
  const explained = synthesise(start, table);
  const rest = window.map((value, t) => value - explained[t]);
  const solve = toeplitzSolver(lags);
  const solved = solve(rest);
  const traces = correlate(diagonalSums(solve(window.map((_, t) => Number(t === 0)))), table).re;
  const gradient = scaled(correlate(solved, table), variance);
  const sum = (a, b) => a.map((value, p) => value + b[p]);
  return {
    mean: { re: sum(start.re, gradient.re), im: sum(start.im, gradient.im) },
    variance: variance.map((value, p) => Math.max(value - (value ** 2 * traces[p]) / 2, 1e-12)),
    unexplained: (noise ** 2 * dot(solved, solved)) / Math.max(window.length - dot(variance, traces), 1),
    lags,
    rest,
  };
}

function scaled({ re, im }, factors) {
  return { re: re.map((value, p) => factors[p] * value), im: im.map((value, p) => factors[p] * value) };
}

/**
 * One step of expectation propagation on all frequencies at once. Each factor is taken out of the posterior, the
 * spike and slab put in its place, and the factor becomes the one that gives the same mean and variance.
 */
function propagated(belief, table, first = false, damping = 0.5) {
  const posterior = gaussian(belief, table);
  const noise = first ? belief.noise : clamp(posterior.unexplained, LEAST_NOISE, 0.9);
  const { present, variance: slabs } = slab({ ...belief, noise });
  const next = { precision: belief.precision.slice(), re: belief.shift.re.slice(), im: belief.shift.im.slice() };
  const probabilities = new Float64Array(present.length);
  let expected = 0;
  for (let p = 0; p < present.length; p++) {
    const factor = { precision: belief.precision[p], re: belief.shift.re[p], im: belief.shift.im[p] };
    const marginal = { variance: posterior.variance[p], re: posterior.mean.re[p], im: posterior.mean.im[p] };
    const { probability, ...matched } = matchedFactor(factor, marginal, present[p], slabs[p]);
    for (const name in next) next[name][p] += (first ? 1 : damping) * (matched[name] - next[name][p]);
    probabilities[p] = probability;
    expected += (probability * belief.count * belief.mass[p]) / present[p];
  }
  const count = first ? belief.count : clamp(belief.count + damping * (expected - belief.count), ...COMPONENTS);
  const shift = { re: next.re, im: next.im };
  return { ...belief, noise, precision: next.precision, shift, count, probabilities };
}

/** The factor of one amplitude that matches the moments of spike and slab in its cavity. */
function matchedFactor(factor, marginal, present, slab) {
  const cavity = Math.max(1 / marginal.variance - factor.precision, 1e-6); // precision
  const re = (marginal.re / marginal.variance - factor.re) / cavity;
  const im = (marginal.im / marginal.variance - factor.im) / cavity;
  const square = re ** 2 + im ** 2;
  const shrink = (slab * cavity) / (1 + slab * cavity);
  const odds = Math.log(present) - Math.log1p(-present) - Math.log1p(slab * cavity) + 0.5 * square * cavity * shrink;
  const probability = 1 / (1 + Math.exp(-odds));
  const mean = probability * shrink;
  const power = probability * (shrink ** 2 * square + (2 * shrink) / cavity);
  const variance = Math.max((power - mean ** 2 * square) / 2, 1e-12);
  const precision = Math.min(Math.max(1 / variance - cavity, 1 / (10 * slab)), 1e13);
  const shift = mean * (precision + cavity) - cavity;
  return { probability, precision, re: shift * re, im: shift * im };
}

/** The belief with its noise re-estimated, and the variance that is left unexplained. */
function explained(belief, table) {
  const noise = clamp(gaussian(belief, table).unexplained, LEAST_NOISE, 0.9);
  return [{ ...belief, noise }, noise];
}

/** The belief about the frequencies of the largest expected power, and these; all others are absent. */
function strongest(belief, table, grid) {
  const { mean, variance } = gaussian(belief, table);
  const power = variance.map((value, p) => mean.re[p] ** 2 + mean.im[p] ** 2 + 2 * value);
  const order = Array.from(power.keys()).sort((p, q) => power[q] - power[p]);
  const kept = order.slice(0, KEPT).sort((p, q) => p - q);
  const pick = (values) => Float64Array.from(kept, (p) => values[p]);
  const shift = { re: pick(belief.shift.re), im: pick(belief.shift.im) };
  return [{ ...belief, mass: pick(belief.mass), precision: pick(belief.precision), shift }, pick(grid)];
}

/**
 * Frequencies, moved from the grid to where the window has its own, and the belief there. Gauss-Newton moves all;
 * where nonlinear least squares finds few sinusoids, these are the first move. What leaves more unexplained is
 * taken back, and a step then tried at half its length.
 */
function leaveGrid(start, grid, ends, cell) {
  const length = start.window.length;
  let [frequencies, reach] = [grid, 1];
  let [belief, unexplained] = explained(start, waves(grid, 0, length));
  for (let move = 0; move < MOVES; move++) {
    let next = moved(belief, frequencies, grid, cell, reach);
    if (move === 0) next = fromFew(next, ends) ?? next;
    const table = waves(next.frequencies, 0, length);
    for (let step = 0; step < STEPS_A_MOVE; step++) next.belief = propagated(next.belief, table);
    const [tried, left] = explained(next.belief, table);
    const better = left <= next.tolerance * unexplained;
    if (better) [belief, frequencies, unexplained] = [tried, next.frequencies, left];
    else reach /= 2;
  }
  return { frequencies, belief };
}

/** A Gauss-Newton step of all frequencies, which may lie up to a cell from their place on the grid. */
function moved(belief, frequencies, grid, cell, reach) {
  const length = belief.window.length;
  const table = waves(frequencies, 0, length);
  const { mean, lags, rest } = gaussian(belief, table);
  const slopes = changes(table, mean, length);
  const displaced = frequencies.map((f, p) => f - grid[p]);
  const covariance = toeplitz(lags);
  covariance.forEach((row, t) => row.forEach((_, s) => (row[s] += (cell ** 2 / 12) * dot(slopes[t], slopes[s]))));
  const solved = solveCholesky(
    cholesky(covariance),
    times(slopes, displaced).map((value, t) => rest[t] + value),
  );
  const step = displaced.map((from, p) => {
    const to = (cell ** 2 / 12) * solved.reduce((sum, value, t) => sum + value * slopes[t][p], 0);
    return reach * (clamp(to, -cell, cell) - from);
  });
  const shift = turned(
    belief.shift,
    step.map((value) => Math.PI * value * (length - 1)),
  );
  return { belief: { ...belief, shift }, frequencies: frequencies.map((f, p) => f + step[p]), tolerance: TOLERANCE };
}

/** How the signal changes with each frequency, (N, P), while phases are kept at the middle of the window. */
function changes({ cosines, sines }, { re, im }, length) {
  return cosines.map((cosine, t) =>
    cosine.map((_, p) => 2 * Math.PI * (t - (length - 1) / 2) * (im[p] * cosine[p] - re[p] * sines[t][p])),
  );
}

function turned({ re, im }, angles) {
  const [cosine, sine] = [angles.map(Math.cos), angles.map(Math.sin)];
  return {
    re: re.map((value, p) => value * cosine[p] - im[p] * sine[p]),
    im: re.map((value, p) => value * sine[p] + im[p] * cosine[p]),
  };
}

/** The same belief with only what nonlinear least squares finds present, if that is few; else null. */
function fromFew({ belief, frequencies }, ends) {
  const found = fitSinusoids(belief.window, FEW.length, ends);
  if (found.length === 0 || found.length >= FEW.length) return null;
  const [precision, placed] = [frequencies.map(() => ABSENT), frequencies.slice()];
  const { variance } = slab(belief);
  for (const frequency of found) {
    const distances = frequencies.map((f) => Math.abs(f - frequency));
    const place = distances.indexOf(distances.reduce((a, b) => Math.min(a, b)));
    [precision[place], placed[place]] = [0.1 / variance[place], frequency];
  }
  const nothing = frequencies.map(() => 0);
  const started = { ...belief, precision, shift: { re: nothing, im: nothing } };
  return { belief: started, frequencies: placed, tolerance: FEW[found.length] };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
