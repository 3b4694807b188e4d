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

// An axis from 0 to 1000 thousandths, with words at some of them; what is at 1000 may lie beyond.
function places({ title, ticks }, more = {}) {
  const words = new Map(ticks.map(([place, text]) => [1000 * place, text]));
  const customValues = [...words.keys()];
  return axis(title, {
    min: -20,
    max: 1020,
    nameGap: 30,
    axisLabel: { color: token("--soft"), hideOverlap: true, customValues, formatter: (value) => words.get(value) ?? "", width: 90, overflow: "truncate" },
    axisTick: { customValues },
    splitLine: { show: false },
    ...more,
  });
}

const shade = (n) => token(n < 0 ? "--soft" : `--shade-${n}`);

function mixed(from, to, share) {
  const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const [a, b] = [parts(from), parts(to)];
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * share)).join(",")})`;
}

// How many trials are in each cell: the more the fuller, the better the stronger the colour.
function heat(cells, [across, up]) {
  const most = Math.max(...cells.map((cell) => cell[2]));
  const shades = [-1, 0, 1, 2, 3, 4].map(shade);
  return {
    type: "custom",
    silent: true,
    z: 1,
    data: cells,
    encode: { x: -1, y: -1 },
    renderItem: (_, api) => {
      const [x, y, n, good] = [0, 1, 2, 3].map((i) => api.value(i));
      const [left, top] = api.coord([(1000 * x) / across, (1000 * (y + 1)) / up]);
      const [right, bottom] = api.coord([(1000 * (x + 1)) / across, (1000 * y) / up]);
      return {
        type: "rect",
        shape: { x: left, y: top, width: right - left + 0.5, height: bottom - top + 0.5 },
        style: { fill: shades[good + 1], opacity: 0.1 + 0.75 * Math.sqrt(n / most) },
      };
    },
  };
}

// Rings around the trials that were picked, at [x, y, number] each.
const rings = (size, width, data) => ({
  type: "scatter",
  symbol: "circle",
  symbolSize: size,
  itemStyle: { color: "transparent", borderColor: token("--good"), borderWidth: width },
  data,
  z: 4,
});

// The pen of a canvas of so many pixels of the page, sharp on any screen.
function canvas(box, width, height) {
  const ratio = devicePixelRatio || 1;
  box.width = Math.round(width * ratio);
  box.height = Math.round(height * ratio);
  box.style.width = `${width}px`;
  box.style.height = `${height}px`;
  const drawing = box.getContext("2d");
  drawing.scale(ratio, ratio);
  return drawing;
}

// What a trial is, for who points at it: asked of the server, once.
const told = new Map();
function about(box, number) {
  const url = `${box.dataset.hover}${number}.json`;
  if (!told.has(url)) {
    if (told.size > 500) told.clear();
    told.set(url, fetch(url).then((answer) => answer.json()).then(({ text }) => text).catch(() => `#${number}`));
  }
  return told.get(url);
}

// A note beside the pointer, for charts that draw themselves.
function hover(box) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  box.append(tip);
  let wanted = null, timer;
  return {
    show(number, x, y) {
      if (number === null) {
        wanted = null;
        tip.hidden = true;
        clearTimeout(timer);
        return;
      }
      const right = x - box.scrollLeft > box.clientWidth / 2;
      tip.style.left = right ? "auto" : `${x + 14}px`;
      tip.style.right = right ? `${box.clientWidth - x + 14}px` : "auto";
      tip.style.top = y > box.clientHeight / 2 ? "auto" : `${y + 10}px`;
      tip.style.bottom = y > box.clientHeight / 2 ? `${box.clientHeight - y + 10}px` : "auto";
      if (number === wanted) return;
      wanted = number;
      tip.textContent = `#${number}`;
      tip.hidden = false;
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const text = await about(box, number);
        if (wanted === number) tip.textContent = text;
      }, 80);
    },
  };
}

const tools = { axis, frame, token, say, short, places, shade, mixed, heat, rings, canvas, hover };

// A kind of chart either says what ECharts is to draw, or draws by itself.
function engine(kind, box) {
  const own = { ...tools, box };
  own.ask = ({ value }, ticket, answer) => {
    if (!box.dataset.hover || value?.[2] === undefined) return "";
    about(box, value[2]).then((text) => answer(ticket, text));
    return `#${value[2]}`;
  };
  if (kind.paint) return kind.paint(box, own);
  const chart = echarts.init(box, null, { renderer: "canvas" });
  chart.on("click", ({ value, data, event }) => {
    const number = (value ?? data?.[0])?.[2];
    if (!box.dataset.trial || number === undefined) return;
    if (event?.event?.shiftKey) document.dispatchEvent(new CustomEvent("luthier:pick", { detail: { number } }));
    else location.href = box.dataset.trial + number;
  });
  let last;
  const show = (data) => chart.setOption(kind.draw((last = data), own), { notMerge: true });
  const resize = () => {
    chart.resize();
    if (last && "laid" in box.dataset) show(last); // its pictures are laid out by hand
  };
  return { show, resize, dispose: () => chart.dispose() };
}

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
      this.chart = engine(this.kind, this.box);
    }
    this.chart.show(this.data);
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
