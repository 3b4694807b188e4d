// The form of a new study. It posts itself a moment after every change; the server says what that comes to, and the page puts it in its
// place: counts and sentences at once, whole parts only where something else was chosen. Lists of values are shown as chips over the
// text field that the form sends. Everything works without this script too, more slowly.

import { say } from "./words.js";

const LIVE = ["count", "split", "summary", "code"]; // parts without fields of their own
const WAIT = 150; // milliseconds after the last key
const form = document.getElementById("draft");
const saved = document.getElementById("saved");
const chips = new Map(); // text field -> Chips
let timer = null;
let busy = false;
let again = false; // something was changed since the last answer
const asked = []; // buttons and choices that wait for theirs
let known = new Map(); // part -> its markup, as it came last

document.documentElement.classList.add("scripting");

// --- chips ------------------------------------------------------------------------------------

const KINDS = [[/^none$/i, "None"], [/^(true|false)$/i, "bool"], [/^[+-]?\d+$/, "int"], [/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, "float"]];
const kindOf = (text) => KINDS.find(([pattern]) => pattern.test(text))?.[1] ?? "str";

// The parts of a list, at commas, semicolons, tabs and ends of lines outside quotes: as the server parts them.
function pieces(text) {
  const found = [];
  let piece = "", quote = "";
  for (const sign of text) {
    if (quote) { piece += sign; if (sign === quote) quote = ""; }
    else if (",;\n\t".includes(sign)) { found.push(piece.trim()); piece = ""; }
    else { if (`"'`.includes(sign) && !piece.trim()) quote = sign; piece += sign; }
  }
  return [...found, piece.trim()].filter(Boolean);
}

class Chips {
  constructor(field) {
    this.field = field;
    this.box = field.parentElement;
    this.values = JSON.parse(this.box.dataset.chips || "[]");
    this.list = document.createElement("span");
    this.list.className = "list";
    this.entry = field.cloneNode();
    this.entry.removeAttribute("name");
    this.entry.value = "";
    this.entry.title = say("drafts.chip.keys");
    field.type = "hidden";
    for (const name of ["id", "list", "aria-label", "aria-describedby", "aria-invalid"]) field.removeAttribute(name);
    this.box.append(this.list, this.entry);
    this.entry.addEventListener("keydown", (event) => this.typed(event));
    this.entry.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (pieces(text).length < 2 && !text.includes("..")) return;
      event.preventDefault();
      this.add(this.entry.value + text);
    });
    this.entry.addEventListener("input", (event) => {
      event.stopPropagation(); // what is half typed is no value yet
      if (/[,;]/.test(this.entry.value.replace(/"[^"]*"?|'[^']*'?/g, ""))) this.add(this.entry.value); // keyboards without key events
    });
    this.entry.addEventListener("change", (event) => { event.stopPropagation(); this.add(this.entry.value); });
    this.box.addEventListener("click", (event) => { if (event.target === this.box || event.target === this.list) this.entry.focus(); });
    this.draw();
  }

  typed(event) {
    const start = this.entry.selectionStart === 0 && this.entry.selectionEnd === 0;
    if (event.key === "Enter") {
      event.preventDefault();
      this.add(this.entry.value);
    } else if (event.key === "Backspace" && start && !this.entry.value && this.values.length) {
      event.preventDefault();
      this.edit(this.values.length - 1);
    } else if (event.key === "ArrowLeft" && start && this.values.length) {
      event.preventDefault();
      this.focus(this.values.length - 1);
    }
  }

  add(text) {
    this.entry.value = "";
    const found = pieces(text);
    if (!found.length) return;
    const same = (one) => (chip) => chip.text === one;
    for (const one of found) {
      if (!this.values.some(same(one))) this.values.push({ text: one, kind: kindOf(one), problem: null });
    }
    this.changed();
  }

  edit(place) {
    const [chip] = this.values.splice(place, 1);
    this.changed();
    this.entry.value = chip.text;
    this.entry.focus();
  }

  remove(place) {
    this.values.splice(place, 1);
    this.changed();
    if (this.values.length) this.focus(Math.min(place, this.values.length - 1));
    else this.entry.focus();
  }

  focus(place) {
    const all = this.list.querySelectorAll(".chip > .value");
    if (place >= all.length || place < 0) this.entry.focus();
    else all[place].focus();
  }

  changed() {
    this.field.value = this.values.map((chip) => chip.text).join(", ");
    this.draw();
    soon();
  }

  // What the server made of the list: spans written out, types, refusals. Not where it was changed meanwhile.
  told(sent, text, list) {
    if (this.field.value !== sent) return;
    const had = this.list.contains(document.activeElement);
    const place = had ? [...this.list.children].indexOf(document.activeElement.closest(".chip")) : -1;
    const now = JSON.stringify(list);
    if (now === JSON.stringify(this.values)) return;
    this.values = list;
    this.field.value = list.map((chip) => chip.text).join(", ");
    this.draw();
    if (had) this.focus(Math.min(place, list.length - 1));
  }

  draw() {
    this.list.replaceChildren(...this.values.map((chip, place) => this.chip(chip, place)));
    this.entry.placeholder = this.values.length ? "" : this.field.placeholder;
    this.entry.toggleAttribute("aria-invalid", false);
    if (this.values.some((chip) => chip.problem)) this.entry.setAttribute("aria-invalid", "true");
  }

  chip({ text, kind, problem }, place) {
    const made = document.createElement("span");
    made.className = "chip";
    made.dataset.kind = kind;
    if (problem) made.dataset.wrong = "";
    const value = document.createElement("button");
    value.type = "button";
    value.className = "value";
    value.tabIndex = -1;
    value.append(text + " ");
    const word = document.createElement("small");
    word.textContent = kind;
    value.append(word);
    value.setAttribute("aria-label", problem ? say("drafts.chip.wrong", { text, kind, problem }) : say("drafts.chip", { text, kind }));
    if (problem) value.title = problem;
    value.addEventListener("click", () => this.edit(place));
    value.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: this.values.length - 1 };
      if (event.key in moves) { event.preventDefault(); this.focus(Math.max(0, moves[event.key])); if (moves[event.key] >= this.values.length) this.entry.focus(); }
      else if (event.key === "Delete") { event.preventDefault(); this.remove(place); }
      else if (event.key === "Backspace") { event.preventDefault(); this.edit(place); }
    });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.tabIndex = -1;
    remove.textContent = "×";
    remove.setAttribute("aria-label", say("drafts.chip.remove", { text }));
    remove.addEventListener("click", () => this.remove(place));
    made.append(value, remove);
    return made;
  }
}

