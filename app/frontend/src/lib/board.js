// The dashboard: every change of its form asks for new figures and rows, the last one wins.
import { draw, fill, fillRows } from "./figure.js";

const WAIT_MS = 200; // of nothing typed

export function board(root) {
  const form = document.getElementById("filters");
  const figures = root.querySelector(".charts");
  const rows = document.getElementById("rows");
  const download = document.getElementById("download");
  let timer = 0;
  let under_way = null;

  // On a phone the filters would hide what they filter.
  if (matchMedia("(max-width: 56rem)").matches) form.querySelector("details").open = false;

  function query() {
    const sent = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...sent]) if (value === "" && name !== "by") sent.delete(name);
    return sent.toString();
  }

  function say(errors) {
    for (const place of root.querySelectorAll("[data-problem]")) {
      const names = place.dataset.problem.split(" ");
      const found = errors.find((error) => names.includes(error.field));
      place.textContent = found?.message ?? "";
      place.closest(".field")?.classList.toggle("wrong", Boolean(found));
    }
  }

  // A figure that the page didn't have yet is made like one that it has.
  function place(key) {
    const id = `figure-${key}`;
    if (document.getElementById(id) || !figures.firstElementChild) return;
    const made = figures.firstElementChild.cloneNode(true);
    made.id = id;
    made.querySelector(".chart-actions button")?.remove();
    figures.append(made);
  }

  function show(answer, asked) {
    Object.keys(answer.figures).forEach(place);
    for (const element of figures.children) {
      const key = element.id.replace("figure-", "");
      const figure = answer.figures[key];
      element.hidden = !figure;
      if (!figure) continue;
      fill(element, figure);
      draw(element, figure);
      element.querySelector("a[download]").href = `${root.dataset.csv}?${asked}${asked ? "&" : ""}figure=${key}`;
    }
    root.querySelector("[data-rows]").textContent = answer.rows;
    root.querySelectorAll("[data-mean]").forEach((place, i) => { place.textContent = answer.means[i][1]; });
    fillRows(rows, answer.table);
    const by = answer.sort.replace(/^-/, "");
    for (const button of rows.querySelectorAll("button.sort")) {
      const name = button.value.replace(/^-/, "");
      const here = by === name && answer.sort !== "";
      const down = here && answer.sort !== name;
      button.value = here && !down ? `-${name}` : name;
      const head = button.closest("th");
      if (here) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    download.href = `${root.dataset.csv}${asked ? "?" : ""}${asked}`;
    history.replaceState(null, "", `${location.pathname}${asked ? "?" : ""}${asked}`);
  }

  async function ask() {
    under_way?.abort();
    const mine = new AbortController();
    under_way = mine;
    const asked = query();
    root.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${root.dataset.board}?${asked}`, { signal: mine.signal });
      const body = await answer.json();
      if (answer.ok) {
        say([]);
        show(body, asked);
      } else {
        say(body.errors ?? []);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      document.getElementById("passed").append(" (could not be brought up to date)");
    }
    if (under_way === mine) root.removeAttribute("aria-busy");
  }

  // Fields outside the form are of it, too: listen where all are.
  root.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "sort") form.querySelector("input[name=sort]").value = event.submitter.value;
    clearTimeout(timer);
    ask();
  });
}
