// The small LSTM, sample by sample: it hears the window, and then its own predictions.

import { chart, short } from "./chart.js";
import { movingFigure } from "./moving.js";
import { listeners } from "./networks.js";
import { drawSignal, HORIZON, LOOKBACK } from "./signals.js";
import { loadNetwork } from "./weights.js";

const PROCESS = { whole: true, shortest: 2, longest: 99, noise: 0, components: 4 }; // among those it was trained on
const SHOWN = 40; // samples before the one that comes out

/**
 * What goes in, sample by sample, and what comes out, the prediction of the next one: the signal is heard as long as
 * the window lasts, then every prediction goes in.
 *
 * @param hear a network that has heard nothing yet.
 */
export function freeRunning(hear, signal) {
  const [inputs, outputs] = [[], []];
  for (let t = 0; t < signal.length - 1; t++) {
    inputs.push(t < LOOKBACK ? signal[t] : outputs[t - 1]);
    outputs.push(hear(inputs[t]));
  }
  return { inputs, outputs };
}

let last = { seed: null };

function heard(seed, listener) {
  if (last.seed !== seed) {
    const { clean } = drawSignal({ ...PROCESS, seed });
    last = { seed, clean, ...freeRunning(listener(), clean) };
  }
  return last;
}

function drawSignals(host, { clean, inputs, outputs }, count) {
  const from = Math.max(0, Math.min(count - SHOWN, clean.length - 1.5 * SHOWN));
  const label = "the signal as a line; dots are what has gone in, the ring is what comes out";
  const x = [from, from + 1.5 * SHOWN];
  const plot = chart(host, { height: 260, x, y: [-1.4, 1.4], xLabel: "time (samples)", yLabel: "signal", label });
  plot.band(0, LOOKBACK);
  plot.line(clean, 0, { class: "truth" });
  if (count === 0) return;
  plot.line([inputs[count - 1], outputs[count - 1]], count - 1, { class: "method" });
  const times = Array.from({ length: count }, (_, t) => t);
  plot.dots(times.slice(0, LOOKBACK), inputs, { class: "sample", r: 2.5 });
  if (count > LOOKBACK) plot.dots(times.slice(LOOKBACK), inputs.slice(LOOKBACK, count), { class: "bin", r: 3 });
  plot.dots([count], [outputs[count - 1]], { class: "ring", r: 6 });
}

function drawErrors(host, { clean, outputs }, count) {
  const sizes = outputs.map((value, t) => Math.log10(Math.abs(value - clean[t + 1])));
  const [xLabel, yLabel] = ["time (samples)", "error of the prediction (power of ten)"];
  const label = "error of each prediction so far, logarithmic, against time";
  const plot = chart(host, { height: 180, x: [0, clean.length], y: [-5, 1], xLabel, yLabel, label });
  plot.band(0, LOOKBACK);
  plot.line(sizes.slice(0, count), 1, { class: "method" });
}

function words({ clean, inputs, outputs }, count) {
  if (count === 0) return "Nothing has gone in yet: take a step, or play.";
  const [goesIn, comesOut, truth] = [inputs[count - 1], outputs[count - 1], clean[count]];
  const what = count <= LOOKBACK ? "Sample" : "Its own prediction of sample";
  return (
    `${what} ${count - 1} goes in: ${short(goesIn)}. Out comes ${short(comesOut)} for sample ${count}, ` +
    `which is ${short(truth)}: an error of ${short(Math.abs(comesOut - truth))}. ${soFar(clean, outputs, count)}`
  );
}

function soFar(clean, outputs, count) {
  const begun = count < LOOKBACK ? 0 : LOOKBACK - 1; // the first prediction of what is not heard
  let sum = 0;
  for (let t = begun; t < count; t++) sum += (outputs[t] - clean[t + 1]) ** 2;
  const over = count < LOOKBACK ? `${count} predictions while it listens` : `${count - begun} steps ahead`;
  return `Root mean square error of ${over}: ${short(Math.sqrt(sum / (count - begun)))}.`;
}

function start(listener) {
  movingFigure("free_running", {
    title: "Listening, then running free.",
    advice:
      "Step through the samples: while it listens (shaded), each true sample puts the last error right. From sample 100 " +
      "on its own predictions go in, and errors with them. How long until they have grown tenfold? Try another signal.",
    controls: { heard: { label: "samples gone in", min: 0, max: LOOKBACK + HORIZON - 1, step: 1, value: 95 } },
    plays: "heard",
    another: "Another signal",
    seed: 11,
    panels: ["signals", "errors"],
    draw: (state, panels) => {
      const found = heard(state.seed, listener);
      drawSignals(panels.signals, found, state.heard);
      drawErrors(panels.errors, found, state.heard);
      return words(found, state.heard);
    },
  });
}

const figure = globalThis.document?.getElementById("free_running");
if (figure) {
  loadNetwork("playground/", "small_lstm", listeners).then(start, (error) => {
    figure.textContent = error.message;
    figure.hidden = false;
  });
}
