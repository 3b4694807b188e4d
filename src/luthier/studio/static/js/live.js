// Keeps a page as it is now. The server says only that something changed; what is in view is then fetched again, one request at a
// time for each part, and merged into the page so that focus, scroll and open menus stay. Parts out of view wait until they are seen, or until nothing
// changed for a while: then the whole page is as it is now, also on paper.

import { say } from "./words.js";

const BETWEEN = 400; // milliseconds between two fetches of one part
const QUIET = 2000;
const HIDDEN = 5000; // a page that nobody sees lets go of its connection after so long
const AGAIN = 10000; // a studio that refuses is asked again after so long: it may be another one by then
const ALOUD = 10000;

const banner = document.getElementById("live");
const aloud = document.getElementById("aloud");
const button = document.getElementById("pause");
const parts = new Map();
let paused = false;
let source = null;
let last = null; // what was said last
let news = null; // when
let spoken = 0;
let quiet = false; // nothing changed for a while
let silence = null;

class Part {
  constructor(element) {
    this.element = element;
    this.seen = false;
    this.stale = this.late = "late" in element.dataset; // of some nothing is there before they are seen
    this.busy = false;
    this.next = 0;
    this.pause = Math.max(BETWEEN, 1000 * Number(element.dataset.patience ?? 0));
  }

  url() {
    return this.element.dataset.live + ("query" in this.element.dataset ? location.search : "");
  }

  async renew() {
    const wanted = this.seen || (quiet && !this.late);
    if (!this.stale || this.busy || !wanted || document.hidden || (paused && !this.asked)) return;
    const wait = this.next - Date.now();
    if (wait > 0) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.renew(), wait);
      return;
    }
    this.busy = true;
    this.stale = this.asked = this.late = false;
    try {
      await htmx.ajax("GET", this.url(), { source: this.element, target: this.element, swap: "innerMorph" });
      tellTimes();
    } catch (error) {
      console.warn(error);
    } finally {
      this.busy = false;
      this.next = Date.now() + this.pause;
      if (this.stale) this.renew();
    }
  }
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const part = parts.get(entry.target);
    part.seen = entry.isIntersecting;
    if (part.seen) part.renew();
  }
}, { rootMargin: "200px" });

function changed() {
  quiet = false;
  clearTimeout(silence);
  silence = setTimeout(() => {
    quiet = true;
    for (const part of parts.values()) part.renew();
  }, QUIET);
  for (const part of parts.values()) {
    part.stale = true;
    part.renew();
  }
  if (!paused) document.dispatchEvent(new CustomEvent("luthier:changed"));
}

const clock = (date) => date?.toLocaleTimeString() ?? "–";

function show(state, text) {
  if (banner && banner.textContent !== text) banner.textContent = text;
  if (banner) banner.dataset.state = state;
}

function announce(before, now) {
  if (!before || Date.now() - spoken < ALOUD) return;
  const said = [];
  if (now.best && now.best !== before.best) said.push(say("announce.best", { best: now.best }));
  if (now.state !== before.state) said.push(say("announce.state", { state: now.state }));
  if (now.failed > before.failed) said.push(say("announce.failed", { n: now.failed }));
  if (!said.length) return;
  spoken = Date.now();
  aloud.textContent = said.join(" ");
}

function open(url) {
  if (source || !url || paused) return;
  source = new EventSource(url);
  source.addEventListener("changed", (event) => {
    const now = JSON.parse(event.data);
    news = new Date();
    if (now.error) return show("away", say("live.trouble", { error: now.error }));
    show("on", say("live.on"));
    if (event.data === JSON.stringify(last)) return;
    announce(last, now);
    const known = last === null && String(now.seq) === listens.dataset.seq; // the page is as new as this
    last = now;
    if (!known) changed();
  });
  source.onopen = () => {
    if (banner?.dataset.state !== "off") changed(); // what was asked for meanwhile may not have come
    show("on", say("live.on"));
  };
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) {
      source = null;
      show("gone", say("live.gone"));
      setTimeout(() => document.hidden || open(url), AGAIN);
    } else {
      show("away", say("live.away", { at: clock(news) }));
    }
  };
}

function close() {
  source?.close();
  source = null;
  show("off", say("live.off"));
}

function pause() {
  paused = !paused;
  button.textContent = say(paused ? "live.resume" : "live.pause");
  if (paused) {
    close();
    show("paused", say("live.paused", { at: clock(new Date()) }));
  } else {
    open(url);
    changed();
  }
}

function ago(date, now = new Date()) {
  const seconds = Math.max(0, (now - date) / 1000);
  if (seconds < 5) return say("ago.now");
  const units = [[60, "second"], [3600, "minute"], [86400, "hour"], [Infinity, "day"]];
  const sizes = { second: 1, minute: 60, hour: 3600, day: 86400 };
  const unit = units.find(([limit]) => seconds < limit)[1];
  const count = Math.floor(seconds / sizes[unit]);
  return say("ago", { time: `${count} ${unit}${count === 1 ? "" : "s"}` });
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    const text = ago(date);
    if (time.textContent !== text) time.textContent = text;
    time.title = date.toLocaleString();
  }
}

// Who looks asked for something else: that is fetched at once, paused or not.
document.addEventListener("luthier:asked", () => {
  for (const part of parts.values()) {
    part.stale = part.asked = true;
    part.next = 0;
    part.renew();
  }
  document.dispatchEvent(new CustomEvent("luthier:changed"));
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-retry]");
  const part = link && parts.get(link.closest("[data-live]"));
  if (!part) return;
  event.preventDefault();
  part.stale = part.asked = true;
  part.next = 0;
  part.renew();
});

for (const element of document.querySelectorAll("[data-live]")) {
  parts.set(element, new Part(element));
  observer.observe(element);
}
const listens = document.querySelector("[data-events]");
const url = listens?.dataset.events;
let leaving;
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (paused) return;
  if (document.hidden) leaving = setTimeout(close, HIDDEN);
  else {
    open(url);
    for (const part of parts.values()) part.renew();
    document.dispatchEvent(new CustomEvent("luthier:seen"));
  }
});
button?.addEventListener("click", pause);
if (!document.hidden) open(url);
tellTimes();
setInterval(tellTimes, 10000);
