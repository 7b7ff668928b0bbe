// Heat maps and scatter matrices, which Chart.js has none of: drawn by hand on a canvas.
import { alpha, groupColours, mix, readable } from "./theme.js";

const SMALLEST_TEXT = 9;

function cut(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let end = text.length - 1;
  while (end > 1 && ctx.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}

function heatColour(look, { least, most }, value) {
  if (value === null) return look.line;
  if (least < 0) return mix(look.card, value < 0 ? look.low : look.high, Math.abs(value) / (value < 0 ? -least : most));
  return mix(look.card, look.high, 0.06 + (0.94 * (value - least)) / (most - least || 1));
}

export function drawHeat(ctx, look, figure, width, height) {
  const { values, rows, texts } = figure.series[0];
  const columns = figure.labels;
  const confusion = figure.options.confusion;
  ctx.font = `13px ${look.font}`;
  const widest = Math.max(...rows.map((name) => ctx.measureText(name).width));
  const left = Math.min(widest + 12, width * 0.32) + (figure.y ? 18 : 0);
  const cellWidth = (width - left) / columns.length;
  const longest = Math.max(...columns.map((name) => ctx.measureText(name).width));
  const upright = longest > cellWidth - 4; // names that don't fit stand
  const top = (figure.x ? 18 : 0) + (upright ? Math.min(longest + 14, 130) : 28);
  const cellHeight = (height - top) / rows.length;
  const size = Math.max(SMALLEST_TEXT, Math.min(13, cellWidth / 3.2));
  ctx.textBaseline = "middle";
  ctx.fillStyle = look.quiet;
  if (figure.x) {
    ctx.textAlign = "center";
    ctx.fillText(cut(ctx, figure.x, width - left), left + (width - left) / 2, 10);
  }
  if (figure.y) {
    ctx.save();
    ctx.translate(9, top + (height - top) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.textAlign = "center";
    ctx.fillText(cut(ctx, figure.y, height - top), 0, 0);
    ctx.restore();
  }
  ctx.fillStyle = look.ink;
  columns.forEach((name, column) => {
    const x = left + (column + 0.5) * cellWidth;
    if (upright) {
      ctx.save();
      ctx.translate(x, top - 8);
      ctx.rotate(-Math.PI / 2);
      ctx.textAlign = "left";
      ctx.fillText(cut(ctx, name, 116), 0, 0);
      ctx.restore();
      return;
    }
    ctx.textAlign = "center";
    ctx.fillText(name, x, top - 12);
  });
  ctx.textAlign = "right";
  rows.forEach((name, row) => {
    ctx.fillStyle = look.ink;
    ctx.font = `13px ${look.font}`;
    ctx.fillText(cut(ctx, name, left - (figure.y ? 26 : 8)), left - 8, top + (row + 0.5) * cellHeight);
    columns.forEach((_, column) => {
      const value = values[row][column];
      const colour = confusion && row !== column && value > 0
        ? mix(look.card, look.low, 0.15 + 0.85 * value)
        : heatColour(look, figure.options, value);
      const x = left + column * cellWidth;
      const y = top + row * cellHeight;
      ctx.fillStyle = colour;
      ctx.fillRect(x + 1, y + 1, cellWidth - 2, cellHeight - 2);
      if (cellWidth < 26 || cellHeight < 14) return;
      ctx.font = `${size}px ${look.font}`;
      ctx.textAlign = "center";
      ctx.fillStyle = readable(colour);
      const text = value === null ? "-" : texts ? String(texts[row][column]) : value.toFixed(2);
      ctx.fillText(text, x + cellWidth / 2, y + cellHeight / 2);
      ctx.textAlign = "right";
    });
  });
}

const COUNTS = 14;

export function drawMatrix(ctx, look, figure, width, height) {
  const names = figure.labels;
  const groups = figure.series;
  const colours = groupColours(look, groups.map((group) => group.name), figure.options.ordered);
  const legend = groups.length > 1 ? drawLegend(ctx, look, groups, colours, width, height) : 0;
  const size = Math.min(width / names.length, (height - legend) / names.length);
  const offset = (width - size * names.length) / 2;
  const gap = 3;
  const ranges = names.map((_, k) => {
    const all = groups.flatMap((group) => group.rows.map((row) => row[k]));
    return [Math.min(...all), Math.max(...all)];
  });
  const inner = size - 2 * gap - 8;
  const at = (k, value) => {
    const [low, high] = ranges[k];
    return gap + 4 + (high > low ? (value - low) / (high - low) : 0.5) * inner;
  };
  const radius = groups.reduce((sum, group) => sum + group.rows.length, 0) > 400 ? 1.2 : 1.9;
  names.forEach((name, row) => {
    names.forEach((_, column) => {
      const left = offset + column * size;
      const top = row * size;
      ctx.strokeStyle = look.line;
      ctx.lineWidth = 1;
      ctx.strokeRect(left + gap, top + gap, size - 2 * gap, size - 2 * gap);
      if (row === column) {
        drawCounts(ctx, groups, colours, ranges[row], row, left + gap + 4, top + size - gap - 2, inner, size * 0.55);
        ctx.fillStyle = look.ink;
        ctx.font = `600 ${Math.max(SMALLEST_TEXT, Math.min(13, size / 9))}px ${look.font}`;
        ctx.textAlign = "center";
        ctx.textBaseline = "top";
        ctx.fillText(cut(ctx, name, size - 4 * gap), left + size / 2, top + gap + 5);
        return;
      }
      groups.forEach((group, index) => {
        ctx.fillStyle = alpha(colours[index], 0.65);
        for (const point of group.rows) {
          ctx.beginPath();
          ctx.arc(left + at(column, point[column]), top + size - at(row, point[row]), radius, 0, 2 * Math.PI);
          ctx.fill();
        }
      });
    });
  });
}

function drawCounts(ctx, groups, colours, [low, high], k, left, bottom, width, height) {
  const counts = groups.map((group) => {
    const bins = new Array(COUNTS).fill(0);
    for (const row of group.rows) {
      const share = high > low ? (row[k] - low) / (high - low) : 0.5;
      bins[Math.min(COUNTS - 1, Math.floor(share * COUNTS))] += 1;
    }
    return bins;
  });
  const totals = counts[0].map((_, bin) => counts.reduce((sum, bins) => sum + bins[bin], 0));
  const most = Math.max(...totals, 1);
  for (let bin = 0; bin < COUNTS; bin += 1) {
    let base = bottom;
    counts.forEach((bins, index) => {
      const tall = (bins[bin] / most) * height;
      ctx.fillStyle = colours[index];
      ctx.fillRect(left + (bin * width) / COUNTS, base - tall, width / COUNTS - 0.5, tall);
      base -= tall;
    });
  }
}

// Draws names with their colours at the bottom; returns how much room they take.
function drawLegend(ctx, look, groups, colours, width, height) {
  ctx.font = `13px ${look.font}`;
  const most = width / 2 - 30;
  const names = groups.map((group) => cut(ctx, group.name, most));
  const wide = names.map((name) => ctx.measureText(name).width + 32);
  const lines = [[]];
  let used = 0;
  names.forEach((_, index) => {
    if (used + wide[index] > width && lines.at(-1).length) {
      lines.push([]);
      used = 0;
    }
    lines.at(-1).push(index);
    used += wide[index];
  });
  const room = lines.length * 20 + 8;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  lines.forEach((line, number) => {
    let x = (width - line.reduce((sum, index) => sum + wide[index], 0)) / 2;
    const y = height - room + 18 + number * 20;
    for (const index of line) {
      ctx.fillStyle = colours[index];
      ctx.beginPath();
      ctx.arc(x + 8, y, 5, 0, 2 * Math.PI);
      ctx.fill();
      ctx.fillStyle = look.ink;
      ctx.fillText(names[index], x + 18, y);
      x += wide[index];
    }
  });
  return room;
}