function enhance(inside) {
  for (const field of inside.querySelectorAll(".chips > input[name]")) {
    if (!chips.has(field)) chips.set(field, new Chips(field));
  }
  for (const field of chips.keys()) if (!field.isConnected) chips.delete(field);
}

// --- what is told -----------------------------------------------------------------------------

// A part anew: what had the focus, what was open and what was half typed is so again.
function put(part, markup) {
  if (LIVE.includes(part) && known.get(part) === markup) return;
  known.set(part, markup);
  const box = document.querySelector(`[data-part="${part}"]`);
  const focused = box.contains(document.activeElement) ? document.activeElement.id : null;
  const ends = focused && document.activeElement.selectionStart !== undefined ? [document.activeElement.selectionStart, document.activeElement.selectionEnd] : null;
  const half = [...chips].filter(([field, made]) => box.contains(field) && made.entry.value).map(([field, made]) => [field.name, made.entry.value]);
  const opened = [...box.querySelectorAll("details[open][id]")].map((one) => one.id);
  box.innerHTML = markup;
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  enhance(box);
  for (const [field, made] of chips) {
    const text = half.find(([name]) => name === field.name)?.[1];
    if (text) made.entry.value = text;
  }
  const again = focused && document.getElementById(focused);
  if (again) {
    again.focus({ preventScroll: true });
    try { if (ends?.[0] != null) again.setSelectionRange(...ends); } catch { /* not a field of text */ }
  }
}

