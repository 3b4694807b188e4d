// Draws what a trial reported: a learning curve, or its folds. What it needs of the page is handed in: a module that is imported under two addresses would run twice.

export function draw(data, { axis, frame, token, say, short }) {
  const folds = data.kind === "folds";
  const shape = frame();
  shape.legend.show = false;
  shape.tooltip.formatter = ({ value }) => `${say(folds ? "trial.fold" : "trial.step")} ${value[0]}: ${short(value[1])}`;
  return {
    ...shape,
    grid: { ...shape.grid, top: 14 },
    xAxis: axis(say(folds ? "trial.fold" : "trial.step"), folds
      ? { type: "category", data: data.points.map(([fold]) => String(fold)), splitLine: { show: false } }
      : { minInterval: 1, scale: true }),
    yAxis: axis(data.metric, { scale: true, nameGap: 52, axisLabel: { color: token("--soft"), formatter: short } }),
    series: [{
      type: folds ? "scatter" : "line",
      symbolSize: folds ? 10 : 5,
      showSymbol: folds || data.points.length < 60,
      data: folds ? data.points.map(([fold, value]) => [String(fold), value]) : data.points,
      itemStyle: { color: token("--dot") },
      lineStyle: { color: token("--accent"), width: 2 },
      markLine: data.mean === null ? undefined : {
        silent: true,
        symbol: "none",
        precision: -1, // by itself it is at a hundredth
        label: { formatter: short(data.mean), color: token("--ink"), position: "insideEndTop" },
        lineStyle: { color: token("--accent") },
        data: [{ yAxis: data.mean }],
      },
    }],
  };
}
