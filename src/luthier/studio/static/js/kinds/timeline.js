// When each trial ran, on a canvas: bars, or of very many how busy the lanes were. A drag across zooms; the window is asked of the server.

const LEFT = 44, RIGHT = 12, TOP = 8, BOTTOM = 40;

export function paint(box, { token, say, canvas, hover, short }) {
  const under = document.createElement("canvas");
  box.replaceChildren(under);
  const tip = hover(box);
  let data, width, height, drag;
  const looks = { completed: "--dot", stopped: "--warn", failed: "--bad", running: "--calm" };

  const x = (seconds) => LEFT + ((seconds - data.from) / (data.to - data.from || 1)) * (width - LEFT - RIGHT);
  const seconds = (px) => data.from + Math.min(1, Math.max(0, (px - LEFT) / (width - LEFT - RIGHT))) * (data.to - data.from);
  const lane = () => (height - TOP - BOTTOM) / (data.strip ? data.strip.length : data.lanes);

  function steps() {
    const rough = (data.to - data.from) / data.unit / Math.max(2, Math.floor(width / 110));
    const power = 10 ** Math.floor(Math.log10(rough || 1));
    const step = [1, 2, 5, 10].map((m) => m * power).find((one) => one >= rough * 0.999) * data.unit;
    const found = [];
    for (let at = Math.ceil(data.from / step) * step; at <= data.to + 1e-9; at += step) found.push(at);
    return found;
  }

  function draw() {
    width = box.clientWidth;
    height = box.clientHeight;
    const pen = canvas(under, width, height);
    const tall = lane();
    pen.font = "11px system-ui, sans-serif";
    pen.strokeStyle = token("--line");
    pen.fillStyle = token("--soft");
    pen.textAlign = "center";
    for (const at of steps()) {
      pen.beginPath();
      pen.moveTo(x(at), TOP);
      pen.lineTo(x(at), height - BOTTOM);
      pen.stroke();
      pen.fillText(short(at / data.unit), x(at), height - BOTTOM + 15);
    }
    pen.textAlign = "right";
    pen.fillText(say("timeline.work", { unit: data.word }), width - RIGHT, height - 7);
    if (data.bars) legend(pen);
    pen.textAlign = "right";
    const rows = data.strip ? data.strip.length : data.lanes;
    const every = Math.ceil(14 / tall);
    for (let i = 0; i < rows; i += every) pen.fillText(String(i * (data.together ?? 1) + 1), LEFT - 6, TOP + (i + 0.5) * tall + 4);
    if (data.strip) strip(pen, tall);
    else bars(pen, tall);
    if (drag) {
      pen.globalAlpha = 0.2;
      pen.fillStyle = token("--accent");
      pen.fillRect(Math.min(drag.from, drag.to), TOP, Math.abs(drag.to - drag.from), height - TOP - BOTTOM);
      pen.globalAlpha = 1;
    }
  }

  function sign(pen, state, x, y) { // shape too, not colour alone
    pen.strokeStyle = pen.fillStyle = token("--panel");
    pen.lineWidth = 1.5;
    pen.globalAlpha = 1;
    pen.beginPath();
    if (state === "failed") {
      pen.moveTo(x - 2.5, y - 2.5);
      pen.lineTo(x + 2.5, y + 2.5);
      pen.moveTo(x + 2.5, y - 2.5);
      pen.lineTo(x - 2.5, y + 2.5);
      pen.stroke();
    } else if (state === "stopped") pen.fillRect(x - 2.5, y - 2.5, 5, 5);
  }

  function legend(pen) {
    const there = [...new Set(data.bars.map((bar) => data.states[bar[3]]))];
    let x = LEFT;
    pen.save();
    pen.textAlign = "left";
    for (const state of there) {
      pen.fillStyle = token(looks[state] ?? "--soft");
      pen.fillRect(x, height - 17, 12, 12);
      sign(pen, state, x + 6, height - 11);
      pen.fillStyle = token("--ink");
      pen.fillText(state, x + 16, height - 7);
      x += 30 + pen.measureText(state).width;
    }
    pen.restore();
  }

  function strip(pen, tall) {
    pen.fillStyle = token("--heat-1");
    const wide = (width - LEFT - RIGHT) / data.strip[0].length;
    data.strip.forEach((row, i) => row.forEach((share, k) => {
      if (!share) return;
      pen.globalAlpha = 0.08 + 0.0085 * share;
      pen.fillRect(LEFT + k * wide, TOP + i * tall + 0.5, wide + 0.4, Math.max(1, tall - 1));
    }));
    pen.globalAlpha = 1;
  }

  function bars(pen, tall) {
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT - RIGHT, height);
    pen.clip();
    const paper = token("--panel");
    for (const [on, start, end, code, , fits] of data.bars) {
      const state = data.states[code];
      const [from, to, top] = [x(start), Math.max(x(end), x(start) + 1), TOP + on * tall + tall * 0.1];
      const colour = token(looks[state] ?? "--soft");
      pen.fillStyle = colour;
      if (state === "running") {
        const fade = pen.createLinearGradient(from, 0, to + 1, 0);
        fade.addColorStop(0, colour);
        fade.addColorStop(0.6, colour);
        fade.addColorStop(1, paper);
        pen.fillStyle = fade;
      }
      pen.globalAlpha = fits ? 0.9 : 0.2;
      pen.fillRect(from, top, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), tall * 0.8);
      if (to - from > 9 && tall > 9) sign(pen, state, from + 5, top + tall * 0.4);
    }
    pen.globalAlpha = 1;
    pen.restore();
  }

  const place = (event) => {
    const { top, left } = under.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  function bar(px, py) {
    if (!data?.bars) return null;
    const on = Math.floor((py - TOP) / lane());
    const at = seconds(px);
    const slack = ((data.to - data.from) / (width - LEFT - RIGHT)) * 2;
    return data.bars.find(([l, start, end]) => l === on && at >= start - slack && at <= end + slack) ?? null;
  }
  under.addEventListener("pointermove", (event) => {
    if (!data) return;
    const [px, py] = place(event);
    if (drag) {
      drag.to = Math.min(width - RIGHT, Math.max(LEFT, px));
      return draw();
    }
    const found = bar(px, py);
    under.style.cursor = found ? "pointer" : "crosshair";
    tip.show(found ? found[4] : null, px, py);
  });
  under.addEventListener("pointerleave", () => tip.show(null));
  under.addEventListener("pointerdown", (event) => {
    const [px] = place(event);
    if (event.pointerType === "touch" || px < LEFT) return;
    drag = { from: px, to: px };
    under.setPointerCapture(event.pointerId);
  });
  under.addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (!done) return;
    if (Math.abs(done.to - done.from) > 6) {
      const [from, to] = [seconds(Math.min(done.from, done.to)), seconds(Math.max(done.from, done.to))];
      const round = (v) => Number(v.toPrecision(6));
      document.dispatchEvent(new CustomEvent("luthier:window", { detail: { from: round(from), to: round(to) } }));
    } else {
      const [px, py] = place(event);
      const found = bar(px, py);
      if (!found) return;
      if (event.shiftKey) document.dispatchEvent(new CustomEvent("luthier:pick", { detail: { number: found[4] } }));
      else location.href = box.dataset.trial + found[4];
    }
    draw();
  });

  return {
    show(now) {
      data = now;
      draw();
    },
    resize: () => data && draw(),
    dispose: () => under.remove(),
  };
}
