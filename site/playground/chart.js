// Charts as SVG with real text: axes, lines, stems and dots. Colours and dashes are the style sheet's.

const MARGIN = { left: 46, right: 12, top: 26, bottom: 40 };

/** An SVG element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number in few digits. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 1e-9) return "< 1e-9";
  const size = Math.abs(value);
  const far = value !== 0 && (size < 1e-3 || size >= 1e5);
  const text = far ? value.toExponential(1) : size < 100 ? value.toPrecision(2) : value.toFixed(0);
  return text.replace(/^-/, "−");
}

/** About ``count`` round numbers from low to high. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const length = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/**
 * An empty chart that fills its host from edge to edge.
 *
 * @param host the element whose content it becomes; its width is the chart's.
 * @param x, y ranges (low, high); xLabel, yLabel: what is drawn and its unit; label: a name for those who hear it.
 * @returns what draws into it: band, line, stems, dots, text; and xOf, yOf, the place of a value in pixels.
 */
export function chart(host, { height, x, y, xLabel, yLabel, label }) {
  const width = Math.max(host.clientWidth, 200);
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  const xOf = (value) => MARGIN.left + ((value - x[0]) / (x[1] - x[0])) * (right - MARGIN.left);
  const yOf = (value) => bottom + ((value - y[0]) / (y[1] - y[0])) * (MARGIN.top - bottom);
  const clip = `inside-${host.id}`;
  const inside = element("g", { "clip-path": `url(#${clip})` });
  const frame = { x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top };
  svg.append(element("clipPath", { id: clip }, element("rect", frame)));
  svg.append(...grid({ x, y, xOf, yOf, right, bottom }), inside);
  svg.append(write(xLabel, (MARGIN.left + right) / 2, height - 6, "middle"), write(yLabel, 4, 14, "start"));
  host.replaceChildren(svg);
  return { ...marks(inside, xOf, yOf), xOf, yOf, frame };
}

function grid({ x, y, xOf, yOf, right, bottom }) {
  const parts = [];
  for (const value of ticks(...y, 5)) {
    parts.push(element("line", { class: "grid", x1: MARGIN.left, x2: right, y1: yOf(value), y2: yOf(value) }));
    parts.push(write(value, MARGIN.left - 6, yOf(value) + 4, "end"));
  }
  for (const value of ticks(...x, Math.max(2, Math.min(8, (right - MARGIN.left) / 60)))) {
    parts.push(write(value, xOf(value), bottom + 16, "middle"));
  }
  parts.push(element("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }));
  return parts;
}

function write(text, x, y, anchor) {
  return element("text", { x, y, "text-anchor": anchor }, String(text).replace("-", "−"));
}

function marks(inside, xOf, yOf) {
  const add = (name, attributes, ...children) => inside.append(element(name, attributes, ...children));
  const curve = (places, values, attributes) => {
    let [path, pen] = ["", "M"];
    values.forEach((value, i) => {
      path += Number.isFinite(value) ? `${pen}${xOf(places[i]).toFixed(1)},${yOf(value).toFixed(1)}` : "";
      pen = Number.isFinite(value) ? "L" : "M";
    });
    add("path", { d: path, fill: "none", ...attributes });
  };
  return {
    /** The range of x from one value to another, shaded. */
    band: (from, to) =>
      add("rect", { class: "band", x: xOf(from), y: 0, width: xOf(to) - xOf(from), height: 2000 }),
    /** Values at from, from + 1, …; what is not finite is a gap. */
    line: (values, from, attributes) => curve(Array.from(values, (_, i) => from + i), values, attributes),
    /** Values at any places, joined in their order. */
    curve,
    /** Lines from 0 to the values at places. */
    stems(places, values, attributes) {
      for (const [i, place] of places.entries()) {
        add("line", { x1: xOf(place), x2: xOf(place), y1: yOf(0), y2: yOf(values[i]), ...attributes });
      }
    },
    dots(places, values, attributes) {
      for (const [i, place] of places.entries()) {
        add("circle", { cx: xOf(place), cy: yOf(values[i]), r: 2, ...attributes });
      }
    },
    text: (text, x, y, attributes) => add("text", { x: xOf(x), y: yOf(y), ...attributes }, text),
  };
}