function tell(sent, answer) {
  for (const [part, markup] of Object.entries(answer.parts)) put(part, markup);
  for (const box of form.querySelectorAll("[data-problem]")) {
    const text = answer.problems[box.dataset.problem] ?? "";
    if (box.textContent !== text) box.textContent = text;
  }
  for (const field of form.querySelectorAll(":is(input, select)[aria-describedby^='problem-']")) {
    const wrong = (field.getAttribute("aria-describedby").split(" ")[0].slice(8)) in answer.problems;
    if (wrong) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  for (const [field, made] of chips) {
    const name = field.name.slice("multiple.".length);
    if (answer.chips[name]) made.told(sent.get(field.name) ?? "", answer.chips[name].text, answer.chips[name].list);
  }
  for (const box of form.querySelectorAll("[data-kind-of]")) {
    box.textContent = box.dataset.kind = answer.kinds[box.dataset.kindOf] ?? "";
  }
  for (const [name, text] of Object.entries(answer.hints)) {
    const box = document.getElementById(`hint-${name}`);
    if (box && box.textContent !== text) box.textContent = text;
  }
  const touched = new Set(answer.touched);
  for (const row of form.querySelectorAll("[data-param]")) row.toggleAttribute("data-touched", touched.has(row.dataset.param));
  filter();
  if (answer.pending) timer = setTimeout(send, 700);
  if ("kept" in answer) {
    saved.textContent = answer.kept ? say("drafts.saved") : say("drafts.saved.not");
    if (answer.kept) history.replaceState(null, "", `/new?draft=${encodeURIComponent(form.elements.draft.value)}`);
  }
}

const written = () => new URLSearchParams(new FormData(form));

// Asks what the form comes to; with `more`, a button or a choice that changes fields, one after the other.
function send(more = null) {
  clearTimeout(timer);
  if (more) asked.push(more);
  else again = true;
  if (!busy) work();
}

async function work() {
  busy = true;
  form.setAttribute("aria-busy", "true");
  try {
    while (asked.length || again) {
      const [ask] = asked;
      if (!ask) again = false;
      const fields = written(), before = fields.toString();
      for (const [name, value] of Object.entries(ask ?? {})) fields.set(name, value);
      const answer = await fetch("/new/count", { method: "POST", body: fields, headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(await answer.text());
      const told = await answer.json();
      // Fields that were changed meanwhile are not written over: the same is asked again, of what the form says by now.
      if (ask && written().toString() !== before) continue;
      if (ask) asked.shift();
      else if (asked.length || again) continue; // the latest wins
      tell(joined(fields), told);
    }
  } catch (error) {
    asked.length = 0;
    saved.textContent = say("drafts.away");
    console.warn(error);
  } finally {
    busy = false;
    form.removeAttribute("aria-busy");
  }
}

// One fit, which may take a minute; the form is counted on meanwhile.
async function measure(button) {
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  saved.textContent = say("drafts.measuring");
  try {
    const answer = await fetch("/new/measure", { method: "POST", body: written(), headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(await answer.text());
    saved.textContent = "";
    send();
  } catch (error) {
    saved.textContent = say("drafts.away");
    console.warn(error);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

const joined = (fields) => new Map([...new Set(fields.keys())].map((name) => [name, fields.getAll(name).join(", ")]));

function soon() {
  clearTimeout(timer);
  form.setAttribute("aria-busy", "true");
  timer = setTimeout(send, WAIT);
}

// --- what is only looked for ------------------------------------------------------------------

function filter() {
  const find = form.elements.find?.value.trim().toLowerCase() ?? "";
  const show = form.elements.show?.value ?? "every";
  let any = false;
  for (const one of form.querySelectorAll("#estimators label")) {
    const words = one.dataset.words.split(" ");
    const fits = words.includes(show) && (show !== "boosting" || words.includes("fitting"));
    one.hidden = !(one.querySelector("input").checked || (fits && one.dataset.name.includes(find)));
    any ||= !one.hidden && fits;
  }
  const nothing = document.getElementById("estimators-none");
  if (nothing) nothing.hidden = any;
  const text = document.getElementById("filter")?.value.trim().toLowerCase() ?? "";
  const changed = document.getElementById("changed")?.checked;
  let rows = 0;
  for (const row of form.querySelectorAll("[data-param]")) {
    row.hidden = !(row.dataset.param.toLowerCase().includes(text) && (!changed || "touched" in row.dataset));
    rows += !row.hidden;
  }
  const rest = document.getElementById("rest");
  const found = rest?.querySelector("[data-param]:not([hidden])");
  if (rest && (text || changed)) { rest.open = Boolean(found); rest.hidden = !found; }
  else if (rest) rest.hidden = false;
  const none = document.getElementById("filter-none");
  if (none) none.hidden = rows > 0;
}

// --- events -----------------------------------------------------------------------------------

form.addEventListener("input", (event) => {
  if ("local" in event.target.dataset) return filter();
  if (event.target.type === "radio" || event.target.type === "checkbox" || event.target.tagName === "SELECT") return; // change says it
  soon();
});
form.addEventListener("change", (event) => {
  if ("local" in event.target.dataset) return filter();
  const what = event.target.dataset.changes;
  if (what) send({ changed: what });
  else soon();
});

form.addEventListener("submit", (event) => {
  const button = event.submitter;
  for (const made of chips.values()) made.add(made.entry.value);
  if (button?.name === "do") {
    event.preventDefault();
    send({ do: button.value });
  } else if (button?.id === "measure") {
    event.preventDefault();
    measure(button);
  } else if (button?.id === "save") {
    event.preventDefault();
    send();
  }
});
form.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Enter" || field.tagName !== "INPUT" || ["radio", "checkbox"].includes(field.type)) return;
  event.preventDefault(); // Enter in a field counts, it does not run
  if ("local" in field.dataset) filter();
  else send();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  const said = document.querySelector(`[data-copied="${button.dataset.copy}"]`);
  try {
    await navigator.clipboard.writeText(text.textContent);
    said.textContent = say("drafts.copied");
  } catch {
    getSelection().selectAllChildren(text);
    said.textContent = say("drafts.copied.not");
  }
});
document.addEventListener("keydown", (event) => {
  const tip = event.key === "Escape" && document.querySelector(".tip[open]");
  if (!tip) return;
  tip.open = false;
  tip.querySelector("summary").focus();
});
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.(".tip[open]")) return;
  for (const other of document.querySelectorAll(".tip[open]")) if (other !== event.target) other.open = false;
}, true);
// A link to a field that lies in something closed opens it.
addEventListener("hashchange", reveal);
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let box = target?.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  if (target?.matches("input, select, button")) target.focus();
}

enhance(document);
filter();
reveal();
document.getElementById("refused")?.focus();
