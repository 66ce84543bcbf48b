// The page: what the reader does, and what is then drawn.

import { chart, element, short } from "./chart.js";
import { forecast, METHODS, peak } from "./methods.js";
import { describe, errors, pictureOf } from "./picture.js";
import { HORIZON, LOOKBACK } from "./signals.js";
import { bins } from "./spectrum.js";
import { fromHash, RANGES, readSeries, toHash } from "./state.js";
import { loadNetwork } from "./weights.js";

const at = (id) => document.getElementById(id);
const root = at("playground");
const { white, styles, learned } = JSON.parse(at("report").textContent); // what the build knows of the report
const ON_PAGE = "playground/"; // where the weights lie
const DASHES = { "-": "", "--": "6 3", "-.": "7 3 2 3", ":": "2 3" };
const FRAME = 30; // milliseconds of computing before the page is drawn and heard again
const NAMES = Object.keys(METHODS);

let state = fromHash(location.hash, NAMES);
let picture = pictureOf(state);
let guess = new Float64Array(HORIZON).fill(NaN);
let [results, loading, networks] = [{}, {}, {}];
let [turn, queued, noted] = [0, 0, 0];

/** Whether what comes next may be seen: it has been asked for, or nobody knows it. */
const visible = () => state.shown || !picture.truth;

/** Set something, and show all that follows from it. */
function set(changes) {
  state = { ...state, ...changes };
  root.dataset.state = "busy";
  at("copied").textContent = "";
  cancelAnimationFrame(queued); // of many changes between two frames only the last one counts
  queued = requestAnimationFrame(show);
}

/** Draw the picture at once, then the methods' forecasts, a frame's time of them at once, as long as nothing changes. */
async function show() {
  const mine = ++turn;
  picture = pictureOf(state);
  if (!visible()) results = {};
  showControls();
  drawSpectrum();
  let drawn = -Infinity;
  for (const name of visible() ? state.methods : []) {
    if (performance.now() - drawn > FRAME) {
      draw();
      await new Promise((resolve) => setTimeout(resolve)); // what the reader does comes first
      drawn = performance.now();
    }
    const ready = await loaded(METHODS[name].network?.(state));
    if (mine !== turn) return;
    results[name] = { picture, ahead: ready ? forecast(name, picture.window, state, white, networks) : null };
  }
  draw();
  settle();
}

/** Whether the network of this name, if there is one, is there. */
function loaded(name) {
  if (!name || networks[name]) return true;
  loading[name] ??= loadNetwork(ON_PAGE, name).then(
    (network) => (networks[name] = network),
    (error) => void (at("copied").textContent = error.message),
  );
  return loading[name];
}

function settle() {
  const ranking = showErrors();
  at("description").textContent = describe(state, picture, visible(), ranking);
  clearTimeout(noted);
  noted = setTimeout(() => history.replaceState(null, "", toHash(state)), 300); // browsers allow it now and then
  root.dataset.state = "ready";
}

function draw() {
  const { window, mean, truth, unit } = picture;
  const seen = truth && visible() ? [...window, ...truth] : window;
  const reach = Math.min(1.25 * peak(Float64Array.from(seen)), 2.5 * unit);
  const plot = chart(at("signal"), {
    height: Math.max(260, Math.min(400, 0.55 * at("signal").clientWidth)),
    x: [0, LOOKBACK + HORIZON],
    y: [mean - reach, mean + reach],
    xLabel: "time (samples)",
    yLabel: state.series ? "your series" : "signal (peak of what is seen = 1)",
    label: "100 samples, and what comes after them",
  });
  const raised = (values) => values.map((value) => value + mean);
  plot.band(0, LOOKBACK - 1);
  plot.line(raised(window), 0, { class: "truth" });
  if (!visible()) prompt(plot, mean);
  else {
    for (const name of state.methods) {
      const { ahead } = results[name] ?? {};
      if (ahead) plot.line(raised(ahead), LOOKBACK, { class: "method", style: look(name) });
    }
    if (truth) plot.line([window.at(-1) + mean, ...raised(truth)], LOOKBACK - 1, { class: "truth future" });
  }
  plot.line(raised(guess), LOOKBACK, { class: "guess" });
  placeGuess(plot);
}

function prompt(plot, mean) {
  if (guess.some(Number.isFinite)) return;
  plot.text("draw here", LOOKBACK + HORIZON / 2, mean, { class: "prompt", "text-anchor": "middle" });
}

function look(name) {
  const [colour, line] = styles[METHODS[name].style];
  return `--colour: ${colour}; stroke-dasharray: ${DASHES[line] || "none"}`;
}

