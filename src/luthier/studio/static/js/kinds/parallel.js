// Parallel coordinates on a canvas: lines for trials, and for many of them bands between neighbouring axes. A drag along an axis limits
// it; what that leaves is asked of the server.

const LEFT = 34, RIGHT = 64, TOP = 34, BOTTOM = 34, NEAR = 12, WIDTH = 84;

export function paint(box, { token, say, canvas, hover }) {
  const under = document.createElement("canvas");
  const over = document.createElement("canvas");
  const stage = document.createElement("div");
  stage.style.position = "relative";
  over.style.position = "absolute";
  over.style.inset = "0";
  stage.append(under, over);
  box.replaceChildren(stage);
  const tip = hover(box);
  let data, width, height, drag, near;

  const x = (axis) => LEFT + (axis * (width - LEFT - RIGHT)) / Math.max(1, data.axes.length - 1);
  const y = (place) => place < 0 ? height - 12 : TOP + (1 - place / 1000) * (height - TOP - BOTTOM);
  const column = (n) => data.lines.map((line) => line[n]);

  function stroke(pen, places) {
    pen.beginPath();
    places.forEach((place, i) => (i ? pen.lineTo(x(i), y(place)) : pen.moveTo(x(i), y(place))));
    pen.stroke();
  }

  function bands(pen, shades) {
    const { pieces, pairs } = data.bands;
    const span = (i, k) => (i < 0 ? [height - 16, height - 8] : [y(((i + 1) / k) * 1000), y((i / k) * 1000)]);
    pairs.forEach((cells, i) => {
      const most = Math.max(...cells.map(([, , n]) => n));
      for (const [a, b, n, shade] of [...cells].sort((p, q) => p[2] - q[2])) {
        const part = Math.sqrt(n / most);
        const [from, to] = [span(a, pieces[i]), span(b, pieces[i + 1])];
        const thin = ([top, bottom]) => {
          const middle = (top + bottom) / 2, half = ((bottom - top) / 2) * (0.12 + 0.88 * part);
          return [middle - half, middle + half];
        };
        const [left, right] = [thin(from), thin(to)];
        pen.globalAlpha = 0.06 + 0.5 * part;
        pen.fillStyle = shade < 0 ? token("--soft") : shades[shade];
        pen.beginPath();
        pen.moveTo(x(i), left[0]);
        pen.lineTo(x(i + 1), right[0]);
        pen.lineTo(x(i + 1), right[1]);
        pen.lineTo(x(i), left[1]);
        pen.fill();
      }
    });
    pen.globalAlpha = 1;
  }

  function fit(pen, text, most) {
    if (pen.measureText(text).width <= most) return text;
    let end = text.length;
    while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > most) end -= 1;
    return `${text.slice(0, end)}…`;
  }

  function draw() {
    width = Math.max(box.clientWidth, LEFT + RIGHT + WIDTH * (data.axes.length - 1));
    height = box.clientHeight - (width > box.clientWidth ? 16 : 0);
    stage.style.width = `${width}px`;
    const pen = canvas(under, width, height);
    canvas(over, width, height);
    pen.font = "12px system-ui, sans-serif";
    const shades = [0, 1, 2, 3, 4].map((i) => token(`--shade-${i}`));
    if (data.bands) bands(pen, shades);
    if (data.others) {
      pen.strokeStyle = token("--line");
      pen.globalAlpha = 0.6;
      data.others[0]?.forEach((_, n) => stroke(pen, data.others.map((line) => line[n])));
      pen.globalAlpha = 1;
    }
    const many = data.numbers.length;
    pen.lineWidth = many > 400 ? 0.8 : 1.2;
    data.numbers.forEach((_, n) => {
      const shade = data.shades[n];
      pen.strokeStyle = shade < 0 ? token("--soft") : shades[shade];
      pen.setLineDash(shade < 0 ? [3, 4] : []);
      pen.globalAlpha = data.bands ? 0.35 : shade < 0 ? 0.4 : many > 400 ? 0.25 + 0.12 * shade : 0.5 + 0.1 * shade;
      stroke(pen, column(n));
    });
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    const named = (number, colour, wide) => {
      const n = data.numbers.indexOf(number);
      if (n < 0) return;
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      stroke(pen, column(n));
    };
    if (data.best !== null) named(data.best, token("--accent"), 2.5);
    for (const number of data.selected) named(number, token("--good"), 3);
    axes(pen);
    mark();
  }

  function axes(pen) {
    const spacing = (width - LEFT - RIGHT) / Math.max(1, data.axes.length - 1);
    const absent = data.axes.map((_, i) => data.lines[i].some((place) => place < 0)
      || data.bands?.pairs[i]?.some(([a]) => a < 0) || data.bands?.pairs[i - 1]?.some(([, b]) => b < 0));
    const paper = token("--panel");
    data.axes.forEach((axis, i) => {
      pen.lineWidth = 1.5;
      pen.strokeStyle = token("--ink");
      pen.beginPath();
      pen.moveTo(x(i), TOP);
      pen.lineTo(x(i), height - BOTTOM);
      pen.stroke();
      pen.textAlign = i === 0 ? "left" : i === data.axes.length - 1 ? "right" : "center";
      pen.fillStyle = token("--ink");
      pen.font = "600 12px system-ui, sans-serif";
      const edge = i === 0 ? x(i) - LEFT + 4 : i === data.axes.length - 1 ? width - 4 : x(i);
      pen.fillText(fit(pen, axis.title, i === 0 || i === data.axes.length - 1 ? spacing / 2 + 40 : spacing - 8), edge, 15);
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "left";
      let last = Infinity;
      for (const [place, text] of axis.ticks) {
        const at = y(place * 1000);
        if (Math.abs(last - at) < 13) continue;
        last = at;
        const said = fit(pen, text, Math.min(spacing, RIGHT) - 10);
        pen.lineWidth = 3;
        pen.strokeStyle = paper;
        pen.strokeText(said, x(i) + 5, at + 4);
        pen.fillStyle = token("--soft");
        pen.fillText(said, x(i) + 5, at + 4);
      }
      if (absent[i]) pen.fillText(fit(pen, say(i === data.axes.length - 1 ? "explore.noscore" : "explore.absent"), Math.min(spacing, RIGHT) - 6), x(i) + 5, height - 8);
      for (const [low, high] of axis.brush ?? []) range(pen, i, low * 1000, high * 1000);
    });
  }

  function range(pen, axis, low, high) {
    pen.fillStyle = token("--accent");
    pen.globalAlpha = 0.25;
    pen.fillRect(x(axis) - 8, y(Math.min(1000, high)), 16, Math.max(4, y(Math.max(0, low)) - y(Math.min(1000, high))));
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.strokeStyle = token("--accent");
    pen.strokeRect(x(axis) - 8, y(Math.min(1000, high)), 16, Math.max(4, y(Math.max(0, low)) - y(Math.min(1000, high))));
  }

  function mark() {
    const pen = over.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (near !== undefined) {
      pen.strokeStyle = token("--accent");
      pen.lineWidth = 3;
      stroke(pen, column(near));
    }
    if (drag?.moved) range(pen, drag.axis, Math.min(drag.from, drag.to), Math.max(drag.from, drag.to));
  }

  const place = (event) => {
    const { top, left } = over.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const at = (py) => Math.min(1000, Math.max(0, 1000 * (1 - (py - TOP) / (height - TOP - BOTTOM))));
  const axisAt = (px) => data.axes.findIndex((_, i) => Math.abs(x(i) - px) <= NEAR);

  function nearest(px, py) {
    const gap = (width - LEFT - RIGHT) / Math.max(1, data.axes.length - 1);
    const i = Math.min(data.axes.length - 2, Math.max(0, Math.floor((px - LEFT) / gap)));
    if (data.axes.length < 2) return undefined;
    const t = (px - x(i)) / gap;
    let best, least = 7;
    data.numbers.forEach((_, n) => {
      const away = Math.abs(y(data.lines[i][n]) * (1 - t) + y(data.lines[i + 1][n]) * t - py);
      if (away <= least) [best, least] = [n, away];
    });
    return best;
  }

  over.addEventListener("pointermove", (event) => {
    if (!data) return;
    const [px, py] = place(event);
    if (drag) {
      drag.to = at(py);
      drag.moved ||= Math.abs(drag.to - drag.from) > 15;
      return mark();
    }
    const axis = axisAt(px);
    const found = axis < 0 ? nearest(px, py) : undefined;
    over.style.cursor = axis >= 0 ? "ns-resize" : found !== undefined ? "pointer" : "default";
    if (found !== near) {
      near = found;
      mark();
    }
    tip.show(near === undefined ? null : data.numbers[near], px, py);
  });
  over.addEventListener("pointerleave", () => {
    near = undefined;
    tip.show(null);
    if (data) mark();
  });
  over.addEventListener("pointerdown", (event) => {
    const [px, py] = place(event);
    const axis = axisAt(px);
    if (axis < 0 || event.pointerType === "touch" || !box.closest("#explore")) return;
    drag = { axis, from: at(py), to: at(py), moved: false };
    over.setPointerCapture(event.pointerId);
    tip.show(null);
  });
  over.addEventListener("pointerup", () => {
    const done = drag;
    drag = null;
    if (!done) return;
    const { key, brush } = data.axes[done.axis];
    const ends = done.moved ? [Math.min(done.from, done.to) / 1000, Math.max(done.from, done.to) / 1000] : [0, 1];
    if (done.moved || brush) document.dispatchEvent(new CustomEvent("luthier:brush", { detail: { key, low: ends[0], high: ends[1] } }));
    mark();
  });
  over.addEventListener("click", (event) => {
    const [px, py] = place(event);
    if (axisAt(px) >= 0) return;
    const found = nearest(px, py);
    if (found === undefined) return;
    const number = data.numbers[found];
    if (event.shiftKey) document.dispatchEvent(new CustomEvent("luthier:pick", { detail: { number } }));
    else location.href = box.dataset.trial + number;
  });

  return {
    show(now) {
      data = now;
      near = undefined;
      if (drag && drag.axis >= data.axes.length) drag = null;
      draw();
    },
    resize: () => data && draw(),
    dispose: () => stage.remove(),
  };
}
