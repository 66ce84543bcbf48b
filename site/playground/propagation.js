// Expectation propagation, step by step: which periods a window in noise is believed to hold.

import { chart, short } from "./chart.js";
import { movingFigure } from "./moving.js";
import { drawSignal, LOOKBACK } from "./signals.js";
import { beliefsByStep } from "./sparse.js";

const PROCESS = { whole: true, shortest: 2, longest: 99 };
const NOISE = 0.1; // standard deviation, in peaks
const STEPS = 30;

let last = { seed: null };

/** What is believed by step of the window of a seed, and the true periods in rising order. */
function inferred({ seed, components }, white) {
  if (last.seed !== seed || last.components !== components) {
    const { observed, sinusoids } = drawSignal({ ...PROCESS, noise: NOISE, components, seed });
    const periods = [...new Set(sinusoids.map(({ period }) => period))].sort((a, b) => a - b);
    last = { seed, components, periods, beliefs: beliefsByStep(observed.slice(0, LOOKBACK), PROCESS, white) };
  }
  return last;
}

function drawPosterior(host, { periods, beliefs }, step) {
  const label = "probability of each whole period from 2 to 99; dotted lines stand at the true ones";
  const yLabel = "probability that the period is present";
  const plot = chart(host, { height: 240, x: [0, 101], y: [0, 1.05], xLabel: "period (samples)", yLabel, label });
  for (const period of periods) plot.curve([period, period], [0, 1.05], { class: "wanted" });
  const places = Array.from(beliefs[step].probabilities, (_, p) => PROCESS.shortest + p);
  plot.stems(places, beliefs[step].probabilities, { class: "method bar" });
}

/** A quantity by step, as far as it has come, and what is true of it. */
function drawCourse(host, values, step, truth, yLabel) {
  const most = 1.15 * Math.max(truth, ...values);
  const label = `${yLabel} against the step; the dotted line is true`;
  const plot = chart(host, { height: 180, x: [0, STEPS], y: [0, most], xLabel: "step", yLabel, label });
  plot.curve([0, STEPS], [truth, truth], { class: "wanted" });
  plot.line(values, 0, { class: "method later" });
  plot.line(values.slice(0, step + 1), 0, { class: "method" });
  plot.dots([step], [values[step]], { class: "bin", r: 4 });
}

/** A function that draws a state, given what white noise of standard deviation 1 measures (see ``noiseLevel``). */
function drawing(white) {
  return (state, { posterior, noise, count }) => {
    const found = inferred(state, white);
    const belief = found.beliefs[state.step];
    drawPosterior(posterior, found, state.step);
    drawCourse(noise, found.beliefs.map((by) => by.noise), state.step, NOISE, "noise believed (peaks)");
    drawCourse(count, found.beliefs.map((by) => by.count), state.step, state.components, "components believed");
    const likely = Array.from(belief.probabilities.keys(), (p) => PROCESS.shortest + p).filter(
      (_, p) => belief.probabilities[p] > 0.5,
    );
    return (
      `After ${state.step} of ${STEPS} steps more likely than not: ${likely.join(", ") || "no period"}. ` +
      `True: ${found.periods.join(", ")}. Noise believed ${short(belief.noise)}, true ${NOISE}; ` +
      `components believed ${short(belief.count)}, true ${state.components}.`
    );
  };
}

const figure = globalThis.document?.getElementById("propagation");
if (figure) {
  movingFigure("propagation", {
    title: "Which periods, step by step.",
    advice:
      "Play the 30 steps, and watch hills become bars. Then take another signal, or more components: which periods " +
      "stay open, and do the noise and the number come out right?",
    controls: {
      step: { label: "steps made", min: 0, max: STEPS, step: 1, value: 1 },
      components: { label: "components", min: 1, max: 20, step: 1, value: 4 },
    },
    plays: "step",
    another: "Another signal",
    seed: 5,
    panels: ["posterior", "noise", "count"],
    draw: drawing(Number(figure.dataset.white)),
  });
}
