// A button beside each password shows what was typed; without JavaScript there is none.
for (const input of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small plain reveal";
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-label", `${shown ? "Hide" : "Show"} what is typed: ${input.labels[0]?.textContent ?? ""}`);
  };
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // Sent as a password: browsers offer to keep it, and don't remember it among other words.
  input.form?.addEventListener("submit", () => show(false));
  const both = document.createElement("div");
  both.className = "revealed";
  input.replaceWith(both);
  both.append(input, button);
  show(false);
}