function drawSpectrum() {
  const { amplitudes, sinusoids, unit } = picture;
  const told = visible() && sinusoids ? sinusoids : [];
  const most = Math.max(...amplitudes, ...told.map(({ amplitude }) => amplitude), 1e-3 * unit);
  const plot = chart(at("spectrum"), {
    height: 250,
    x: [0, 0.51],
    y: [0, 1.08 * most],
    xLabel: "frequency (cycles/sample)",
    yLabel: "amplitude",
    label: "Amplitude spectrum of the 100 samples",
  });
  const places = Array.from(bins(LOOKBACK));
  plot.stems(places, amplitudes, { class: "method", style: `${look("dft")}; stroke-dasharray: none` });
  plot.dots(places, amplitudes, { class: "bin", style: look("dft") });
  const frequencies = told.map(({ period }) => 1 / period);
  plot.dots(frequencies, told.map(({ amplitude }) => amplitude), { class: "component", r: 4 });
  const hidden = sinusoids ? " Revealed, rings show the sinusoids." : "";
  at("spectrum-description").textContent =
    "Spectrum of the 100 samples, their DFT." + (told.length ? " Rings: the sinusoids that were added." : hidden);
}

/** Write the errors of what is shown; return [name, errors] of each, the best first. */
function showErrors() {
  const judged = {};
  if (visible() && picture.truth) {
    for (const name of state.methods) {
      if (results[name]?.ahead) judged[name] = errors(results[name].ahead, picture);
    }
    if (guess.some(Number.isFinite)) judged.guess = errors(guess, picture);
  }
  const order = Object.keys(judged).sort((a, b) => (judged[a][0] || Infinity) - (judged[b][0] || Infinity));
  for (const row of at("methods").tBodies[0].rows) {
    const name = row.dataset.name;
    row.hidden = name === "guess" && !judged.guess;
    const texts = judged[name] ? [order.indexOf(name) + 1, ...judged[name].map(short)] : ["", "", ""];
    texts.forEach((text, i) => (row.cells[i + 1].textContent = text));
    row.classList.toggle("best", name === order[0]);
  }
  return order.map((name) => [name === "guess" ? "your guess" : METHODS[name].style, judged[name]]);
}

function showControls() {
  for (const name of Object.keys(RANGES).filter((name) => name !== "seed")) {
    at(name).value = state[name];
    document.querySelector(`output[for=${name}]`).textContent = state[name];
  }
  for (const radio of document.getElementsByName("whole")) radio.checked = state.whole === (radio.value === "whole");
  for (const row of at("methods").tBodies[0].rows) {
    const box = row.querySelector("input");
    if (box) box.checked = state.methods.includes(row.dataset.name);
  }
  at("random").disabled = Boolean(state.series);
  at("reveal").hidden = !picture.truth;
  at("reveal").textContent = state.shown ? "Hide what comes next" : "Reveal what comes next";
  at("reveal").setAttribute("aria-pressed", state.shown);
  at("another").textContent = state.series ? "Back to random signals" : "Another signal";
  at("clear").hidden = !guess.some(Number.isFinite);
  at("guess").hidden = visible();
}

/** The rows of the table: a switch with the line that the method has in the chart. */
function makeSwitches() {
  for (const name of [...NAMES, "guess"]) {
    const row = at("methods").tBodies[0].insertRow();
    row.dataset.name = name;
    const label = document.createElement(name === "guess" ? "span" : "label");
    if (name !== "guess") label.append(makeSwitch(name));
    const line = { x1: 0, x2: 30, y1: 5, y2: 5, class: name === "guess" ? "guess" : "method" };
    if (name !== "guess") line.style = look(name);
    label.append(element("svg", { width: 30, height: 10, "aria-hidden": true }, element("line", line)));
    label.append(name === "guess" ? "your guess" : METHODS[name].style);
    const head = document.createElement("th");
    head.scope = "row";
    head.append(label);
    row.append(head);
    for (let i = 0; i < 3; i++) row.insertCell();
  }
}

function makeSwitch(name) {
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
  box.addEventListener("change", () => {
    const on = NAMES.filter((other) => (other === name ? box.checked : state.methods.includes(other)));
    set({ methods: on });
  });
  return box;
}

// The guess: drawn with mouse, finger or pen, or sample by sample with the arrow keys.

const pen = { step: 0, last: null, plot: null }; // of the keys, of the pointer, and where both are

function placeGuess(plot) {
  pen.plot = plot;
  const [left, area] = [plot.xOf(LOOKBACK - 0.5), at("guess")];
  const right = plot.frame.x + plot.frame.width;
  Object.assign(area.style, { left: `${left}px`, top: `${plot.frame.y}px` });
  Object.assign(area.style, { width: `${right - left}px`, height: `${plot.frame.height}px` });
  const value = Number.isFinite(guess[pen.step]) ? guess[pen.step] : 0;
  const bound = picture.unit.toPrecision(3);
  const heard = `sample ${pen.step + 1} of ${HORIZON}: ${short(value + picture.mean)}`;
  const told = { valuemin: -bound, valuemax: bound, valuenow: value, valuetext: heard };
  for (const [name, setting] of Object.entries(told)) area.setAttribute(`aria-${name}`, setting);
}

