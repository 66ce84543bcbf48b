// How a tone between the bins leaks: its transform under the DFT's bins, and the forecast that the DFT makes of it.

import { chart, short } from "./chart.js";
import { dftExtrapolation } from "./classical.js";
import { movingFigure } from "./moving.js";
import { bins, harmonics } from "./spectrum.js";

const PHASE = 0.3; // radians
const AHEAD = 60; // samples
const HIGHEST = 0.16; // frequency that is shown
const FINE = 1200; // points of the curve
const LOWEST_DB = -110;

/** Tapers w[n] = a_0 - a_1 cos(2 pi n / N) + a_2 cos(4 pi n / N) - …. Sources: Harris (1978); flat top, ISO 18431-2. */
export const TAPERS = {
  boxcar: [1],
  hann: [0.5, 0.5],
  hamming: [0.54, 0.46],
  blackman: [0.42, 0.5, 0.08],
  blackmanharris: [0.35875, 0.48829, 0.14128, 0.01168],
  flattop: [0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368],
};

/** (length,) samples of a taper. */
function taper(name, length) {
  const weight = (n) =>
    TAPERS[name].reduce((sum, a, k) => sum + (-1) ** k * a * Math.cos((2 * Math.PI * k * n) / length), 0);
  return Float64Array.from({ length }, (_, n) => weight(n));
}

/** Real and imaginary part of the transform of ``length`` ones at a frequency in cycles per sample. */
function dirichlet(frequency, length) {
  const below = Math.sin(Math.PI * frequency);
  const whole = Math.abs(below) < 1e-12;
  const size = whole ? length : Math.sin(Math.PI * frequency * length) / below;
  const angle = whole ? 0 : -Math.PI * frequency * (length - 1);
  return [size * Math.cos(angle), size * Math.sin(angle)];
}

/** Real and imaginary part of a taper's transform: each of its cosines moves two Dirichlet kernels by k bins. */
export function kernel(name, frequency, length) {
  const total = [0, 0];
  TAPERS[name].forEach((a, k) => {
    for (const side of k === 0 ? [0] : [-k, k]) {
      const moved = dirichlet(frequency - side / length, length);
      const share = ((-1) ** k * a) / (k === 0 ? 1 : 2);
      total.forEach((_, part) => (total[part] += share * moved[part]));
    }
  });
  return total;
}

/** Magnitude of the transform of a tapered tone: a kernel about its frequency, and one about minus that. */
export function transform(name, frequency, tone, length) {
  const [a, b] = kernel(name, frequency - tone, length);
  const [c, d] = kernel(name, frequency + tone, length);
  const [cosine, sine] = [Math.cos(PHASE), Math.sin(PHASE)];
  return Math.hypot(cosine * (a - c) - sine * (b + d), sine * (a + c) + cosine * (b - d)) / 2;
}

/**
 * A tone seen for ``window`` samples, its tapered DFT, and the forecast that this makes, both divided by the gain.
 *
 * @returns signal (window + 60,), forecast (60,), amplitudes at the bins, mse of the forecast in powers of the tone,
 *     and the share of the energy that lies more than two bins away from the tone.
 */
export function leak(period, window, name) {
  const signal = Float64Array.from({ length: window + AHEAD }, (_, t) => Math.sin((2 * Math.PI * t) / period + PHASE));
  const weights = taper(name, window);
  const seen = weights.map((weight, n) => (weight * signal[n]) / TAPERS[name][0]);
  const { re, im } = harmonics(seen);
  const amplitudes = re.map((value, k) => Math.hypot(value, im[k]));
  const forecast = dftExtrapolation(seen, AHEAD);
  const mse = forecast.reduce((sum, value, i) => sum + (value - signal[window + i]) ** 2, 0) / AHEAD / 0.5;
  return { signal, forecast, amplitudes, mse, leaked: energyOutside(amplitudes, period, window) };
}

function energyOutside(amplitudes, period, window) {
  let [outside, all] = [0, 0];
  amplitudes.forEach((amplitude, k) => {
    const energy = k === 0 || 2 * k === window ? 2 * amplitude ** 2 : amplitude ** 2; // all others stand for two bins
    all += energy;
    if (Math.abs(k - window / period) > 2) outside += energy;
  });
  return outside / all;
}

const decibels = (amplitude) => Math.max(20 * Math.log10(amplitude), LOWEST_DB - 10);

function drawSpectrum(host, { period, window, name, scale }, { amplitudes }) {
  const [asShown, y] = scale === "dB" ? [decibels, [LOWEST_DB, 10]] : [(amplitude) => amplitude, [0, 1.2]];
  const yLabel = `amplitude, divided by the gain${scale === "dB" ? " (dB)" : ""}`;
  const label = "the tone's transform as a curve, the bins of the DFT as dots on it";
  const plot = chart(host, { height: 260, x: [0, HIGHEST], y, xLabel: "frequency (cycles/sample)", yLabel, label });
  const fine = Float64Array.from({ length: FINE }, (_, i) => (HIGHEST * (i + 1)) / FINE);
  const gain = (TAPERS[name][0] * window) / 2;
  plot.curve(fine, fine.map((f) => asShown(transform(name, f, 1 / period, window) / gain)), { class: "kernel" });
  const places = Array.from(bins(window)).filter((f) => f > 0 && f < HIGHEST); // bin 0 stands for one frequency, not two
  const values = places.map((_, i) => asShown(amplitudes[i + 1]));
  if (scale !== "dB") plot.stems(places, values, { class: "method" });
  plot.dots(places, values, { class: "bin", r: 3 });
}

function drawForecast(host, { window }, { signal, forecast }) {
  const label = "the tone, and after the window the DFT's forecast of it";
  const x = [Math.max(0, window - 90), window + AHEAD];
  const plot = chart(host, { height: 260, x, y: [-2.2, 2.2], xLabel: "time (samples)", yLabel: "signal", label });
  plot.band(0, window);
  plot.line(signal, 0, { class: "truth" });
  plot.line(forecast, window, { class: "method" });
}

function draw(state, { spectrum, forecast }) {
  const found = leak(state.period, state.window, state.name);
  drawSpectrum(spectrum, state, found);
  drawForecast(forecast, state, found);
  return (
    `${short(state.window / state.period)} cycles are seen (shaded). The forecast (coloured) has a mean squared error ` +
    `of ${short(found.mse)} powers of the tone; ${short(100 * found.leaked)} % of the energy lies more than two bins away.`
  );
}

if (globalThis.document?.getElementById("leakage")) {
  movingFigure("leakage", {
    title: "Period, window and taper.",
    advice:
      "Move the window from 100 to 110 samples: the kernel's zeros leave the bins, and the forecast turns upside down. " +
      "Then choose a taper, in decibels: the side lobes sink, the main lobe widens, and the forecast gets no better.",
    controls: {
      period: { label: "period (samples)", min: 8, max: 60, step: 0.25, value: 20 },
      window: { label: "window (samples)", min: 40, max: 200, step: 1, value: 110 },
      name: {
        label: "taper",
        options: {
          boxcar: "none",
          hann: "Hann",
          hamming: "Hamming",
          blackman: "Blackman",
          blackmanharris: "Blackman–Harris",
          flattop: "flat top",
        },
        value: "boxcar",
      },
      scale: { label: "scale", options: { linear: "linear", dB: "decibels" }, value: "linear" },
    },
    panels: ["spectrum", "forecast"],
    draw,
  });
}
