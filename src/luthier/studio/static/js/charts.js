// Draws charts from the numbers that the server has reduced for them. Colours are the page's, in both themes; every chart has a
// sentence and a table beside it, so the picture itself is hidden from screen readers.

import { say } from "./words.js";

const drawn = new Map();

// A token is light-dark(...): which of the two it is is known where it is used, and the canvas makes a #rrggbb of any colour.
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);
const pen = document.createElement("canvas").getContext("2d");

function token(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  if (!text.startsWith("light-dark(")) return text;
  probe.style.color = `var(${name})`;
  pen.fillStyle = getComputedStyle(probe).color;
  return pen.fillStyle;
}

function axis(name, more = {}) {
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: 30,
    nameTextStyle: { color: token("--soft") },
    axisLabel: { color: token("--soft"), hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: token("--edge") } },
    splitLine: { lineStyle: { color: token("--line") } },
    ...more,
  };
}

function frame() {
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 70, right: 16, top: 34, bottom: 46 },
    legend: { top: 0, left: 0, textStyle: { color: token("--ink") }, itemHeight: 9, itemWidth: 16 },
    // Drawn on the canvas: a tooltip of HTML would want styles that the page's policy forbids.
    tooltip: {
      renderMode: "richText",
      backgroundColor: token("--panel"),
      borderColor: token("--edge"),
      textStyle: { color: token("--ink") },
      confine: true,
    },
  };
}

const short = (value) => Number(value).toPrecision(5).replace(/\.?0+($|e)/, "$1");

const tools = { axis, frame, token, say, short };

class Chart {
  constructor(box) {
    this.box = box;
    this.seen = false;
    this.stale = true;
    this.busy = false;
  }

  async renew() {
    if (!this.stale || this.busy || !this.seen || document.hidden) return;
    this.busy = true;
    this.stale = false;
    try {
      this.kind ??= await import(this.box.dataset.chart);
      const answer = await fetch(this.box.dataset.src, { cache: "no-cache" });
      if (!answer.ok) throw new Error(await answer.text());
      const version = answer.headers.get("etag");
      if (version !== this.version || !this.data) {
        this.version = version;
        this.data = await answer.json();
        this.draw();
      }
      this.failed = false;
    } catch (error) {
      this.failed = true;
      this.data = null; // what is fetched next is drawn, whether or not it is the same
      this.chart?.dispose();
      this.chart = null;
      this.box.removeAttribute("data-empty");
      this.box.textContent = say("chart.failed", { error: error.message });
      this.box.removeAttribute("aria-hidden");
    } finally {
      this.busy = false;
      if (this.stale) setTimeout(() => this.renew(), 400);
    }
  }

  draw() {
    if (!this.data) return;
    this.box.toggleAttribute("data-empty", this.data.empty ?? !(this.data.ended ?? this.data.steps));
    if ("empty" in this.box.dataset) return;
    if (!this.chart) {
      this.box.textContent = "";
      this.box.setAttribute("aria-hidden", "true");
      this.chart = echarts.init(this.box, null, { renderer: "canvas" });
      this.chart.on("click", ({ value }) => {
        if (this.box.dataset.trial && value?.[2] !== undefined) location.href = this.box.dataset.trial + value[2];
      });
    }
    this.chart.setOption(this.kind.draw(this.data, tools), { notMerge: true });
    performance.mark("luthier-chart");
  }
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chart = drawn.get(entry.target);
    if (!chart) continue;
    chart.seen = entry.isIntersecting;
    if (chart.seen) chart.renew();
  }
}, { rootMargin: "200px" });
const sizes = new ResizeObserver((entries) => {
  for (const entry of entries) drawn.get(entry.target)?.chart?.resize();
});

function find() {
  for (const [box, chart] of drawn) {
    if (!box.isConnected) {
      chart.chart?.dispose();
      drawn.delete(box);
    }
  }
  for (const box of document.querySelectorAll("[data-chart]")) {
    if (drawn.has(box)) continue;
    drawn.set(box, new Chart(box));
    observer.observe(box);
    sizes.observe(box);
  }
}

document.addEventListener("luthier:changed", () => {
  find();
  for (const chart of drawn.values()) {
    chart.stale = true;
    chart.renew();
  }
});
document.addEventListener("luthier:seen", () => drawn.forEach((chart) => {
  chart.stale ||= chart.failed;
  chart.renew();
}));
document.addEventListener("htmx:after:swap", find);
const redraw = () => drawn.forEach((chart) => chart.draw());
for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", redraw);
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
find();
