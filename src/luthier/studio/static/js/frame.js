// The frame of every page: the theme without a load of the page, and the keyboard. Keys move the focus and press what is on the page
// anyway, so that whatever a key does a click does too: the filter is a search field, a row is a row of a table with a link in it.

const AFTER_G = 1000; // milliseconds for the second of two keys
const PLACES = { s: "/", n: "/new", m: "/models" };

// --- theme -------------------------------------------------------------------------------------------

const form = document.getElementById("theme");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { value } = event.submitter;
  // What is kept is for the pages to come; this one is changed whether or not the studio answers.
  fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: value }), redirect: "manual" }).catch(() => {});
  document.documentElement.dataset.theme = value;
  document.querySelector('meta[name="color-scheme"]').content = value;
  form.querySelector(`[value="${value === "dark" ? "light" : "dark"}"]`).focus(); // the one that was pressed is gone
});

// --- keys --------------------------------------------------------------------------------------------

const dialog = document.getElementById("keys");
let waiting = 0; // until when a second key is waited for

function help() {
  if (!dialog.open) dialog.showModal();
}

const rows = () => [...document.querySelectorAll("main tbody tr")].filter((row) => handle(row)?.checkVisibility());
const handle = (row) => row.querySelector("th a[href]") ?? row.querySelector("a[href]");
const row = () => document.activeElement.closest?.("main tbody tr");

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const at = all.indexOf(row());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  handle(next).focus();
  return true;
}

function press(element) {
  element?.click();
  return Boolean(element);
}

function go(key) {
  const link = [...document.querySelectorAll("nav.main a")].find((one) => one.getAttribute("href") === PLACES[key]);
  return press(link);
}

function filter() {
  const field = document.querySelector('[data-key="/"], main input[type="search"]');
  field?.focus();
  return Boolean(field);
}

const KEYS = {
  "/": filter,
  j: () => step(1),
  k: () => step(-1),
  x: () => press(row()?.querySelector('input[type="checkbox"]')),
  c: () => press(document.querySelector('[data-key="c"]')),
  ".": () => press(document.getElementById("pause")),
  "?": () => (help(), true),
};

// Where a key is a letter, or does something of its own.
const writes = (element) => element.isContentEditable
  || element.matches('textarea, select, input:not([type="checkbox"], [type="radio"], [type="button"], [type="submit"])');

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (document.body.dataset.keys === "off" || event.defaultPrevented || event.isComposing) return;
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || writes(target) || document.querySelector("dialog:modal")) return;
  const second = Date.now() < waiting;
  waiting = 0;
  if (second && PLACES[key]) {
    if (go(key)) event.preventDefault();
  } else if (key === "g") {
    waiting = Date.now() + AFTER_G;
  } else if (Object.hasOwn(KEYS, key) && KEYS[key]()) {
    event.preventDefault();
  }
});
document.getElementById("keys-open").addEventListener("click", help);
