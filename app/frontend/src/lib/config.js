// Chart.js configurations from figures, by shape.
import { POINT_STYLES, alpha, groupColours, still } from "./theme.js";

const short = (text, most = 22) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const percent = (value) => `${Math.round(value * 1000) / 10} %`;
const number = (value) => String(Number(Number(value).toPrecision(6)));

function axis(look, title, more = {}) {
  return {
    title: { display: Boolean(title), text: title, color: look.quiet },
    grid: { color: look.line },
    border: { color: look.line },
    ...more,
    ticks: { color: look.quiet, maxRotation: 50, ...more.ticks },
  };
}

// Whiskers: boxes have them from low to high, bars with errors from value − error to + error.
const whiskers = {
  id: "whiskers",
  afterDatasetsDraw(chart, _args, options) {
    const marks = options.marks;
    if (!marks) return;
    const { ctx } = chart;
    const across = chart.options.indexAxis === "y";
    const scale = across ? chart.scales.x : chart.scales.y;
    ctx.save();
    ctx.strokeStyle = options.color;
    ctx.fillStyle = options.color;
    chart.getDatasetMeta(0).data.forEach((bar, index) => {
      const mark = marks[index];
      if (!mark) return;
      const place = across ? bar.y : bar.x;
      const half = Math.min((across ? bar.height : bar.width) / 2, 60);
      const stroke = (a, b, fromPlace, toPlace, width) => {
        ctx.lineWidth = width;
        ctx.beginPath();
        if (across) {
          ctx.moveTo(a, fromPlace);
          ctx.lineTo(b, toPlace);
        } else {
          ctx.moveTo(fromPlace, a);
          ctx.lineTo(toPlace, b);
        }
        ctx.stroke();
      };
      const at = (value) => scale.getPixelForValue(value);
      for (const [from, to] of mark.stems) {
        stroke(at(from), at(to), place, place, 1.5);
        stroke(at(to), at(to), place - half / 2.5, place + half / 2.5, 1.5);
      }
      if (mark.line !== undefined) stroke(at(mark.line), at(mark.line), place - half, place + half, 2.5);
      for (const value of mark.dots ?? []) {
        ctx.globalAlpha = 0.65;
        ctx.beginPath();
        ctx.arc(across ? at(value) : place, across ? place : at(value), 2.5, 0, 2 * Math.PI);
        ctx.fill();
        ctx.globalAlpha = 1;
      }
    });
    ctx.restore();
  },
};

function base(look, figure, groups) {
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: still() ? false : { duration: 250 },
    color: look.ink,
    font: { family: look.font },
    plugins: {
      legend: {
        display: groups > 1,
        position: "bottom",
        labels: { color: look.ink, usePointStyle: true, boxHeight: 8 },
      },
      tooltip: { callbacks: {} },
    },
  };
}

function bars(look, figure) {
  const { options, series, labels, titles } = figure;
  const across = Boolean(options.horizontal);
  const colours = groupColours(look, series.map((s) => s.name), options.ordered);
  const chosen = base(look, figure, series.length);
  const format = options.percent ? percent : number;
  const shown = figure.labels.map((label) => short(label));
  const whole = series.every((entry) => entry.values.every(Number.isInteger));
  const values = axis(look, figure.y, {
    beginAtZero: true,
    stacked: options.stacked,
    ticks: { callback: (v) => format(v), precision: whole ? 0 : undefined },
  });
  const places = axis(look, figure.x, {
    stacked: options.stacked,
    grid: { display: false },
    ticks: { autoSkip: !across },
  });
  const { edges } = options;
  if (edges) {
    // Ranges stand where they are on the axis, so that its ticks are numbers and not names.
    Object.assign(places, { type: "linear", offset: false, min: edges[0], max: edges.at(-1) });
    places.ticks.callback = number;
  }
  chosen.indexAxis = across ? "y" : "x";
  chosen.scales = across ? { x: values, y: { ...places, title: { display: false } } } : { x: places, y: values };
  chosen.plugins.tooltip.callbacks.title = (items) => (titles.length ? titles : labels)[items[0].dataIndex];
  chosen.plugins.tooltip.callbacks.label = (item) => {
    const error = series[item.datasetIndex].errors?.[item.dataIndex];
    const value = format(across ? item.parsed.x : item.parsed.y);
    return `${item.dataset.label}: ${value}${error === undefined ? "" : ` ± ${format(error)}`}`;
  };
  const errors = series.length === 1 && series[0].errors;
  if (errors) {
    chosen.plugins.whiskers = {
      color: look.ink,
      marks: errors.map((error, i) => error && {
        stems: [-error, error].map((end) => [series[0].values[i], series[0].values[i] + end]),
      }),
    };
  }
  if (errors) {
    const ends = errors.flatMap((error, i) => [series[0].values[i] - error, series[0].values[i] + error]);
    values.suggestedMin = Math.min(0, ...ends);
    values.suggestedMax = Math.max(...ends);
  }
  const one = options.tone === "bad" ? look.bad : colours[0];
  const each = options.each ? groupColours(look, [...labels, ""], false).slice(0, labels.length) : null;
  return {
    type: "bar",
    plugins: [whiskers],
    data: {
      labels: edges ? undefined : shown,
      datasets: series.map((entry, index) => ({
        label: entry.name,
        data: edges ? entry.values.map((y, i) => ({ x: (edges[i] + edges[i + 1]) / 2, y })) : entry.values,
        backgroundColor: each ?? (series.length === 1 ? one : colours[index]),
        pointStyle: "rectRounded",
        borderColor: look.card,
        borderWidth: edges ? 1 : 0,
        borderRadius: edges ? 0 : 3,
        categoryPercentage: edges ? 1 : 0.85,
        barPercentage: edges ? 1 : 0.9,
        maxBarThickness: edges ? undefined : 56,
      })),
    },
    options: chosen,
  };
}

