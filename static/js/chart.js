// Draws charts from the tables on the page: numbers from the table, colours from the theme, times in UTC.
"use strict";
(() => {
  const REFRESH_MS = 5000; // close behind the deliveries list below it, so the two don't contradict each other
  const HEIGHT = 180;
  const NAMES = ["delivered", "waiting", "failed"];
  const COLOURS = ["--ok", "--warn", "--bad"];
  const STEPS = [1, 2, 5].flatMap((step) => [step, step * 10, step * 100, step * 1000, step * 10000]).sort((a, b) => a - b);
  const charts = new Map();

  const number = (text) => (text === "" ? null : Number(text));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const mark = (seconds) => { const words = utc(seconds); return words.endsWith("00:00") ? words.slice(5, 10) : words.slice(11); };

  // Shared options: a UTC time axis, and a line below with the values under the pointer.
  const options = (box, { from, until, y, yAxis, say, series, hooks = {} }) => {
    const axis = { stroke: colour("--faint"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--idle-bg"), width: 1 }, ticks: { show: false } };
    const said = document.getElementById(box.id.replace("-chart", "-at"));
    return {
      width: box.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      hooks: { setCursor: [(plot) => { said.textContent = plot.cursor.idx == null || plot.cursor.left < 0 ? "" : say(plot); }], ...hooks },
      scales: { x: { range: () => [from, until] }, y: { range: y } },
      axes: [{ ...axis, grid: { show: false }, values: (_plot, splits) => splits.map(mark) }, { ...axis, size: 44, ...yAxis }],
      series: [{}, ...series],
    };
  };

  // Stacked bars: each is as high as its own number plus those drawn after it.
  const deliveries = (box, table) => {
    const width = Number(table.dataset.width);
    const rows = [...table.tBodies[0].rows].map((row) => ({ at: Number(row.dataset.at), counts: NAMES.map((name) => number(row.dataset[name])) }));
    const say = (plot) => {
      const row = rows[plot.cursor.idx];
      if (row.counts[0] === null) return `${utc(row.at)} UTC: not counted`;
      return `${utc(row.at)} to ${utc(row.at + width).slice(11)} UTC: ${NAMES.map((name, index) => `${row.counts[index]} ${name}`).join(", ")}`;
    };
    const stacked = NAMES.map((_name, index) => rows.map((row) => row.counts[0] === null ? null : row.counts.slice(index).reduce((a, b) => a + b, 0)));
    const bars = COLOURS.map((name) => ({ fill: colour(name), stroke: colour(name), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 60], align: 1 }) }));
    const y = (_plot, _least, most) => [0, Math.max(most || 0, 4)];
    return new uPlot(options(box, { from: rows[0].at, until: rows.at(-1).at + width, y, yAxis: { incrs: STEPS }, say, series: bars }), [rows.map((row) => row.at), ...stacked], box);
  };

  // Consecutive failures as steps, in front of bands coloured by status.
  const status = (box, table) => {
    const rows = [...table.tBodies[0].rows].map(({ dataset }) => ({ at: Number(dataset.since), until: Number(dataset.until), failures: number(dataset.failures), tone: dataset.tone, label: dataset.label }));
    const say = (plot) => {
      const at = plot.posToVal(plot.cursor.left, "x");
      const row = rows.find((one) => one.at <= at && at < one.until);
      return row?.label ? `${utc(row.at)} to ${utc(row.until).slice(11)} UTC: ${row.label}, ${row.failures} consecutive failures` : "";
    };
    const bands = (plot) => {
      for (const { at, until, tone } of rows) {
        if (!tone || tone === "ok") continue;
        const left = plot.valToPos(at, "x", true);
        plot.ctx.fillStyle = colour(`--${tone}-bg`);
        plot.ctx.fillRect(left, plot.bbox.top, Math.max(plot.valToPos(until, "x", true) - left, 2), plot.bbox.height);
        plot.ctx.fillStyle = colour(`--${tone}`);
        plot.ctx.fillRect(left, plot.bbox.top, Math.max(plot.valToPos(until, "x", true) - left, 2), 4 * devicePixelRatio);
      }
    };
    const last = rows.at(-1);
    const line = { stroke: colour("--info"), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) };
    const most = Number(table.dataset.disabledAt);
    const points = [[...rows.map((row) => row.at), last.until], [...rows, last].map((row) => row.failures === null ? null : Math.min(row.failures, most))];
    const range = { from: Number(table.dataset.from), until: Number(table.dataset.until) };
    return new uPlot(options(box, { ...range, y: () => [0, most + 0.5], yAxis: { splits: () => [0, most / 2, most] }, say, series: [line], hooks: { drawClear: [bands] } }), points, box);
  };

  const draw = (box) => {
    charts.get(box)?.destroy();
    charts.delete(box);
    const table = document.getElementById(box.dataset.chart);
    if (table && box.clientWidth) charts.set(box, (box.dataset.draws === "status" ? status : deliveries)(box, table));
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
