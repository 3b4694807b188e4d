// Draws charts from the numbers that the server has reduced for them. Colours are the page's, in both themes; every chart has a
// sentence and a table beside it, so the picture itself is hidden from screen readers.

import { say } from "./words.js";

const drawn = new Map();
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

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

function best(data) {
  const [low, high] = data.scale;
  const room = 0.04 * (high - low);
  const line = data.line.map(([x, y, n]) => [x, y, n]);
  if (line.length) line.push([data.ended, line.at(-1)[1], line.at(-1)[2]]);
  const series = [];
  if (data.density) {
    const [across, up] = data.cells;
    const most = Math.max(...data.density.map((cell) => cell[2]));
    const width = data.ended / across;
    const height = (high - low) / up;
    series.push({
      name: say("best.label.density"),
      type: "custom",
      silent: true,
      z: 1,
      itemStyle: { color: token("--heat-1") },
      data: data.density,
      encode: { x: -1, y: -1 },
      renderItem: (_, api) => {
        const [x, y, n] = [api.value(0), api.value(1), api.value(2)];
        const from = api.coord([x * width, low + (y + 1) * height]);
        const to = api.coord([(x + 1) * width, low + y * height]);
        return {
          type: "rect",
          shape: { x: from[0], y: from[1], width: to[0] - from[0] + 0.5, height: to[1] - from[1] + 0.5 },
          style: { fill: token("--heat-1"), opacity: 0.08 + 0.62 * Math.sqrt(n / most) },
        };
      },
    });
  }
  series.push({
    name: say("best.label.trial"),
    type: "scatter",
    symbolSize: data.dots.length > 500 ? 4 : 7,
    itemStyle: { color: token("--dot"), opacity: data.dots.length > 500 ? 0.6 : 0.85 },
    data: data.dots,
    z: 2,
  });
  series.push({
    name: say("best.label.best"),
    type: "line",
    step: "end",
    showSymbol: data.line.length < 60,
    symbolSize: 5,
    lineStyle: { width: 2, color: token("--accent") },
    itemStyle: { color: token("--accent") },
    data: line,
    z: 3,
  });
  if (data.failed.length) {
    const floor = data.goal === "max" ? low - room : high + room;
    series.push({
      name: say("best.label.failed"),
      type: "scatter",
      symbol: "path://M0,0L10,10M10,0L0,10",
      symbolSize: 7,
      itemStyle: { color: "transparent", borderColor: token("--bad"), borderWidth: 1.5 },
      data: data.failed.map(([x, n]) => [x, floor, n, true]),
      z: 2,
    });
  }
  const shape = frame();
  shape.tooltip.formatter = ({ value }) =>
    value[3] ? `#${value[2]}  ${say("best.label.failed")}` : `#${value[2]}  ${data.metric} ${short(value[1])}`;
  return {
    ...shape,
    xAxis: axis(say("best.label.x"), { min: 0, max: Math.max(1, data.ended), minInterval: 1 }),
    yAxis: axis(data.metric, { min: low - room, max: high + room, nameGap: 52, axisLabel: { color: token("--soft"), formatter: short, showMinLabel: false, showMaxLabel: false } }),
    series,
  };
}

function curve(data) {
  const folds = data.kind === "folds";
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ({ value }) => `${say(folds ? "trial.fold" : "trial.step")} ${value[0]}: ${short(value[1])}`;
  return {
    ...shape,
    grid: { ...shape.grid, top: 14 },
    xAxis: axis(say(folds ? "trial.fold" : "trial.step"), folds
      ? { type: "category", data: data.points.map(([fold]) => String(fold)), splitLine: { show: false } }
      : { minInterval: 1, scale: true }),
    yAxis: axis(data.metric, { scale: true, nameGap: 52, axisLabel: { color: token("--soft"), formatter: short } }),
    series: [{
      type: folds ? "scatter" : "line",
      symbolSize: folds ? 10 : 5,
      showSymbol: folds || data.points.length < 60,
      data: folds ? data.points.map(([fold, value]) => [String(fold), value]) : data.points,
      itemStyle: { color: token("--dot") },
      lineStyle: { color: token("--accent"), width: 2 },
      markLine: data.mean === null ? undefined : {
        silent: true,
        symbol: "none",
        label: { formatter: short(data.mean), color: token("--ink"), position: "insideEndTop" },
        lineStyle: { color: token("--accent") },
        data: [{ yAxis: data.mean }],
      },
    }],
  };
}

const kinds = { best, curve };

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
      const answer = await fetch(this.box.dataset.src, { cache: "no-cache" });
      if (!answer.ok) throw new Error(await answer.text());
      const version = answer.headers.get("etag");
      if (version !== this.version || !this.data) {
        this.version = version;
        this.data = await answer.json();
        this.draw();
      }
    } catch (error) {
      this.chart?.dispose();
      this.chart = null;
      this.box.textContent = say("chart.failed", { error: error.message });
      this.box.removeAttribute("aria-hidden");
    } finally {
      this.busy = false;
      if (this.stale) setTimeout(() => this.renew(), 400);
    }
  }

  draw() {
    if (!this.data) return;
    this.box.toggleAttribute("data-empty", !(this.data.ended ?? this.data.steps));
    if ("empty" in this.box.dataset) return;
    if (!this.chart) {
      this.box.textContent = "";
      this.chart = echarts.init(this.box, null, { renderer: "canvas" });
      this.chart.on("click", ({ value }) => {
        if (this.box.dataset.trial && value?.[2] !== undefined) location.href = this.box.dataset.trial + value[2];
      });
    }
    this.chart.setOption(kinds[this.box.dataset.chart](this.data), { notMerge: true });
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
document.addEventListener("luthier:seen", () => drawn.forEach((chart) => chart.renew()));
document.addEventListener("htmx:after:swap", find);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((chart) => chart.draw()));
find();
