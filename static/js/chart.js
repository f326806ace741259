// Draws what a table says as stacked bars: the numbers are the table's, the colours are the theme's, and the times are UTC.
"use strict";
(() => {
  const REFRESH_MS = 5000; // hardly behind the list of deliveries below it, or the two would contradict each other
  const HEIGHT = 180;
  const NAMES = ["delivered", "waiting", "failed"];
  const COLOURS = ["--ok", "--warn", "--bad"];
  const STEPS = [1, 2, 5].flatMap((step) => [step, step * 10, step * 100, step * 1000, step * 10000]).sort((a, b) => a - b);
  const charts = new Map();

  const read = (table) => [...table.tBodies[0].rows].map((row) => ({
    at: Number(row.dataset.at),
    counts: NAMES.map((name) => (row.dataset[name] === "" ? null : Number(row.dataset[name]))),
  }));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const mark = (seconds) => { const words = utc(seconds); return words.endsWith("00:00") ? words.slice(5, 10) : words.slice(11); };
  const say = (row, width) => row.counts[0] === null
    ? `${utc(row.at)} UTC: not counted`
    : `${utc(row.at)} to ${utc(row.at + width).slice(11)} UTC: ${NAMES.map((name, index) => `${row.counts[index]} ${name}`).join(", ")}`;

  // Bars are drawn one over the other: each is as high as its own number and those that are drawn after it.
  const stacked = (rows) => [
    rows.map((row) => row.at),
    ...NAMES.map((_name, index) => rows.map((row) => row.counts[0] === null ? null : row.counts.slice(index).reduce((a, b) => a + b, 0))),
  ];

  const options = (box, rows, width) => {
    const axis = { stroke: colour("--faint"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--idle-bg"), width: 1 }, ticks: { show: false } };
    const said = document.getElementById("over-time-at");
    return {
      width: box.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      hooks: { setCursor: [(plot) => { said.textContent = plot.cursor.idx == null || plot.cursor.left < 0 ? "" : say(rows[plot.cursor.idx], width); }] },
      scales: { x: { range: () => [rows[0].at, rows.at(-1).at + width] }, y: { range: (_plot, _least, most) => [0, Math.max(most || 0, 4)] } },
      axes: [{ ...axis, grid: { show: false }, values: (_plot, splits) => splits.map(mark) }, { ...axis, incrs: STEPS, size: 44 }],
      series: [{}, ...COLOURS.map((name) => ({ fill: colour(name), stroke: colour(name), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 60], align: 1 }) }))],
    };
  };

  const draw = (box) => {
    charts.get(box)?.destroy();
    charts.delete(box);
    const table = document.getElementById(box.dataset.chart);
    if (!table || !box.clientWidth) return;
    const rows = read(table);
    charts.set(box, new uPlot(options(box, rows, Number(table.dataset.width)), stacked(rows), box));
  };
  const drawAll = () => {
    for (const box of charts.keys()) if (!box.isConnected) charts.delete(box);
    for (const box of document.querySelectorAll("[data-chart]")) draw(box);
  };

  let drawnAt = 0;
  addEventListener("resize", () => { if (drawnAt !== innerWidth) { drawnAt = innerWidth; drawAll(); } });
  document.addEventListener("redeliver:theme", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSettle", (event) => { if (event.detail.elt.closest("#over-time") || event.detail.target?.id === "over-time") drawAll(); });
  setInterval(() => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[data-chart-refresh]")) htmx.trigger(part, "redeliver:chart");
  }, REFRESH_MS);
  drawAll();
})();
