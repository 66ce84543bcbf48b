// A linear state-space network learns sines by gradient descent: the roots of what it says, its loss, its forecast.

import { chart, short } from "./chart.js";
import { dot, zeros } from "./linear_algebra.js";
import { movingFigure } from "./moving.js";
import { randomStream } from "./signals.js";

const STATES = 10;
const RATE = 0.001;
const BATCH = 32; // windows a gradient step
const EPOCHS = 200;
const SINES = {
  // amplitude and radians a sample of each; and the window that training predicts from
  sine: { parts: [[5, 0.5]], window: 20 },
  three: { parts: [[5, 0.5], [2, 0.5 / 3], [1, 0.5 / 5]], window: 40 }, // prettier-ignore
  spaced: { parts: [[5, 0.5], [2, 1.2], [1, 2.2]], window: 40 }, // prettier-ignore
};

/** (length,) samples of the sines of a kind from ``first`` on. */
function signal(kind, first, length) {
  const value = (n) => SINES[kind].parts.reduce((sum, [size, angle]) => sum + size * Math.sin(angle * n), 0);
  return Float64Array.from({ length }, (_, i) => value(first + i));
}

/** The windows of the training signal, the last sample first, and the sample that follows each. */
function windows(kind) {
  const length = SINES[kind].window;
  const samples = signal(kind, 0, 20 * length);
  const starts = Array.from({ length: 19 * length }, (_, i) => i);
  return {
    pasts: starts.map((i) => samples.slice(i, i + length).reverse()),
    targets: starts.map((i) => samples[i + length]),
  };
}

/** A system s' = A s + B u, y = C s + D u, its weights uniform within ±spread / sqrt(10). */
export function drawSystem(seed, spread) {
  const draw = randomStream(seed, "state space");
  const uniform = (length) => Float64Array.from({ length }, () => (spread / Math.sqrt(STATES)) * (2 * draw() - 1));
  return { A: Array.from({ length: STATES }, () => uniform(STATES)), B: uniform(STATES), C: uniform(STATES), D: uniform(1) };
}

/** B, A B, A² B, …: what an input does to the state 1, 2, 3, … samples later. */
function reached({ A, B }, count) {
  const columns = [B];
  while (columns.length < count) columns.push(Float64Array.from(A, (row) => dot(row, columns.at(-1))));
  return columns;
}

const impulseResponse = ({ C, D }, columns) => Float64Array.of(D[0], ...columns.map((column) => dot(C, column)));

/** Move all weights a step against the gradient of the mean squared error of one batch. */
function descend(system, pasts, targets) {
  const columns = reached(system, pasts[0].length - 1);
  const response = impulseResponse(system, columns);
  const pull = new Float64Array(response.length); // gradient by the impulse response
  pasts.forEach((past, i) => add(pull, past, (2 * (dot(response, past) - targets[i])) / pasts.length));
  const [byA, byC] = [zeros(STATES, STATES), new Float64Array(STATES)];
  let back = new Float64Array(STATES); // gradient by a column; in the end, by B
  for (let k = columns.length - 1; k >= 0; k--) {
    byA.forEach((row, i) => add(row, columns[k], back[i]));
    back = backwards(system, back, pull[k + 1]);
    add(byC, columns[k], pull[k + 1]);
  }
  system.A.forEach((row, i) => add(row, byA[i], -RATE));
  add(system.B, back, -RATE);
  add(system.C, byC, -RATE);
  system.D[0] -= RATE * pull[0];
}

/** The gradient by one column: what comes back from the next one through A, and its own output's. */
function backwards({ A, C }, next, pull) {
  const result = C.map((weight) => pull * weight);
  A.forEach((row, i) => add(result, row, next[i]));
  return result;
}

/** target += factor * vector. */
function add(target, vector, factor) {
  for (let i = 0; i < target.length; i++) target[i] += factor * vector[i];
}

