// Draws learning curves: a band of most trials, the middle of them, and the best on it; or the folds of a cross-validation. What it needs
// of the page is handed in.

export function draw(data, tools) {
  return data.kind === "folds" ? folds(data, tools) : curves(data, tools);
}

function curves(data, { axis, frame, token, say, short, ask }) {
  const shape = frame();
  shape.legend.data = [say("curves.band"), say("curves.median"), say("explore.line"), ...["stopped", "failed"].filter((state) => data.ends.some((end) => end[3] === state))];
  shape.tooltip.formatter = ask;
  const last = { stopped: "rect", failed: "path://M0,0L10,10M10,0L0,10", running: "emptyCircle", completed: "circle" };
  const series = [
    {
      name: say("curves.band"),
      type: "custom",
      silent: true,
      z: 1,
      itemStyle: { color: token("--shade-1") },
      data: data.band.length ? [[data.band[0][0], data.band[0][2], 0]] : [],
      renderItem: (_, api) => ({
        type: "polygon",
        shape: { points: [...data.band.map(([x, , , high]) => [x, high]), ...data.band.map(([x, low]) => [x, low]).reverse()].map((one) => api.coord(one)) },
        style: { fill: token("--shade-1"), opacity: 0.35 },
      }),
    },
    {
      name: say("curves.median"),
      type: "line",
      silent: true,
      showSymbol: false,
      data: data.band.map(([x, , middle]) => [x, middle]),
      lineStyle: { color: token("--ink"), width: 2.2, type: "dashed" },
      itemStyle: { color: token("--ink") },
      z: 4,
    },
  ];
  for (const line of [...data.lines].reverse()) {
    const strong = line.number === data.best || data.selected.includes(line.number);
    const colour = token(data.selected.includes(line.number) ? "--good" : line.number === data.best ? "--accent" : line.state === "running" ? "--calm" : "--shade-3");
    const points = line.points.map(([x, y]) => [x, y, line.number]);
    series.push({
      name: say("explore.line"),
      type: "line",
      triggerLineEvent: true,
      showSymbol: false,
      data: points,
      lineStyle: { color: colour, width: strong ? 2.6 : 1.1, opacity: strong ? 1 : 0.6 },
      itemStyle: { color: colour },
      z: strong ? 5 : 2,
    });
    series.push({
      name: say("explore.line"),
      type: "scatter",
      symbol: last[line.state] ?? "circle",
      symbolSize: line.state === "completed" ? 4 : 8,
      data: points.slice(-1),
      itemStyle: line.state === "failed" ? { color: "transparent", borderColor: token("--bad"), borderWidth: 1.5 } : { color: line.state === "stopped" ? token("--warn") : colour },
      z: 6,
    });
  }
  for (const [state, colour] of [["stopped", "--warn"], ["failed", "--bad"]]) {
    series.push({
      name: state,
      type: "scatter",
      symbol: last[state],
      symbolSize: 5,
      data: data.ends.filter((end) => end[3] === state),
      itemStyle: state === "failed" ? { color: "transparent", borderColor: token(colour), borderWidth: 1.5 } : { color: token(colour), opacity: 0.7 },
      z: 3,
    });
  }
  const lows = [...data.band.map((row) => row[1]), ...data.lines.flatMap(({ points }) => points.map(([, y]) => y)), ...data.ends.map(([, y]) => y)].filter((v) => v !== null);
  return {
    ...shape,
    grid: { ...shape.grid, left: 76 },
    xAxis: axis(say(`curves.by.${data.by}`), { min: "dataMin", max: "dataMax", axisLabel: { color: token("--soft"), hideOverlap: true, formatter: short } }),
    yAxis: axis(data.metric, { scale: true, nameGap: 56, min: Math.min(...lows), axisLabel: { color: token("--soft"), formatter: short, showMinLabel: false } }),
    series,
  };
}

function folds(data, { axis, frame, token, say, short, ask }) {
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ask;
  const names = data.trials.map(({ number }) => `#${number}`);
  return {
    ...shape,
    grid: { ...shape.grid, top: 14, left: 76, bottom: 60 },
    xAxis: { type: "category", data: names, axisLabel: { color: token("--soft"), rotate: names.length > 12 ? 60 : 0 }, axisLine: { lineStyle: { color: token("--edge") } } },
    yAxis: axis(data.metric, { scale: true, nameGap: 56, axisLabel: { color: token("--soft"), formatter: short } }),
    series: [
      {
        type: "scatter",
        symbolSize: 8,
        itemStyle: { color: token("--dot"), opacity: 0.7 },
        data: data.trials.flatMap(({ number, folds }) => folds.map((value) => [`#${number}`, value, number])),
      },
      {
        type: "scatter",
        symbol: "rect",
        symbolSize: [16, 3],
        itemStyle: { color: token("--accent") },
        data: data.trials.map(({ number, mean }) => [`#${number}`, mean, number]),
        z: 3,
      },
      {
        type: "scatter",
        symbol: "circle",
        symbolSize: 14,
        itemStyle: { color: "transparent", borderColor: token("--good"), borderWidth: 2.5 },
        data: data.trials.filter(({ number }) => data.selected.includes(number)).map(({ number, mean }) => [`#${number}`, mean, number]),
        z: 4,
      },
    ],
  };
}
