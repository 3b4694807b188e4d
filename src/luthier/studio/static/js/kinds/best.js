// Draws the best so far: every trial, or a density of them, and the line of the best. What it needs of the page is handed in: a module that is imported under two addresses would run twice.

export function draw(data, { axis, frame, token, say, short }) {
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
