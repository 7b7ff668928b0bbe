// Draws what Prometheus knows: panels.json says what, its HTTP API is asked for it. No library, nothing from elsewhere.
const REFRESH_SECONDS = 15;
const POINTS = 180;
const WIDTH = 440, HEIGHT = 150, LEFT = 46, BOTTOM = 18, TOP = 8;
const COLOURS = 8;

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const shape = (name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};

async function ask(path, parameters = {}) {
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== "success") throw new Error(body.error ?? `Prometheus answers ${answer.status}`);
  return body.data;
}

// Three digits that count, with a thousand as k.
function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))}${letter}`;
  }
  return size < 1e-9 ? "0" : String(Number(value.toPrecision(3)));
}

// The next 1, 2 or 5 above a value, so that the axis has round figures.
function above(value) {
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * step).find((end) => end >= value);
}

const clock = (seconds, range) => {
  const style = range > 86400 ? {weekday: "short", hour: "2-digit"} : {hour: "2-digit", minute: "2-digit"};
  return new Date(seconds * 1000).toLocaleString([], style);
};

async function series(panel, start, end, step) {
  const found = await Promise.all(panel.lines.map(async (line) => {
    const data = await ask("query_range", {query: line.query, start, end, step});
    return data.result.map((one) => ({
      label: line.label.replace(/\{(\w+)\}/g, (_, name) => one.metric[name] ?? ""),
      points: one.values.map(([time, value]) => [time, Number(value)]).filter(([, value]) => Number.isFinite(value)),
    }));
  }));
  return found.flat().filter((one) => one.points.length).sort((a, b) => a.label.localeCompare(b.label));
}

function picture(panel, lines, start, end) {
  const values = lines.flatMap((line) => line.points.map(([, value]) => value));
  const top = panel.unit === "%" ? 100 : above(Math.max(...values, 0) || 1);
  const x = (time) => LEFT + (time - start) / (end - start) * (WIDTH - LEFT - 4);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const svg = shape("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${panel.title}, as in the table below`});
  for (const value of [0, top / 2, top]) {
    svg.append(shape("line", {class: "grid", x1: LEFT, x2: WIDTH - 4, y1: y(value), y2: y(value)}));
    svg.append(shape("text", {x: LEFT - 5, y: y(value) + 4, "text-anchor": "end"}, short(value)));
  }
  for (const [part, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    const time = start + part * (end - start);
    svg.append(shape("text", {x: x(time), y: HEIGHT - 4, "text-anchor": anchor}, clock(time, end - start)));
  }
  const gap = 3 * (end - start) / POINTS;
  lines.forEach((line, number) => {
    // A line ends where nothing is known, and begins again after it.
    let last = -Infinity;
    const runs = [];
    for (const [time, value] of line.points) {
      if (time - last > gap) runs.push([]);
      runs.at(-1).push(`${x(time).toFixed(1)},${y(value).toFixed(1)}`);
      last = time;
    }
    for (const run of runs) {
      const points = run.length > 1 ? run : [run[0], run[0].replace(/^[\d.]+/, (from) => Number(from) + 2)];
      svg.append(shape("polyline", {points: points.join(" "), style: `stroke: var(--c${number % COLOURS})`}));
    }
  });
  return svg;
}

function legend(lines) {
  const rows = lines.map((line, number) => element("tr", {},
    element("td", {}, element("i", {style: `background: var(--c${number % COLOURS})`}), line.label),
    element("td", {class: "figure"}, short(line.points.at(-1)[1])),
    element("td", {class: "figure quiet"}, `most ${short(Math.max(...line.points.map(([, value]) => value)))}`)));
  return element("table", {}, element("tbody", {}, ...rows));
}

async function draw(panel, place, start, end, step) {
  const unit = panel.unit ? ` ${panel.unit}` : "";
  const title = element("h2", {}, panel.title, element("span", {}, unit));
  try {
    const lines = await series(panel, start, end, step);
    place.replaceChildren(title, ...(lines.length
      ? [picture(panel, lines, start, end), legend(lines)]
      : [element("p", {class: "quiet"}, "Nothing is known of this yet.")]));
  } catch (error) {
    place.replaceChildren(title, element("p", {class: "critical"}, `${error.message}`));
  }
}

async function alerts(place) {
  const {alerts: all} = await ask("alerts");
  const order = {firing: 0, pending: 1};
  all.sort((a, b) => order[a.state] - order[b.state] || a.labels.severity.localeCompare(b.labels.severity));
  if (!all.length) {
    place.replaceChildren(element("p", {class: "good"}, "None."));
    return [];
  }
  const rows = all.map((one) => element("tr", {},
    element("td", {class: one.state === "firing" ? one.labels.severity : "quiet"},
      one.state === "firing" ? one.labels.severity : "perhaps"),
    element("td", {}, one.labels.alertname),
    element("td", {}, one.annotations.summary),
    element("td", {}, `since ${new Date(one.activeAt).toLocaleString()}`),
    element("td", {class: "quiet"}, one.annotations.runbook)));
  place.replaceChildren(element("table", {}, element("tbody", {}, ...rows)));
  return all.filter((one) => one.state === "firing");
}

async function refresh(panels, places) {
  const range = Number(document.querySelector("#range").value);
  const end = Date.now() / 1000, start = end - range, step = Math.max(range / POINTS, 5);
  const state = document.querySelector("#state");
  try {
    const firing = await alerts(document.querySelector("#alerts"));
    const {activeTargets: targets} = await ask("targets", {state: "active"});
    const up = targets.filter((target) => target.health === "up").length;
    state.textContent = `${up} of ${targets.length} targets answer. ${new Date().toLocaleTimeString()}`;
    document.title = `${firing.length ? `(${firing.length}) ` : ""}beanft: what happens`;
  } catch (error) {
    state.textContent = `Prometheus does not answer: ${error.message}`;
  }
  await Promise.all(panels.map((panel, number) => draw(panel, places[number], start, end, step)));
}

async function main() {
  const panels = await (await fetch("panels.json")).json();
  const places = panels.map(() => element("section"));
  document.querySelector("#panels").append(...places);
  let due;
  const again = async () => {
    clearTimeout(due);
    await refresh(panels, places);
    clearTimeout(due);
    due = setTimeout(again, REFRESH_SECONDS * 1000);
  };
  document.querySelector("#range").addEventListener("change", again);
  await again();
}

main().catch((error) => {
  document.querySelector("#state").textContent = `The page could not be drawn: ${error.message}`;
});
