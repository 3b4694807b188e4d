// What a page of a model does beyond forms and links: copies a command, and says of a file that is too large so before it is sent.

import { say } from "./words.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy], button[data-copy-from]");
  if (!button) return;
  const { copy, copyFrom } = button.dataset;
  const text = copyFrom ? await (await fetch(copyFrom, { cache: "no-store" })).text() : document.getElementById(copy).textContent;
  await put(text);
  // For who has no clipboard; what is live on the page takes the token away again.
  if (copyFrom) document.getElementById("curl-command").textContent = text;
  const before = button.textContent;
  button.textContent = say("models.copied");
  document.getElementById("aloud").textContent = say("models.copied");
  setTimeout(() => { button.textContent = before; }, 1500);
});

// Browsers have a clipboard only where the page came by https or from this machine; elsewhere a selection is copied.
async function put(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const file = form.querySelector("input[type=file]")?.files?.[0];
  const trouble = form.querySelector("[role=alert]");
  const most = Number(form.dataset.most);
  if (file && trouble && most && file.size > most) {
    event.preventDefault();
    trouble.hidden = false;
    trouble.textContent = say("models.table.large", { most: `${most / 1e6} MB`, name: decodeURIComponent(form.dataset.name.split("/")[2]) });
    return;
  }
  if (form.method === "post") form.setAttribute("aria-busy", "true");
});
