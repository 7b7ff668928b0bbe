// One <figure data-chart="URL#key">: draws its picture, keeps its table and notes in step.
import {
  BarController, BarElement, CategoryScale, Chart, Legend, LinearScale, LineController, LineElement,
  PointElement, ScatterController, Tooltip,
} from "chart.js";
import { configure } from "./config.js";
import { drawHeat, drawMatrix } from "./grids.js";
import { savePng } from "./png.js";
import { theme } from "./theme.js";

Chart.register(
  BarController, BarElement, CategoryScale, Legend, LinearScale, LineController, LineElement,
  PointElement, ScatterController, Tooltip,
);

const BY_HAND = { heat: drawHeat, matrix: drawMatrix };
const shown = new Map(); // element of a figure: what draws it
const done = new WeakSet(); // those that were drawn once, be it with nothing

const asked = new Map(); // address: promise of its figures, asked for once a page

const hint = (text) => Object.assign(document.createElement("p"), { className: "hint", textContent: text });

function figuresOf(url) {
  if (!asked.has(url)) {
    asked.set(url, fetch(url, { headers: { Accept: "application/json" } }).then(async (answer) => {
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      return (await answer.json()).figures;
    }));
  }
  return asked.get(url);
}

// How tall: bars that lie need a line each, heat maps and matrices a square each.
function room(figure, width, tall) {
  if (figure.shape === "heat") {
    const rows = figure.series[0].rows.length;
    return 80 + rows * Math.max(22, Math.min(56, (width * 0.75) / rows));
  }
  if (figure.shape === "matrix") return Math.min(width, 160 * figure.labels.length) + 40;
  if (figure.options.horizontal) {
    return Math.max(160, 26 * figure.labels.length + 70 + (figure.options.stacked ? 40 : 0));
  }
  return tall ? Math.max(300, Math.min(460, width * 0.6)) : 260;
}

class HandDrawn {
  constructor(canvas, figure, look) {
    this.canvas = canvas;
    this.figure = figure;
    this.look = look;
    this.resize();
  }

  paint(canvas, scale, width, height, look = this.look) {
    canvas.width = width * scale;
    canvas.height = height * scale;
    const ctx = canvas.getContext("2d");
    ctx.scale(scale, scale);
    BY_HAND[this.figure.shape](ctx, look, this.figure, width, height);
  }

  resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    this.paint(this.canvas, window.devicePixelRatio || 1, box.width, box.height);
  }

  destroy() {}
}

export function draw(element, figure) {
  const holder = element.querySelector(".canvas");
  if (!holder) return;
  shown.get(element)?.chart.destroy();
  done.add(element);
  const look = theme();
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", figure.alt);
  holder.replaceChildren(canvas);
  const content = (entry) => entry.values ?? entry.points ?? entry.boxes ?? entry.rows;
  const empty = !figure.series.some((entry) => content(entry).length);
  holder.classList.toggle("none", empty);
  if (empty) {
    holder.replaceChildren(hint("Nothing to draw."));
    shown.delete(element);
    return;
  }
  const width = holder.getBoundingClientRect().width;
  const height = room(figure, width, element.classList.contains("tall"));
  holder.style.height = `${height}px`; // by the object model, which the policy allows
  const chart = BY_HAND[figure.shape]
    ? new HandDrawn(canvas, figure, look)
    : new Chart(canvas, configure(look, figure));
  shown.set(element, { chart, figure, width });
  addSave(element);
}

function addSave(element) {
  const actions = element.querySelector(".chart-actions");
  if (!actions || actions.querySelector("button")) return;
  const button = document.createElement("button");
  Object.assign(button, { className: "small plain", type: "button", textContent: "PNG" });
  button.setAttribute("aria-label", `Download ${element.querySelector("h2")?.textContent ?? "the picture"} as PNG`);
  button.addEventListener("click", () => {
    const { figure, chart } = shown.get(element);
    savePng(figure, chart instanceof HandDrawn ? chart : null);
  });
  actions.prepend(button);
}

// Puts new figures' notes and table in place.
export function fill(element, figure) {
  element.querySelector("h2").textContent = figure.title;
  element.querySelector("a[download]").setAttribute("aria-label", `Download the data of ${figure.title} as CSV`);
  element.querySelector("[data-notes]").replaceChildren(...figure.notes.map(hint));
  const table = element.querySelector("[data-table] table");
  const cell = (kind, text, position) => {
    const made = Object.assign(document.createElement(kind), { textContent: text });
    if (kind === "th") made.scope = "col";
    made.classList.toggle("num", figure.table.numeric.includes(position));
    return made;
  };
  const line = document.createElement("tr");
  line.append(...figure.table.header.map((name, i) => cell("th", name, i)));
  table.tHead.replaceChildren(line);
  fillRows(table, figure.table, true);
}

export function fillRows(table, { rows, numeric }, named = false) {
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const line = document.createElement("tr");
    line.append(...cells.map((text, position) => {
      const first = named && position === 0;
      const made = Object.assign(document.createElement(first ? "th" : "td"), { textContent: text });
      if (first) made.scope = "row";
      if (numeric.includes(position)) made.className = "num";
      return made;
    }));
    return line;
  }));
}

export async function start(element) {
  if (done.has(element)) return;
  const [url, key] = element.dataset.chart.split("#");
  try {
    const figures = await figuresOf(url);
    if (done.has(element)) return; // something newer was quicker
    draw(element, figures[key ?? Object.keys(figures)[0]]);
  } catch {
    const holder = element.querySelector(".canvas");
    holder?.replaceChildren(hint("The picture could not be loaded. Reload the page, or see the table below."));
  }
}

export function redraw() {
  for (const [element, { figure }] of [...shown]) draw(element, figure);
}

let waiting = 0;
export function follow() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", redraw);
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const [element, { figure, width }] of [...shown]) {
        const now = element.querySelector(".canvas").getBoundingClientRect().width;
        if (Math.abs(now - width) > 1) draw(element, figure);
      }
    }, 150);
  });
}
