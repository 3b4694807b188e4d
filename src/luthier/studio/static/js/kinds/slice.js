// Draws the score along each parameter, one small picture for each, with what a model expects. What it needs of the page is handed in.

export function draw(data, { frame, token, places, shade, heat, rings, ask, box }) {
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ask;
  const across = Math.min(data.panels.length, box.clientWidth < 560 ? 1 : box.clientWidth < 900 ? 2 : 3);
  const up = Math.ceil(data.panels.length / across);
  const [left, right, top, bottom] = [64, 12, 10, 46];
  const [wide, high] = [box.clientWidth / across, box.clientHeight / up];
  const made = { grid: [], xAxis: [], yAxis: [], series: [] };
  data.panels.forEach((panel, i) => {
    const [column, row] = [i % across, Math.floor(i / across)];
    made.grid.push({ left: column * wide + left, top: row * high + top, width: wide - left - right, height: high - top - bottom });
    made.xAxis.push({ ...places(panel.axis), gridIndex: i, nameGap: 26 });
    made.yAxis.push({ ...places(data.score, { nameGap: 48 }), gridIndex: i, ...(column ? { name: "" } : {}) });
    const on = { xAxisIndex: i, yAxisIndex: i };
    if (panel.density) made.series.push({ ...heat(panel.density, data.cells), ...on });
    const few = data.numbers.length < 300;
    made.series.push({
      ...on,
      type: "scatter",
      symbolSize: few ? 6 : 3.5,
      data: data.numbers.flatMap((number, k) => panel.places[k] < 0 ? [] : [{
        value: [panel.places[k], data.heights[k], number],
        itemStyle: { color: shade(data.shades[k]), opacity: few ? 0.9 : 0.6 },
      }]),
      z: 2,
    });
    const chosen = data.selected.flatMap((number) => {
      const k = data.numbers.indexOf(number);
      return k < 0 || panel.places[k] < 0 ? [] : [[panel.places[k], data.heights[k], number]];
    });
    made.series.push({ ...rings(13, 2.5, chosen), ...on });
    if (panel.model) made.series.push(...expected(panel.model, on, token));
  });
  return { ...shape, ...made };
}

function expected(model, on, token) {
  const points = (row) => model.places.map((place, k) => [place, row[k]]);
  if (!model.line) {
    return [{
      ...on,
      type: "custom",
      silent: true,
      z: 3,
      data: model.places.map((place, k) => [place, model.low[k], model.high[k], model.mean[k]]),
      renderItem: (_, api) => {
        const [x, low] = api.coord([api.value(0), api.value(1)]);
        const high = api.coord([api.value(0), api.value(2)])[1];
        const mean = api.coord([api.value(0), api.value(3)])[1];
        const style = { stroke: token("--accent"), lineWidth: 2, fill: token("--accent") };
        return { type: "group", children: [
          { type: "line", shape: { x1: x, x2: x, y1: low, y2: high }, style },
          { type: "line", shape: { x1: x - 9, x2: x + 9, y1: mean, y2: mean }, style: { ...style, lineWidth: 3 } },
        ] };
      },
    }];
  }
  return [
    {
      ...on,
      type: "custom",
      silent: true,
      z: 1,
      data: [[0, 0]],
      renderItem: (_, api) => ({
        type: "polygon",
        shape: { points: [...points(model.high), ...points(model.low).reverse()].map((one) => api.coord(one)) },
        style: { fill: token("--accent"), opacity: 0.15 },
      }),
    },
    { ...on, type: "line", silent: true, showSymbol: false, data: points(model.mean), lineStyle: { width: 2.2, color: token("--accent") }, z: 3 },
  ];
}