/**
 * Train a system in place, windows in order, as the notebook does.
 *
 * @returns impulse response (N,) and loss before training and after each epoch, as long as they are finite.
 */
export function train(system, kind, epochs) {
  const { pasts, targets } = windows(kind);
  const course = [];
  for (let epoch = 0; ; epoch++) {
    const response = impulseResponse(system, reached(system, SINES[kind].window - 1));
    const loss = pasts.reduce((sum, past, i) => sum + (dot(response, past) - targets[i]) ** 2, 0) / pasts.length;
    if (!Number.isFinite(loss)) return course;
    course.push({ response, loss });
    if (epoch === epochs) return course;
    for (let i = 0; i < pasts.length; i += BATCH) descend(system, pasts.slice(i, i + BATCH), targets.slice(i, i + BATCH));
  }
}

/**
 * The roots of z^N - sum of g_k z^(N - 1 - k), as {re, im}: eigenvalues of the companion matrix of the impulse
 * response g. Where that fades to less than rounding, the small roots are truer than a solver for eigenvalues has
 * them, which sees only the matrix to rounding. Source: Aberth (1973).
 */
export function roots(response) {
  const count = response.length;
  const radius = Math.abs(response.at(-1)) ** (1 / count) || 1;
  const z = Array.from({ length: count }, (_, j) => polar(radius, (2 * Math.PI * j) / count + 0.4));
  for (let round = 0, most = 1; most > 1e-14 && round < 500; round++) {
    most = 0;
    for (let j = 0; j < count; j++) {
      const step = aberthStep(response, z, j);
      z[j] = [z[j][0] - step[0], z[j][1] - step[1]];
      most = Math.max(most, Math.hypot(...step) / Math.hypot(...z[j]));
    }
  }
  return { re: z.map(([re]) => re), im: z.map(([, im]) => im) };
}

const polar = (radius, angle) => [radius * Math.cos(angle), radius * Math.sin(angle)];
const product = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const quotient = ([a, b], [c, d]) => [(a * c + b * d) / (c * c + d * d), (b * c - a * d) / (c * c + d * d)];

/** Newton's step of one root, with the others' attraction taken out. */
function aberthStep(response, z, j) {
  let [value, slope] = [[1, 0], [0, 0]]; // prettier-ignore
  for (const weight of response) {
    slope = product(slope, z[j]).map((part, i) => part + value[i]);
    value = product(value, z[j]);
    value[0] -= weight;
  }
  const newton = quotient(value, slope);
  const others = [0, 0];
  z.forEach((other, i) => {
    if (i !== j) quotient([1, 0], [z[j][0] - other[0], z[j][1] - other[1]]).forEach((part, k) => (others[k] += part));
  });
  const [re, im] = product(newton, others);
  return quotient(newton, [1 - re, -im]);
}

/** A window of the signal that comes after the training's, and what the system says after it: (100,). */
function runOn(kind, response) {
  const length = SINES[kind].window;
  const series = Array.from(signal(kind, 20 * length, length));
  while (series.length < 100) {
    series.push(response.reduce((sum, weight, k) => sum + weight * series[series.length - 1 - k], 0));
  }
  return series;
}

let last = { told: null };

function trained({ kind, spread, seed }) {
  const told = JSON.stringify([kind, spread, seed]);
  if (last.told !== told) last = { told, course: train(drawSystem(seed, Number(spread)), kind, EPOCHS) };
  return last.course;
}

function drawPlane(host, kind, { re, im }) {
  const height = 300;
  const across = Math.max((1.35 * (Math.max(host.clientWidth, 200) - 58)) / (height - 66), 1); // as long as upwards
  const label = "complex plane: the unit circle, roots as dots, places of the wanted ones as rings";
  const axes = { xLabel: "real part", yLabel: "imaginary part", label };
  const plot = chart(host, { height, x: [-across, across], y: [-1.35, 1.35], ...axes });
  const angles = Array.from({ length: 121 }, (_, i) => (Math.PI * i) / 60);
  plot.curve(angles.map(Math.cos), angles.map(Math.sin), { class: "circle" });
  const wanted = SINES[kind].parts.flatMap(([, angle]) => [angle, -angle]);
  plot.dots(wanted.map(Math.cos), wanted.map(Math.sin), { class: "place", r: 7 });
  plot.dots(re, im, { class: "bin", r: 3.5 });
}

