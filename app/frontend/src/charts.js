// Draws every figure of a page, and lets a dashboard answer at once.
import { board } from "./lib/board.js";
import { follow, start } from "./lib/figure.js";

// What is out of sight is drawn when it comes near.
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    start(target);
  }
}, { rootMargin: "400px" });
for (const element of document.querySelectorAll("[data-chart]")) near.observe(element);
follow();

const found = document.getElementById("board");
if (found) board(found);
