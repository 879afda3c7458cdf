// The charts of the benchmark, by Observable Plot. Each function returns an SVG for a width, or null without data.
"use strict";
const run = JSON.parse(document.getElementById("run").textContent);
const { heading, sections } = run;
const [first, second, faint] = ["var(--first)", "var(--second)", "var(--faint)"];
const jobs = [...new Set(run.growth.map((point) => point.job))];

const charts = {
  ratios(width) {
    const pairs = run.figures.filter((figure) => figure.ratio != null && figure.goal.startsWith("ratio"));
    const bound = (figure) => Number(figure.goal.split(" ").at(-1));
    const met = (figure) => (figure.goal.includes(">") ? figure.ratio >= bound(figure) : figure.ratio <= bound(figure));
    const label = (figure) => `${figure.name} / ${figure.baseline}`;
    const text = width < 700 ? (figure) => label(figure).slice(0, width / 8) : label;
    if (!pairs.length) return null;
    return Plot.plot({
      width, height: 60 + 40 * pairs.length, marginLeft: 8, marginRight: 24, marginBottom: 46,
      x: { type: "log", label: "ratio, logarithmic; a filled dot meets its goal", grid: true, ticks: width / 90, tickFormat: "~g" },
      y: { domain: pairs.map(label), axis: null },
      marks: [
        Plot.ruleX([1], { stroke: faint }),
        Plot.link(pairs, { x1: bound, x2: "ratio", y1: label, y2: label, stroke: faint }),
        Plot.tickX(pairs, { x: bound, y: label, stroke: second, strokeWidth: 3, insetTop: 12, insetBottom: 6 }),
        Plot.dot(pairs, { x: "ratio", y: label, r: 5, stroke: first, fill: (figure) => (met(figure) ? first : "var(--paper)"), tip: true,
          title: (figure) => `${label(figure)}\n${Number(figure.ratio.toPrecision(3))}, goal ${figure.goal}` }),
        Plot.text(pairs, { y: label, text, frameAnchor: "left", dy: -14, textAnchor: "start" }),
      ],
    });
  },
  seconds: (width) => growth(width, (point) => (1e6 * point.seconds) / point.rows, "µs per row", []),
  memory: (width) => growth(width, "peak_mb", "MB", [Plot.ruleY([500], { stroke: second, strokeDasharray: "4 3" })]),
};

function growth(width, y, label, marks) {
  if (!jobs.length) return null;
  return Plot.plot({
    width, height: 70 + 110 * jobs.length, marginLeft: 56, marginRight: 90, marginBottom: 46,
    x: { type: "log", label: "rows, logarithmic", grid: true, ticks: width / 110, tickFormat: "~s" }, y: { label, grid: true, ticks: 4, zero: true },
    fy: { domain: jobs, label: null },
    marks: [
      Plot.frame({ stroke: faint, strokeOpacity: 0.4 }), ...marks,
      Plot.line(run.growth, { x: "rows", y, fy: "job", stroke: first, strokeWidth: 2 }),
      Plot.dot(run.growth, { x: "rows", y, fy: "job", fill: first, r: 4, tip: true }),
    ],
  });
}