function boxes(look, figure) {
  const found = figure.series[0].boxes;
  const colours = groupColours(look, figure.labels, figure.options.ordered);
  const chosen = base(look, figure, 1);
  const ends = found.flatMap((box) => [box.low, box.high, ...box.outliers]);
  const least = Math.min(...ends);
  const most = Math.max(...ends);
  const room = (most - least) * 0.05 || 1;
  chosen.scales = {
    x: axis(look, figure.x, { grid: { display: false } }),
    y: axis(look, figure.y, {
      suggestedMin: least >= 0 ? Math.max(0, least - room) : least - room,
      suggestedMax: most + room,
      ticks: { callback: number },
    }),
  };
  chosen.plugins.tooltip.callbacks.label = (item) => {
    const box = found[item.dataIndex];
    return [
      `median ${number(box.median)}`,
      `middle half ${number(box.q1)} to ${number(box.q3)}`,
      `whiskers ${number(box.low)} to ${number(box.high)}`,
    ];
  };
  chosen.plugins.whiskers = {
    color: look.ink,
    marks: found.map((box) => ({
      stems: [[box.q1, box.low], [box.q3, box.high]],
      line: box.median,
      dots: box.outliers,
    })),
  };
  return {
    type: "bar",
    plugins: [whiskers],
    data: {
      labels: figure.labels.map((label) => short(label)),
      datasets: [{
        label: figure.series[0].name,
        data: found.map((box) => [box.q1, box.q3]),
        backgroundColor: colours.map((colour) => alpha(colour, 0.55)),
        borderColor: colours,
        borderWidth: 1.5,
        borderSkipped: false,
        maxBarThickness: 90,
      }],
    },
    options: chosen,
  };
}

function diagonal(look, figure) {
  if (!figure.options.diagonal) return [];
  const { least, most } = figure.options;
  const all = figure.series.flatMap((entry) => entry.points.flat());
  const [from, to] = [least ?? Math.min(...all), most ?? Math.max(...all)];
  return [{
    label: figure.options.diagonal,
    data: [{ x: from, y: from }, { x: to, y: to }],
    type: "line",
    borderColor: look.quiet,
    borderDash: [6, 5],
    borderWidth: 1.5,
    pointRadius: 0,
    pointHitRadius: 0,
    pointStyle: "line",
  }];
}

const PLAIN_POINTS = 1500; // above that points are small and pale

function points(look, figure) {
  const { series, options } = figure;
  const line = figure.shape === "lines";
  const colours = groupColours(look, series.map((s) => s.name), options.ordered);
  const count = series.reduce((sum, entry) => sum + entry.points.length, 0);
  const chosen = base(look, figure, series.length + (options.diagonal ? 1 : 0));
  const format = options.percent ? percent : number;
  const bounds = { min: options.least, max: options.most };
  chosen.scales = {
    x: axis(look, figure.x, { type: "linear", ...bounds, ticks: { callback: (v) => format(v) } }),
    y: axis(look, figure.y, { type: "linear", ...bounds, ticks: { callback: (v) => format(v) } }),
  };
  chosen.plugins.tooltip.callbacks.label = (item) =>
    `${item.dataset.label}: ${format(item.parsed.x)}, ${format(item.parsed.y)}`;
  if (count > PLAIN_POINTS) chosen.animation = false;
  return {
    type: line ? "line" : "scatter",
    data: {
      datasets: [
        ...series.map((entry, index) => ({
          label: entry.name,
          data: entry.points.map(([x, y]) => ({ x, y })),
          backgroundColor: alpha(colours[index], count > PLAIN_POINTS ? 0.45 : 0.75),
          borderColor: colours[index],
          borderWidth: line ? 2.5 : count > PLAIN_POINTS ? 0 : 1,
          pointRadius: line ? 4 : count > PLAIN_POINTS ? 2 : 4,
          pointHoverRadius: 6,
          pointStyle: POINT_STYLES[options.ordered ? 0 : index % POINT_STYLES.length],
        })),
        ...diagonal(look, figure),
      ],
    },
    options: chosen,
  };
}

export function configure(look, figure) {
  if (figure.shape === "bars") return bars(look, figure);
  if (figure.shape === "boxes") return boxes(look, figure);
  return points(look, figure);
}
