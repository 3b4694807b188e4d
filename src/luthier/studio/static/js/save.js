// Saves charts: below each one, buttons for a picture and for its numbers. What is saved is made here and handed to the browser as a blob.

import { say } from "./words.js";

const SCALE = 2; // pixels of a PNG to one of the page
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/; // what a spreadsheet takes for a formula, as in luthier.analysis.table
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// What the chart lies on, as a colour that any program knows.
const under = (box) => getComputedStyle(box.closest(".panel") ?? document.body).backgroundColor;
const paper = (chart) => under(chart.getDom());

// The chart once more, without a page, as text.
function svg(chart) {
  const copy = echarts.init(null, null, { renderer: "svg", ssr: true, width: chart.getWidth(), height: chart.getHeight() });
  copy.setOption({ ...chart.getOption(), backgroundColor: paper(chart), animation: false });
  const text = copy.renderToSVGString();
  copy.dispose();
  return new Blob([text], { type: "image/svg+xml" });
}

function png(chart) {
  const canvas = chart.getRenderedCanvas({ pixelRatio: SCALE, backgroundColor: paper(chart) });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// The same of a chart that draws itself; what stands out while one points at it lies on a canvas above.
function painted(box) {
  const [drawing] = box.querySelectorAll("canvas");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [drawing.width, drawing.height];
  const pen = canvas.getContext("2d");
  pen.fillStyle = under(box);
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(drawing, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function cell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && FORMULA.test(text) && !NUMBER.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(chart) {
  const option = chart.getOption();
  const rows = option.series.flatMap(({ name, type, data }, i) => (data ?? []).map((point) => {
    const values = Array.isArray(point) ? point : [point?.value ?? point].flat();
    return [name ?? type ?? i, ...values];
  }));
  const wide = Math.max(1, ...rows.map((row) => row.length));
  const axes = [option.xAxis?.[0]?.name || "x", option.yAxis?.[0]?.name || "y"];
  const head = [say("save.series"), ...Array.from({ length: wide - 1 }, (_, i) => axes[i] ?? `value ${i + 1}`)];
  const text = [head, ...rows].map((row) => row.map(cell).join(",")).join("\n");
  return new Blob([`${text}\n`], { type: "text/csv" });
}

const KINDS = { png, svg, csv };

// What a chart can be saved as. Numbers of one that are made on the server come from there, as they are and not as they are drawn.
const kinds = (box) => Object.keys(KINDS).filter((kind) => kind !== "svg" || !("canvas" in box.dataset));

async function save(box, kind) {
  if (kind === "csv" && "csv" in box.dataset) {
    const answer = await fetch(box.dataset.src.replace(".json", ".csv"));
    if (answer.ok) hand(await answer.blob(), `${name(box)}.csv`);
  } else if ("canvas" in box.dataset) {
    if (box.querySelector("canvas")) hand(await painted(box), `${name(box)}.png`);
  } else {
    const chart = echarts.getInstanceByDom(box);
    if (chart) hand(await KINDS[kind](chart), `${name(box)}.${kind}`);
  }
}

function name(box) {
  const title = box.closest("section")?.querySelector("h2")?.textContent ?? "chart";
  const study = document.querySelector("h1")?.firstChild?.textContent ?? "";
  return `${study.trim()} ${title.trim()}`.trim().replace(/[\\/:*?"<>|]+/g, "_").slice(0, 120);
}

function offer(box) {
  if (box.nextElementSibling?.matches(".save")) return;
  const bar = document.createElement("div");
  bar.className = "save";
  bar.role = "group";
  bar.ariaLabel = say("save");
  const word = document.createElement("span");
  word.textContent = say("save");
  bar.append(word);
  for (const kind of kinds(box)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = say(`save.${kind}`);
    button.addEventListener("click", () => save(box, kind));
    bar.append(button);
  }
  box.after(bar);
}

const all = () => document.querySelectorAll("[data-chart]").forEach(offer);
for (const change of ["htmx:after:swap", "luthier:asked"]) document.addEventListener(change, all);
all();
