// What a state shows: the window, what comes after it, and in words what is seen.

import { short } from "./chart.js";
import { peak } from "./methods.js";
import { bins, harmonics } from "./spectrum.js";
import { drawSignal, HORIZON, LOOKBACK } from "./signals.js";

/**
 * The picture of a state: ``window`` (100,) about its ``mean``; ``truth`` (50,) about the same, or null where nobody
 * knows; ``sinusoids`` that it is made of, or null; ``unit``, its peak; ``amplitudes`` (51,) of the DFT's bins.
 */
export function pictureOf(state) {
  const { observed, clean, sinusoids } = state.series ? own(state.series) : drawSignal(state);
  const samples = observed.slice(0, LOOKBACK);
  const mean = state.series ? samples.reduce((sum, value) => sum + value) / LOOKBACK : 0;
  const window = samples.map((value) => value - mean);
  const later = clean.slice(LOOKBACK).map((value) => value - mean);
  const { re, im } = harmonics(window);
  const amplitudes = re.map((value, k) => Math.hypot(value, im[k]));
  const unit = state.series ? peak(window) : 1;
  return { window, mean, truth: later.length > 0 ? later : null, sinusoids, unit, amplitudes };
}

function own(series) {
  const numbers = Float64Array.from(series);
  return { observed: numbers, clean: numbers, sinusoids: null };
}

/** Root mean square errors over the next 10 and 50 steps, in peaks; NaN where a sample is missing. */
export function errors(ahead, { truth, unit }) {
  return [10, HORIZON].map((steps) => {
    let sum = 0;
    for (let i = 0; i < steps; i++) sum += (ahead[i] - truth[i]) ** 2;
    return Math.sqrt(sum / steps) / unit;
  });
}

/** What is seen, in sentences; ``ranking`` lists [name, errors] from the best, where there is a truth to judge by. */
export function describe(state, picture, visible, ranking) {
  const { window, mean, amplitudes } = picture;
  const strongest = amplitudes.indexOf(amplitudes.slice(1).reduce((a, b) => Math.max(a, b)));
  const period = short(1 / bins(LOOKBACK)[strongest]);
  const last = window.at(-1) + mean;
  const slope = window.at(-1) > window.at(-2) ? "rising" : "falling";
  const sentences = [
    `${what(state)} The strongest bin of its spectrum stands for a period of ${period} samples;`,
    `the last sample seen is ${short(last)}, ${slope}.`,
    visible ? future(picture, ranking) : "What comes next is hidden: draw your guess on the right, then reveal it.",
  ];
  return sentences.join(" ");
}

function what({ series, components, noise, whole, shortest, longest }) {
  if (series) return "100 numbers of your own series.";
  const periods = `${whole ? "whole periods" : "periods of any length"} from ${shortest} to ${longest} samples`;
  const sinusoids = components === 1 ? "One sinusoid" : `${components} sinusoids`;
  return `${sinusoids} of ${periods}, ${noise > 0 ? `with noise of ${noise} of the peak` : "without noise"}.`;
}

function future({ truth }, ranking) {
  if (!truth) return "The forecasts go on where the numbers end.";
  const told = ranking.map(([name, [ten]]) => `${name} ${short(ten)}`);
  if (told.length === 0) return "The continuation is shown; no method is switched on.";
  const errors = `Errors over the next 10 samples, in peaks, the smallest first: ${told.join(", ")}.`;
  return `The continuation is shown. ${errors}`;
}
