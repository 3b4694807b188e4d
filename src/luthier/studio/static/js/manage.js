// Small conveniences of pages that work without them: an address is copied, a log is followed.

import { say } from "./words.js";

const EVERY = 2000; // milliseconds between two looks at a log that grows
const MOST = 200000; // letters of a log on the page

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select?.();
  try {
    await navigator.clipboard.writeText(field.value ?? field.textContent);
  } catch {
    document.execCommand("copy"); // without https there is no clipboard but this
  }
  button.textContent = say("settings.copied");
});

// --- the log of a trial that runs ----------------------------------------------------------------

const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24;
let pinned = true;

function toEnd() {
  const log = document.getElementById("log");
  if (log?.dataset.log && pinned) log.scrollTop = log.scrollHeight;
}

async function look() {
  const log = document.getElementById("log");
  if (!log?.dataset.log || document.hidden) return;
  try {
    const answer = await fetch(`${log.dataset.log}?after=${log.dataset.size}`);
    if (!answer.ok) return;
    const { text, size } = await answer.json();
    if (!text || String(size) === log.dataset.size) return;
    log.textContent = (log.textContent + text).slice(-MOST);
    log.dataset.size = size;
    toEnd();
  } catch {
    // the banner of the page says that the studio is away
  }
}

document.addEventListener("scroll", ({ target }) => {
  if (target.id === "log") pinned = atEnd(target);
}, true);
document.addEventListener("htmx:after:swap", toEnd);
if (document.querySelector("[data-events]")) setInterval(look, EVERY);
toEnd();
