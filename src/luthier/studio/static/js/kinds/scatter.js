// Draws trials over two axes: dots, and of many of them how many are where. What it needs of the page is handed in.

export function draw(data, { frame, token, say, places, shade, heat, rings, ask }) {
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ask;
  const series = [];
  if (data.density) series.push(heat(data.density, data.cells));
  const few = data.numbers.length < 500;
  series.push({
    type: "scatter",
    symbolSize: few ? 8 : 5,
    data: data.numbers.map((number, i) => ({
      value: [data.places[0][i], data.places[1][i], number],
      symbol: data.shades[i] < 0 ? "emptyCircle" : "circle",
      itemStyle: { color: shade(data.shades[i]), borderColor: data.shades[i] < 0 ? token("--soft") : token("--edge"), borderWidth: few ? 0.6 : 0, opacity: few ? 0.95 : 0.75 },
    })),
    z: 2,
  });
  const chosen = data.selected.map((number) => [number, data.numbers.indexOf(number)]).filter(([, i]) => i >= 0);
  series.push(rings(16, 3, chosen.map(([number, i]) => [data.places[0][i], data.places[1][i], number])));
  return {
    ...shape,
    grid: { ...shape.grid, left: 84, top: 14 },
    xAxis: places(data.x),
    yAxis: places(data.y, { nameGap: 66 }),
    series,
  };
}
