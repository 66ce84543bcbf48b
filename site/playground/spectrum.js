// Sums of waves, and what a window has of each: the discrete Fourier transform at any frequencies.

import { zeros } from "./linear_algebra.js";

/** Cosines and sines, (length, P) each, of P frequencies at ``length`` times from ``start`` on. */
export function waves(frequencies, start, length) {
  const [cosines, sines] = [zeros(length, frequencies.length), zeros(length, frequencies.length)];
  for (let t = 0; t < length; t++) {
    for (let p = 0; p < frequencies.length; p++) {
      const angle = 2 * Math.PI * frequencies[p] * (start + t);
      cosines[t][p] = Math.cos(angle);
      sines[t][p] = Math.sin(angle);
    }
  }
  return { cosines, sines };
}

/** What a signal (N,) has of each wave: sums over time of signal times cosine and times sine, as {re, im}. */
export function correlate(signal, { cosines, sines }) {
  const count = cosines[0].length;
  const [re, im] = [new Float64Array(count), new Float64Array(count)];
  for (let t = 0; t < signal.length; t++) {
    const value = signal[t];
    const cosine = cosines[t];
    const sine = sines[t];
    for (let p = 0; p < count; p++) {
      re[p] += value * cosine[p];
      im[p] += value * sine[p];
    }
  }
  return { re, im };
}

/** The signal whose waves have these amplitudes: re of each cosine, im of each sine. */
export function synthesise({ re, im }, { cosines, sines }) {
  return Float64Array.from(cosines, (cosine, t) => {
    const sine = sines[t];
    let sum = 0;
    for (let p = 0; p < cosine.length; p++) sum += re[p] * cosine[p] + im[p] * sine[p];
    return sum;
  });
}

/** The frequencies of the DFT of N samples, bins 0 to N / 2, in cycles per sample. */
export function bins(length) {
  return Float64Array.from({ length: Math.floor(length / 2) + 1 }, (_, k) => k / length);
}

/** The amplitudes {re, im} of the cosines and sines at the DFT's bins, which sum to the window. */
export function harmonics(window) {
  const length = window.length;
  const { re, im } = correlate(window, waves(bins(length), 0, length));
  const share = re.map((_, k) => (k === 0 || 2 * k === length ? 1 : 2) / length);
  return { re: re.map((value, k) => share[k] * value), im: im.map((value, k) => share[k] * value) };
}
