// Saves a figure as a PNG: twice the size, on white, in the light colours, with its title.
import { Chart } from "chart.js";
import { configure } from "./config.js";
import { theme } from "./theme.js";

const SCALE = 2;
const WIDTH = 900;
const MARGIN = 24;
const TITLE = 44;

// The colours as on a light page, whatever the page is: what is saved goes on white paper.
function lightTheme() {
  const probe = document.createElement("div");
  probe.className = "on-paper";
  document.body.append(probe);
  const look = theme(probe);
  probe.remove();
  return look;
}

function picture(figure, byHand, look) {
  const canvas = document.createElement("canvas");
  const lines = figure.labels.length;
  let height = Math.max(540, figure.options.horizontal ? 26 * lines + 90 : 0);
  if (figure.shape === "matrix") height = WIDTH + 40;
  if (figure.shape === "heat") height = Math.max(320, Math.min(WIDTH, 60 + 60 * lines));
  if (byHand) {
    byHand.paint(canvas, SCALE, WIDTH, height, look);
    return canvas;
  }
  canvas.width = WIDTH;
  canvas.height = height;
  const config = configure(look, figure);
  Object.assign(config.options, { responsive: false, animation: false, devicePixelRatio: SCALE });
  const chart = new Chart(canvas, config);
  chart.draw();
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  copy.getContext("2d").drawImage(canvas, 0, 0);
  chart.destroy();
  return copy;
}

export function savePng(figure, byHand) {
  const look = lightTheme();
  const drawn = picture(figure, byHand, look);
  const paper = document.createElement("canvas");
  paper.width = drawn.width + 2 * MARGIN * SCALE;
  paper.height = drawn.height + (2 * MARGIN + TITLE) * SCALE;
  const ctx = paper.getContext("2d");
  ctx.fillStyle = "#ffffff";
  ctx.fillRect(0, 0, paper.width, paper.height);
  ctx.fillStyle = look.ink;
  ctx.font = `600 ${20 * SCALE}px ${look.font}`;
  ctx.textBaseline = "top";
  ctx.fillText(figure.title, MARGIN * SCALE, MARGIN * SCALE, paper.width - 2 * MARGIN * SCALE);
  ctx.drawImage(drawn, MARGIN * SCALE, (MARGIN + TITLE) * SCALE);
  paper.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${figure.title.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 60) || "figure"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}
