// Draws charts from the tables on the page: numbers from the table, colours from the theme, times in the page's zone.
"use strict";
(() => {
  const REFRESH_MS = 5000; // close behind the deliveries list below it, so the two don't contradict each other
  const HEIGHT = 180;
  const NAMES = ["failed", "delivered"]; // the first is drawn on top
  const COLOURS = ["--bad-fill", "--ok-fill"];
  const LEFT = 44, RIGHT = 20; // where the plot begins and ends; the strip below it has the same margins in app.css
  const STEPS = [1, 2, 5].flatMap((step) => [step, step * 10, step * 100, step * 1000, step * 10000]).sort((a, b) => a - b);
  const charts = new Map();

  const number = (text) => (text === "" ? null : Number(text));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // The server may know a zone, such as one that has a new name, that this browser does not.
  const isKnown = (name) => { try { return Boolean(new Intl.DateTimeFormat("en-GB", { timeZone: name })); } catch { return false; } };
  const ofPage = document.documentElement.dataset.zone || "UTC";
  const shown = isKnown(ofPage) ? ofPage : "UTC";
  const zone = () => shown;
  const format = (seconds, options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone(), hourCycle: "h23", ...options }).format(new Date(seconds * 1000));
  const time = (seconds) => format(seconds, { hour: "2-digit", minute: "2-digit" });
  const day = (seconds) => format(seconds, { day: "numeric", month: "short" });
  const offset = (seconds) => {
    const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone(), timeZoneName: "longOffset" }).formatToParts(new Date(seconds * 1000));
    return parts.find(({ type }) => type === "timeZoneName").value.replace(/^GMT(\+00:00)?/, "UTC");
  };
  // In the night in which the clocks go back, the same time comes twice: its offset tells which.
  const span = (from, until) => `${day(from)}, ${time(from)}${offset(from) === offset(until) ? "" : ` ${offset(from)}`} to ${time(until)} ${offset(until)}${inUtc(from, until)}`;
  const inUtc = (from, until) => {
    if (offset(from) === "UTC" && offset(until) === "UTC") return "";
    const [first, last] = [from, until].map((seconds) => new Date(seconds * 1000).toISOString());
    return ` (${first.slice(0, 10)} ${first.slice(11, 16)} to ${last.slice(11, 16)} UTC)`;
  };
  const isTwice = (seconds) => [-3600, -1800, 1800, 3600].some((hour) => time(seconds + hour) === time(seconds)); // by half an hour on Lord Howe Island

  // Stacked bars: each is as high as its own number plus those drawn after it.
  const attempts = (box, table) => {
    const width = Number(table.dataset.width);
    const rows = [...table.tBodies[0].rows].map((row) => ({ at: Number(row.dataset.at), counts: NAMES.map((name) => number(row.dataset[name])) }));
    const said = document.getElementById("over-time-at");
    const say = (plot) => {
      if (plot.cursor.idx == null || plot.cursor.left < 0) return box.matches(":hover") ? said.textContent : ""; // drawn anew under the pointer
      const { at, counts: [failed, delivered] } = rows[plot.cursor.idx];
      return `${span(at, at + width)}: ${failed === null ? "not known" : `${delivered} delivered, ${failed} failed`}`;
    };
    const axis = { stroke: colour("--faint"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--idle-bg"), width: 1 }, ticks: { show: false } };
    const mark = (seconds) => isTwice(seconds) ? `${time(seconds)} ${offset(seconds).slice(3, 6)}` : time(seconds) === "00:00" ? day(seconds) : time(seconds);
    const stacked = NAMES.map((_name, index) => rows.map((row) => row.counts[0] === null ? null : row.counts.slice(index).reduce((a, b) => a + b, 0)));
    const bars = COLOURS.map((name) => ({ fill: colour(name), stroke: colour(name), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 60], align: 1 }) }));
    const unknown = (plot) => {
      plot.ctx.fillStyle = colour("--idle-bg");
      for (const { at, counts } of rows) {
        if (counts[0] !== null) continue;
        const left = plot.valToPos(at, "x", true);
        plot.ctx.fillRect(left, plot.bbox.top, plot.valToPos(at + width, "x", true) - left, plot.bbox.height);
      }
    };
    return new uPlot({
      width: box.clientWidth,
      height: HEIGHT,
      padding: [8, RIGHT, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone()),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      hooks: { setCursor: [(plot) => { said.textContent = say(plot); }], drawClear: [unknown] },
      scales: { x: { range: () => [rows[0].at, rows.at(-1).at + width] }, y: { range: (_plot, _least, most) => [0, Math.max((most || 0) * 1.05, 4)] } },
      axes: [{ ...axis, grid: { show: false }, values: (_plot, splits) => splits.map((seconds) => mark(seconds)), size: 24, label: zone(), labelSize: 14, labelGap: 0, labelFont: axis.font }, { ...axis, size: LEFT, incrs: STEPS }],
      series: [{}, ...bars],
    }, [rows.map((row) => row.at), ...stacked], box);
  };

  const draw = (box) => {
    charts.get(box)?.destroy();
    charts.delete(box);
    const table = document.getElementById(box.dataset.chart);
    if (table && box.clientWidth) charts.set(box, attempts(box, table));
  };
  const drawAll = () => {
    for (const box of charts.keys()) if (!box.isConnected) charts.delete(box);
    for (const box of document.querySelectorAll("[data-chart]")) draw(box);
  };

  // The strip is drawn by the server; the line below says what is under the pointer.
  document.addEventListener("pointermove", ({ target, clientX }) => {
    const said = document.getElementById("over-time-at");
    const strip = target.closest?.("[data-strip]");
    if (!said || !strip) return;
    const table = document.getElementById(strip.dataset.strip), { left, width } = strip.getBoundingClientRect();
    const from = Number(table.dataset.from), at = from + (clientX - left) / width * (Number(table.dataset.until) - from);
    const row = [...table.tBodies[0].rows].find(({ dataset }) => dataset.since <= at && at < dataset.until);
    said.textContent = !row ? "" : `${span(Number(row.dataset.since), Number(row.dataset.until))}: ${row.dataset.label || "not known"}`;
  });

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
