// Follows a training without reloading the page; without JavaScript the page reloads itself.
const box = document.getElementById("progress");

function fill(result) {
  const row = document.getElementById(`result-${result.estimator}`);
  if (!row) return;
  for (const cell of row.querySelectorAll("[data-cell]")) {
    cell.textContent = result[cell.dataset.cell] ?? "";
  }
  row.querySelector(".state").className = `state ${result.state}`;
}

async function look() {
  try {
    const answer = await fetch(box.dataset.status, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const job = await answer.json();
    box.querySelector("progress").value = job.progress;
    const message = box.querySelector("[data-message]");
    if (message.textContent !== job.message) message.textContent = job.message;
    const state = box.querySelector("[data-state]");
    state.textContent = job.state;
    state.className = `state ${job.state}`;
    job.results.forEach(fill);
    if (!job.active) {
      location.reload();
      return;
    }
  } catch {
    // A deploy may be under way: ask again.
  }
  setTimeout(look, 1000);
}

if (box) setTimeout(look, 500);
