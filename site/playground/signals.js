// Random sums of sinusoids, drawn from a seed: the same signal whenever a link is opened again.

export const LOOKBACK = 100; // samples that are seen
export const HORIZON = 50; // samples to forecast

/** A function that draws from [0, 1): Marsaglia's xorshift of 32 bits, from a hash of seed and purpose. */
export function randomStream(seed, purpose) {
  let state = 2166136261; // FNV-1a
  for (const letter of `${seed}/${purpose}`) state = Math.imul(state ^ letter.codePointAt(0), 16777619);
  const draw = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) draw(); // similar seeds have similar beginnings
  return draw;
}

/** Standard normal numbers from a stream, by Box and Muller (1958). */
function normal(draw) {
  return Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
}

/**
 * A sum of sinusoids with random amplitudes, periods and phases, scaled to a peak of 1 in its first 100 samples.
 *
 * Each sinusoid and the noise have streams of their own, so that a slider changes only what it says.
 *
 * @param settings components, noise (standard deviation, in peaks), whole (periods), shortest and longest
 *     period in samples, seed.
 * @returns clean and observed, (150,) each; sinusoids, a list of {amplitude, period, phase}.
 */
export function drawSignal({ components, noise, whole, shortest, longest, seed }) {
  const draws = Array.from({ length: components }, (_, k) => drawSinusoid(seed, k, whole, shortest, longest));
  const sum = Float64Array.from({ length: LOOKBACK + HORIZON }, (_, t) => valueAt(draws, t));
  const peak = sum.slice(0, LOOKBACK).reduce((most, value) => Math.max(most, Math.abs(value)), Number.MIN_VALUE);
  const sinusoids = draws.map(({ amplitude, ...rest }) => ({ amplitude: amplitude / peak, ...rest }));
  const clean = sum.map((value) => value / peak);
  const draw = randomStream(seed, "noise");
  return { clean, observed: clean.map((value) => value + noise * normal(draw)), sinusoids };
}

function drawSinusoid(seed, number, whole, shortest, longest) {
  const draw = randomStream(seed, number);
  const [amplitude, place, phase] = [1 - draw(), draw(), 2 * Math.PI * draw()];
  const span = longest - shortest;
  const period = shortest + (whole ? Math.floor(place * (span + 1)) : place * span);
  return { amplitude, period, phase };
}

function valueAt(sinusoids, time) {
  let sum = 0;
  for (const { amplitude, period, phase } of sinusoids) {
    sum += amplitude * Math.sin((2 * Math.PI * (time % period)) / period + phase);
  }
  return sum;
}

/** The prior over frequencies of a process, as {frequencies, mass}; periods of any length in cells of equal width. */
export function prior({ whole, shortest, longest }, spacing) {
  if (whole || shortest === longest) {
    const frequencies = Float64Array.from({ length: longest - shortest + 1 }, (_, i) => 1 / (shortest + i));
    return { frequencies, mass: frequencies.map(() => 1 / frequencies.length) };
  }
  const [low, high] = [1 / longest, 1 / shortest];
  const cells = Math.ceil((high - low) / spacing);
  const edge = (i) => low + ((high - low) * i) / cells;
  return {
    frequencies: Float64Array.from({ length: cells }, (_, i) => (edge(i) + edge(i + 1)) / 2),
    mass: Float64Array.from({ length: cells }, (_, i) => (1 / edge(i) - 1 / edge(i + 1)) / (longest - shortest)),
  };
}