function drawLoss(host, course, epoch) {
  const power = course.map(({ loss }) => Math.log10(Math.max(loss, 1e-16)));
  const y = [Math.floor(Math.min(...power)), Math.ceil(Math.max(...power, 0)) + 0.5];
  const label = "loss, logarithmic, against the epoch";
  const plot = chart(host, { height: 180, x: [0, EPOCHS], y, xLabel: "epoch", yLabel: "loss (power of ten)", label });
  plot.line(power, 0, { class: "method later" });
  plot.line(power.slice(0, epoch + 1), 0, { class: "method" });
  plot.dots([epoch], [power[epoch]], { class: "bin", r: 4 });
}

function drawSeries(host, kind, said) {
  const label = "the signal, and what the system says when it runs on from the window that is shaded";
  const plot = chart(host, { height: 180, x: [0, 100], y: [-10, 10], xLabel: "time (samples)", yLabel: "signal", label });
  plot.band(0, SINES[kind].window);
  plot.line(signal(kind, 20 * SINES[kind].window, 100), 0, { class: "truth" });
  plot.line(said.slice(SINES[kind].window), SINES[kind].window, { class: "method" });
}

/** Greatest distance from a wanted root to the nearest that there is, and error of running on in powers of the signal. */
function judged(kind, { re, im }, said) {
  const distances = SINES[kind].parts.map(([, angle]) =>
    Math.min(...re.map((part, j) => Math.hypot(part - Math.cos(angle), im[j] - Math.sin(angle)))),
  );
  const length = SINES[kind].window;
  const truth = signal(kind, 20 * length, 100);
  const power = (values) => values.slice(length).reduce((sum, value) => sum + value ** 2, 0);
  return [Math.max(...distances), power(truth.map((value, t) => value - said[t])) / power(truth)];
}

function draw(state, { plane, loss, series }) {
  const course = trained(state);
  const epoch = Math.min(state.epoch, course.length - 1);
  const found = roots(course[epoch].response);
  const said = runOn(state.kind, course[epoch].response);
  drawPlane(plane, state.kind, found);
  drawLoss(loss, course, epoch);
  drawSeries(series, state.kind, said);
  const [distance, error] = judged(state.kind, found, said);
  return (
    `${epoch < state.epoch ? `Exploded after epoch ${epoch}. ` : ""}Epoch ${epoch}: loss ${short(course[epoch].loss)}. ` +
    `The wanted roots are missed by up to ${short(distance)}; running on is off by ${short(100 * error)} % of the power.`
  );
}

if (globalThis.document?.getElementById("eigenvalues")) {
  movingFigure("eigenvalues", {
    title: "Roots, as they are learned.",
    advice:
      "Play: two dots wander into the rings on the circle, and the rest stay inside. Then take the " +
      "three sines of the study, whose loss falls while the rings near 1 stay empty; the spaced ones; larger weights.",
    controls: {
      epoch: { label: "epoch", min: 0, max: EPOCHS, step: 1, value: 0 },
      kind: {
        label: "signal",
        options: { sine: "one sine", three: "the study's three sines", spaced: "three sines, spaced" },
        value: "sine",
      },
      spread: { label: "spread of the first weights", options: { 0.3: "0.3", 1: "1", 1.7: "1.7" }, value: "1" },
    },
    plays: "epoch",
    another: "Another start",
    seed: 5,
    panels: ["plane", "loss", "series"],
    draw,
  });
}
