// Draws a score of all models by when they were made. What it needs of the page is handed in: a module that is imported under two addresses would run twice.

const SHAPES = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];
const COLOURS = ["--dot", "--accent", "--good", "--warn", "--calm", "--bad"];

export function draw(data, { axis, frame, token, say, short }) {
  const shape = frame();
  const names = [...new Set(data.dots.map(({ name }) => name))];
  const point = (dot, value, test) => ({
    value: [dot.at, value],
    dot,
    test,
    symbolSize: test ? [14, 3] : dot.champion ? 13 : 8,
    itemStyle: dot.champion && !test ? { borderColor: token("--ink"), borderWidth: 2 } : undefined,
  });
  const series = names.map((name, i) => ({
    name,
    type: "scatter",
    symbol: SHAPES[i % SHAPES.length],
    itemStyle: { color: token(COLOURS[i % COLOURS.length]) },
    data: data.dots.filter((dot) => dot.name === name).map((dot) => point(dot, dot.value, false)),
  }));
  const tested = data.dots.filter((dot) => dot.test !== null);
  if (tested.length) {
    series.push({
      name: say("models.chart.test"),
      type: "scatter",
      symbol: "rect",
      itemStyle: { color: token("--ink") },
      data: tested.map((dot) => point(dot, dot.test, true)),
    });
  }
  shape.tooltip.formatter = ({ data: { dot, test, value } }) =>
    `${dot.name} · ${dot.version}  ${test ? say("models.chart.test") : say("models.chart.validation")} ${short(value[1])}`
    + (test || dot.error === null ? "" : ` ± ${short(dot.error)}`)
    + (dot.champion ? `  ${say("models.chart.champion")}` : "");
  shape.legend.type = "scroll";
  return {
    ...shape,
    xAxis: axis(say("models.made"), { type: "time", nameGap: 28 }),
    yAxis: axis(data.metric, { scale: true, nameGap: 52, axisLabel: { color: token("--soft"), formatter: short } }),
    series,
  };
}
