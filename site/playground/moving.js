// A figure that moves: controls, charts, and a sentence that says what is seen. Nothing moves until the reader asks.

const PACE = 100; // milliseconds a step that is played
const CALM_PACE = 1000; // … for those who wish for little motion

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function button(text, press) {
  const made = make("button", { type: "button", textContent: text });
  made.addEventListener("click", press);
  return made;
}

/**
 * Fill the empty figure of this id that the build has put into the page.
 *
 * @param title, advice what is shown, and what to try.
 * @param controls by name, a slider {label, min, max, step, value} or a choice {label, options: value -> text, value}.
 * @param plays name of the slider that buttons step, play and put back, if there is one.
 * @param another text of a button that counts the state's ``seed`` up, if there is one; seed: the first.
 * @param panels names of the charts.
 * @param draw (state, panels) draws a state, control -> value, into elements, panel -> element; returns what is seen.
 */
export function movingFigure(id, { title, advice, controls, plays, another, seed = 1, panels, draw }) {
  const figure = document.getElementById(id);
  const state = { seed };
  const hosts = Object.fromEntries(panels.map((name) => [name, make("div", { id: `${id}-${name}`, className: name })]));
  const seen = make("p", { className: "seen", ariaLive: "polite" });
  const show = soon(figure, () => (seen.textContent = draw(state, hosts)));
  const set = (name, value) => {
    state[name] = value;
    show();
  };
  const fields = Object.entries(controls).map(([name, control]) => field(`${id}-${name}`, control, (v) => set(name, v)));
  const buttons = make("div", { className: "buttons" });
  if (plays) buttons.append(...player(fields[Object.keys(controls).indexOf(plays)].querySelector("input"), seen));
  if (another) buttons.append(button(another, () => set("seed", state.seed + 1)));
  const caption = make("figcaption", { id: `${id}-title` }, make("strong", { textContent: title }), ` ${advice}`);
  const charts = make("div", { className: "panels" }, ...Object.values(hosts));
  figure.setAttribute("aria-labelledby", caption.id);
  figure.append(caption, make("div", { className: "controls" }, ...fields), buttons, charts, seen);
  figure.hidden = false;
  new ResizeObserver(show).observe(figure);
}

/** A function that has the figure drawn before the next frame, once, however often it is called until then. */
function soon(figure, draw) {
  let queued = 0;
  return () => {
    figure.dataset.state = "busy";
    cancelAnimationFrame(queued);
    queued = requestAnimationFrame(() => {
      draw();
      figure.dataset.state = "ready";
    });
  };
}

/** A control with its label, which hands over its value now and whenever it changes. */
function field(id, { label, options, value, ...range }, set) {
  const name = make("label", { htmlFor: id, textContent: label });
  if (options) {
    const choices = Object.entries(options).map(([key, text]) => new Option(text, key, false, key === value));
    const select = make("select", { id }, ...choices);
    select.addEventListener("change", () => set(select.value));
    set(value);
    return make("div", {}, name, select);
  }
  const slider = make("input", { id, type: "range", ...range, value });
  const shown = make("output", { htmlFor: id });
  const move = () => {
    shown.textContent = slider.value;
    set(slider.valueAsNumber);
  };
  slider.addEventListener("input", move);
  name.append(" ", shown);
  move();
  return make("div", {}, name, slider);
}

/** Buttons that move a slider; while it plays, what is seen is not read out. */
function player(slider, seen) {
  let timer = 0;
  const play = button("Play", () => (timer ? pause() : go()));
  const to = (value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
  };
  function pause() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    seen.ariaLive = "polite";
  }
  function go() {
    if (slider.value === slider.max) to(slider.min);
    play.textContent = "Pause";
    seen.ariaLive = "off";
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    timer = setInterval(() => {
      if (slider.value === slider.max) pause();
      else to(slider.valueAsNumber + 1);
    }, calm ? CALM_PACE : PACE);
  }
  const halt = (move) => () => {
    pause();
    move();
  };
  const step = button("Step", halt(() => to(slider.valueAsNumber + 1)));
  return [step, play, button("Back to the start", halt(() => to(slider.min)))];
}
