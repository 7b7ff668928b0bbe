// Follows a training without reloading the page; without JavaScript the page reloads itself.
const box = document.getElementById("progress");

async function look() {
  try {
    const answer = await fetch(box.dataset.status, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const job = await answer.json();
    box.querySelector("progress").value = job.progress;
    box.querySelector("[data-message]").textContent = job.message;
    const state = box.querySelector("[data-state]");
    state.textContent = job.state;
    state.className = `state ${job.state}`;
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
