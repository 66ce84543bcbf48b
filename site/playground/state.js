// What the reader has set: kept in the address, so that a link brings back exactly this picture; and the
// reader's own series.

import { HORIZON, LOOKBACK } from "./signals.js";

/** Limits of the sliders. */
export const RANGES = { components: [1, 45], noise: [0, 0.4], shortest: [2, 99], longest: [2, 99], seed: [1, 999999] };

export const DEFAULTS = {
  components: 10,
  noise: 0,
  whole: true,
  shortest: 2,
  longest: 99,
  seed: 27,
  methods: ["dft", "prediction", "mmse", "noise"],
  shown: false,
  series: null, // the reader's own numbers instead of a random signal: 100, and the 50 after them if there are any
};

/** The part of the address behind # that stands for a state. */
export function toHash({ methods, whole, shown, series, ...numbers }) {
  const parts = new URLSearchParams({ ...numbers, periods: whole ? "whole" : "any", methods: methods.join(" ") });
  if (shown) parts.set("shown", "yes");
  if (series) parts.set("series", series.join(" "));
  return `#${parts}`;
}

/** The state that such a part stands for; what it does not say, or says wrong, is as at first. */
export function fromHash(hash, known) {
  const parts = new URLSearchParams(hash.slice(1));
  const state = { ...DEFAULTS };
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = Number(parts.get(name) ?? NaN);
    const whole = name === "noise" || Number.isInteger(value);
    if (whole && value >= low && value <= high) state[name] = value;
  }
  if (state.shortest > state.longest) [state.shortest, state.longest] = [state.longest, state.shortest];
  state.whole = parts.get("periods") !== "any";
  state.shown = parts.get("shown") === "yes";
  if (parts.has("methods")) state.methods = known.filter((name) => parts.get("methods").split(" ").includes(name));
  const series = (parts.get("series") ?? "").split(" ").map(Number);
  if ([LOOKBACK, LOOKBACK + HORIZON].includes(series.length) && series.every(Number.isFinite)) state.series = series;
  return state;
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MISSING = /^(|na|n\/a|nan|null|none|-|\?)$/i;

/**
 * The numbers of the last column of a text: one a line, or all in one line; a first line of names is left out.
 *
 * @throws Error with one sentence that says what was expected and what came.
 */
export function readSeries(text) {
  const rows = cells(text);
  if (rows.length > 1 && rows[0].length > 0 && !NUMBER.test(rows[0].at(-1)) && !MISSING.test(rows[0].at(-1))) {
    rows[0] = null; // names
  }
  const numbers = rows.flatMap((row, line) => (row ? [readNumber(row, line + 1, rows.findLast((r) => r).length)] : []));
  if (numbers.length < LOOKBACK) throw new Error(`expected at least ${LOOKBACK} numbers, got ${numbers.length}`);
  const window = numbers.slice(-LOOKBACK);
  if (window.every((value) => value === window[0])) {
    throw new Error(`expected numbers that vary, got ${window[0]} in all of the last ${LOOKBACK} places`);
  }
  return numbers;
}

function cells(text) {
  if (!text.trim()) return [];
  const lines = text.replace(/^\uFEFF/, "").trimEnd().split(/\r\n|\r|\n/);
  const separator = [";", "\t", ",", /\s+/].find((mark) => lines.at(-1).trim().split(mark).length > 1) ?? ",";
  const comma = separator === ";" || separator === "\t"; // then the decimal sign may be one
  const clean = (cell) => cell.trim().replace(/^"(.*)"$/, "$1").replace(comma ? "," : "", comma ? "." : "");
  const rows = lines.map((line) => line.trim().split(separator).map(clean));
  return rows.length === 1 ? rows[0].map((cell) => [cell]) : rows;
}

function readNumber(row, line, columns) {
  const cell = row.at(-1);
  if (row.length === columns && NUMBER.test(cell) && Number.isFinite(Number(cell))) return Number(cell);
  if (MISSING.test(cell)) throw new Error(`expected a number in every line, got none in line ${line}`);
  if (row.length !== columns) throw new Error(`expected ${columns} columns, got ${row.length} in line ${line}`);
  throw new Error(`expected numbers, got “${cell.slice(0, 40)}” in line ${line}`);
}
