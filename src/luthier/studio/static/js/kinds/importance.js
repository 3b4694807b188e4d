// Draws which share of the variance each parameter explains, with its error. What it needs of the page is handed in.

export function draw(data, { axis, frame, token, say, box }) {
  const shape = frame();
  shape.legend.show = false;
  const names = [...data.names, say("explore.together")];
  const shares = [...data.shares, data.together];
  const percent = (value) => `${Math.round(100 * value)}%`;
  shape.tooltip.formatter = ({ dataIndex: i }) => `${names[i]}: ${(100 * shares[i]).toFixed(1)}%` + (i < data.errors.length ? ` ± ${(100 * data.errors[i]).toFixed(1)}%` : "");
  const room = Math.min(160, box.clientWidth * 0.35);
  return {
    ...shape,
    grid: { left: room + 10, right: 56, top: 8, bottom: 30 },
    xAxis: axis("", { min: 0, axisLabel: { color: token("--soft"), formatter: percent } }),
    yAxis: {
      type: "category",
      inverse: true,
      data: names,
      axisLabel: { color: token("--ink"), width: room, overflow: "truncate", interval: 0 },
      axisTick: { show: false },
      axisLine: { lineStyle: { color: token("--edge") } },
    },
    series: [
      {
        type: "bar",
        barMaxWidth: 20,
        data: shares.map((value, i) => ({ value, itemStyle: { color: token(i < data.names.length ? "--shade-3" : "--shade-0") } })),
        label: { show: true, position: "right", distance: 14, color: token("--ink"), formatter: ({ value }) => percent(value) },
      },
      {
        type: "custom",
        silent: true,
        z: 3,
        data: data.errors.map((error, i) => [data.shares[i] - error, data.shares[i] + error, i]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (_, api) => {
          const [from, y] = api.coord([Math.max(0, api.value(0)), api.value(2)]);
          const to = api.coord([api.value(1), api.value(2)])[0];
          const style = { stroke: token("--ink"), lineWidth: 1.2 };
          return { type: "group", children: [[from, y, to, y], [from, y - 4, from, y + 4], [to, y - 4, to, y + 4]].map(([x1, y1, x2, y2]) => ({ type: "line", shape: { x1, y1, x2, y2 }, style })) };
        },
      },
    ],
  };
}
