// Draws the curves of several trials, or the best so far of several studies, over each other. Lines differ in colour and in their dashes.

const DASHES = ["solid", [8, 4], [2, 3], [10, 3, 2, 3]];

export function draw(data, { axis, frame, token, short }) {
  const colours = ["--accent", "--calm", "--good", "--warn", "--bad", "--dot"].map(token);
  const shape = frame();
  shape.legend.type = "scroll";
  shape.tooltip.formatter = ({ seriesName, value }) => `${seriesName}  ${data.x} ${value[0]}: ${short(value[1])}`;
  return {
    ...shape,
    xAxis: axis(data.x, data.step ? { min: 0 } : { minInterval: 1, scale: true }),
    yAxis: axis(data.metric, { scale: true, nameGap: 52, axisLabel: { color: token("--soft"), formatter: short } }),
    series: data.lines.map(({ name, points }, i) => ({
      name,
      type: "line",
      step: data.step ? "end" : false,
      data: points,
      showSymbol: points.length < 40,
      symbolSize: 5,
      itemStyle: { color: colours[i % colours.length] },
      lineStyle: { width: 2, color: colours[i % colours.length], type: DASHES[Math.floor(i / colours.length + i) % DASHES.length] },
    })),
  };
}