/** The step and the value at a place of the pointer. */
function pointed({ clientX, clientY }) {
  const box = at("signal").getBoundingClientRect();
  const { xOf, yOf } = pen.plot;
  const step = Math.round((clientX - box.left - xOf(LOOKBACK)) / (xOf(1) - xOf(0)));
  const value = (clientY - box.top - yOf(picture.mean)) / (yOf(1) - yOf(0));
  return { step: Math.min(Math.max(step, 0), HORIZON - 1), value };
}

function drawGuess(event, begins) {
  const from = begins ? null : pen.last;
  const to = (pen.last = pointed(event));
  const span = from ? to.step - from.step : 0;
  for (let i = 0; i <= Math.abs(span); i++) {
    const part = span === 0 ? 1 : i / Math.abs(span);
    guess[(from ?? to).step + Math.sign(span) * i] = from ? from.value + part * (to.value - from.value) : to.value;
  }
  set({});
}

function typeGuess(event) {
  const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0;
  const up = { ArrowUp: 1, ArrowDown: -1 }[event.key] ?? 0;
  if (!along && !up) return;
  event.preventDefault();
  const value = Number.isFinite(guess[pen.step]) ? guess[pen.step] : 0;
  guess[pen.step] = value + 0.05 * up * picture.unit;
  pen.step = Math.min(Math.max(pen.step + along, 0), HORIZON - 1);
  if (along && !Number.isFinite(guess[pen.step])) guess[pen.step] = value;
  set({});
}

function forget() {
  results = {};
  guess = guess.map(() => NaN);
  pen.step = 0;
}

// The reader's own series.

function readOwn() {
  const text = at("numbers").value;
  try {
    const numbers = readSeries(text);
    const held = at("hold").checked && numbers.length >= LOOKBACK + HORIZON;
    forget();
    at("numbers").removeAttribute("aria-invalid");
    at("read").textContent = `Read ${numbers.length} numbers, from ${numbers[0]} to ${numbers.at(-1)}.`;
    set({ series: numbers.slice(held ? -LOOKBACK - HORIZON : -LOOKBACK), whole: false, shown: true });
  } catch (error) {
    at("numbers").setAttribute("aria-invalid", "true");
    at("read").textContent = `These numbers cannot be forecast: ${error.message}.`;
  }
}

async function readFile(file) {
  if (!file) return;
  at("numbers").value = await file.text();
  readOwn();
}

function another() {
  const again = state.shown && !guess.some(Number.isFinite); // who has guessed may guess again
  forget();
  set({ series: null, seed: state.series ? state.seed : 1 + Math.floor(Math.random() * RANGES.seed[1]), shown: again });
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href.split("#")[0] + toHash(state));
    at("copied").textContent = "Copied.";
  } catch {
    at("copied").textContent = "The address of this page is the link; copy it from there.";
  }
}

function listen() {
  for (const name of ["components", "noise", "shortest", "longest"]) {
    at(name).addEventListener("input", () => {
      const changes = { [name]: Number(at(name).value) };
      if (name === "shortest") changes.longest = Math.max(state.longest, changes.shortest);
      if (name === "longest") changes.shortest = Math.min(state.shortest, changes.longest);
      set(changes);
    });
  }
  for (const radio of document.getElementsByName("whole")) {
    radio.addEventListener("change", () => set({ whole: radio.value === "whole" }));
  }
  at("reveal").addEventListener("click", () => set({ shown: !state.shown }));
  at("another").addEventListener("click", another);
  at("clear").addEventListener("click", () => set(forget()));
  at("copy").addEventListener("click", copy);
  at("use").addEventListener("click", readOwn);
  at("hold").addEventListener("change", () => state.series && at("numbers").value && readOwn());
  at("file").addEventListener("change", () => readFile(at("file").files[0]));
  listenToDrops();
  listenToGuesses();
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return; // a place on the page
    forget();
    set(fromHash(location.hash, NAMES));
  });
  new ResizeObserver(() => (drawSpectrum(), draw())).observe(root);
}

function listenToDrops() {
  for (const kind of ["dragover", "drop"]) root.addEventListener(kind, (event) => event.preventDefault());
  root.addEventListener("drop", ({ dataTransfer }) => {
    if (dataTransfer.files.length > 0) return readFile(dataTransfer.files[0]);
    at("numbers").value = dataTransfer.getData("text");
    readOwn();
  });
}

function listenToGuesses() {
  at("guess").addEventListener("pointerdown", (event) => {
    at("guess").setPointerCapture(event.pointerId);
    drawGuess(event, true);
  });
  at("guess").addEventListener("pointermove", (event) => event.buttons && drawGuess(event, false));
  at("guess").addEventListener("keydown", typeGuess);
}

/** What each network was trained for, so that none is judged unawares by what it has not learned. */
function listTrainings() {
  for (const [name, training] of Object.entries(learned)) {
    const item = document.createElement("li");
    item.textContent = `${name.replaceAll("_", " ")}: ${training}`;
    at("learned").append(item);
  }
}

makeSwitches();
listTrainings();
listen();
if (state.series) at("numbers").value = state.series.join("\n");
set({});
