// Draws what a model expects over two parameters, and the trials on it. What it needs of the page is handed in.

export function draw(data, { frame, token, say, places, mixed, rings, ask }) {
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ask;
  const [worst, best] = [token("--heat-0"), token("--shade-3")];
  const cells = data.shades.flatMap((row, i) => row.map((shade, j) => [i, j, shade])).filter(([, , shade]) => shade >= 0);
  const [low, high] = data.goal === "min" ? [...data.scale].reverse() : data.scale;
  return {
    ...shape,
    grid: { ...shape.grid, left: 84, top: 46 },
    title: {
      text: `${say("explore.predicted", { metric: data.metric })}: {a|■} ${low} (${say("explore.worst")}) … {b|■} ${high} (${say("explore.best")})`,
      left: 0,
      top: 4,
      textStyle: { fontSize: 12, fontWeight: "normal", color: token("--ink"), rich: { a: { color: worst, textBorderColor: token("--edge"), textBorderWidth: 1 }, b: { color: best } } },
    },
    xAxis: places(data.x, { splitLine: { show: false } }),
    yAxis: places(data.y, { nameGap: 66, splitLine: { show: false } }),
    series: [
      {
        type: "custom",
        silent: true,
        data: cells,
        encode: { x: -1, y: -1 },
        renderItem: (_, api) => {
          const [i, j, shade] = [api.value(0), api.value(1), api.value(2)];
          const [left, top] = api.coord([1000 * data.edges[0][i], 1000 * data.edges[1][j + 1]]);
          const [right, bottom] = api.coord([1000 * data.edges[0][i + 1], 1000 * data.edges[1][j]]);
          return { type: "rect", shape: { x: left, y: top, width: right - left + 0.6, height: bottom - top + 0.6 }, style: { fill: mixed(worst, best, shade / 20) } };
        },
        z: 1,
      },
      {
        type: "scatter",
        symbolSize: 7,
        itemStyle: { color: token("--panel"), borderColor: token("--ink"), borderWidth: 1.2, opacity: 0.9 },
        data: data.numbers.map((number, i) => [data.places[0][i], data.places[1][i], number]),
        z: 2,
      },
      rings(16, 3, data.selected.flatMap((number) => {
        const i = data.numbers.indexOf(number);
        return i < 0 ? [] : [[data.places[0][i], data.places[1][i], number]];
      })),
    ],
  };
}
