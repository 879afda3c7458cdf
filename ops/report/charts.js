// The charts of a report, by Observable Plot: a function per figure, which returns an SVG for a width, or nothing.
"use strict";
const run = JSON.parse(document.getElementById("run").textContent);
const [first, second, faint] = ["var(--first)", "var(--second)", "var(--faint)"];
const measured = Object.entries(run.evaluation).find(([key]) => key.endsWith("_metrics"))?.[1] ?? {};
const start = Date.parse(run.run.started);
const MOST_LEVELS = 8; // of a feature, in a chart
const seconds = (time) => (Date.parse(time) - start) / 1000;
const plot = (options) => Plot.plot({ marginBottom: 46, ...options });
const short = (name) => (name.length > 26 ? `${name.slice(0, 25)}…` : name);
const left = (names) => Math.min(190, 16 + 7 * Math.max(...names.map((name) => name.length)));

const charts = {
  timeline(width) {
    const end = run.run.stopped ?? run.steps.at(-1)?.entered;
    const steps = run.steps.map((step) => ({ ...step, from: seconds(step.entered), to: seconds(step.left ?? end) }));
    const least = Math.max(...steps.map((step) => step.to)) / 200; // shorter states cannot be seen and are left out
    const seen = steps.filter((step) => step.error || step.to - step.from > least);
    const states = [...new Set(seen.map((step) => step.state))];
    return plot({
      width, height: 60 + 22 * states.length, marginLeft: left(states), marginRight: 44,
      x: { label: "seconds", grid: true }, y: { domain: states, label: null },
      marks: [
        Plot.barX(seen, { x1: "from", x2: (step) => Math.max(step.to, step.from + least), y: "state",
          fill: (step) => (step.error ? second : first), tip: true,
          title: (step) => `${step.state}\n${shown(step.to - step.from)} s\n${step.error}` }),
        Plot.text(seen.filter((step) => step.failed), { x: "to", y: "state", text: () => "failed", dx: 6, textAnchor: "start" }),
      ],
    });
  },
  metrics(width) {
    const metrics = run.metrics;
    return plot({
      width, height: 60 + 26 * metrics.length, marginLeft: left(metrics.map((metric) => metric.name)),
      x: { grid: true, label: "value; a tick is the quality gate's threshold" }, y: { label: null, domain: metrics.map((metric) => metric.name) },
      marks: [
        Plot.ruleY(metrics, { x1: "low", x2: "high", y: "name", stroke: first, strokeWidth: 3 }),
        Plot.dot(metrics, { x: "value", y: "name", fill: first, r: 5, tip: true,
          title: (metric) => `${metric.name} ${shown(metric.value)}\n${shown(metric.low)} to ${shown(metric.high)}` }),
        Plot.tickX(metrics.filter((metric) => metric.threshold != null), { x: "threshold", y: "name", stroke: second, strokeWidth: 3 }),
      ],
    });
  },
  difference(width) {
    const found = run.evaluation.comparison;
    const [low, high] = found.interval;
    return plot({
      width, height: 110, marginLeft: left([found.metric]), x: { grid: true, label: "challenger minus champion", nice: true }, y: { label: null },
      marks: [
        Plot.ruleX([0], { stroke: faint }),
        Plot.ruleX([-run.margin], { stroke: second, strokeDasharray: "4 3", strokeWidth: 2 }),
        Plot.text([-run.margin], { x: (d) => d, frameAnchor: "top", text: () => "margin", dy: -12 }),
        Plot.ruleY([found], { x1: () => low, x2: () => high, y: "metric", stroke: first, strokeWidth: 3 }),
        Plot.dot([found], { x: "difference", y: "metric", fill: first, r: 5, tip: true, title: () => `${shown(found.difference)}\n${shown(low)} to ${shown(high)}` }),
      ],
    });
  },
  roc(width) {
    const curve = measured.receiver_operating_characteristic_curve;
    const points = curve.false_positive_rates.map((x, i) => ({ x, y: curve.true_positive_rates[i] }));
    return unit(width, points, "false positive rate", "true positive rate", [Plot.link([0], { x1: 0, y1: 0, x2: 1, y2: 1, stroke: faint, strokeDasharray: "3 3" })]);
  },
  pr(width) {
    const curve = measured.precision_recall_curve;
    return unit(width, curve.recalls.map((x, i) => ({ x, y: curve.precisions[i] })), "recall", "precision", []);
  },
  scores(width) {
    const bars = histogram().flatMap(({ name, counts, edges }) => counts.map((rows, i) => ({ name, rows, from: edges[i], to: edges[i + 1] })));
    if (!bars.length) return null;
    return plot({
      width, height: 260, marginRight: 60, x: { label: "score" }, y: { label: "rows", grid: true }, fy: { label: null },
      marks: [
        Plot.rectY(bars, { x1: "from", x2: "to", y: "rows", fy: "name", insetLeft: 1, fill: (bar) => (bar.name === run.classes[0] ? first : second), tip: true }),
        Plot.ruleY([0]),
      ],
    });
  },
  calibration(width) {
    const [negative, positive] = histogram();
    if (positive?.edges[0] !== 0 || positive.edges.at(-1) !== 1) return null; // the scores are not probabilities
    const bins = d3.range(10).map((bin) => {
      const bars = d3.range(bin * 4, bin * 4 + 4);
      const rows = d3.sum(bars, (i) => negative.counts[i] + positive.counts[i]);
      const middle = (i) => (positive.edges[i] + positive.edges[i + 1]) / 2;
      return { rows, x: d3.sum(bars, (i) => middle(i) * (negative.counts[i] + positive.counts[i])) / rows, y: d3.sum(bars, (i) => positive.counts[i]) / rows };
    }).filter((bin) => bin.rows > 0);
    const dots = Plot.dot(bins, { x: "x", y: "y", r: 5, fill: first, tip: true, title: (bin) => `${bin.rows} rows\nmean score ${shown(bin.x)}\npositives ${shown(bin.y)}` });
    return unit(width, bins, "mean score", "share of positives", [Plot.link([0], { x1: 0, y1: 0, x2: 1, y2: 1, stroke: faint, strokeDasharray: "3 3" }), dots]);
  },
  thresholds(width) {
    const [negative, positive] = histogram();
    if (!positive) return null;
    const all = d3.sum(positive.counts);
    const points = positive.edges.slice(0, -1).flatMap((threshold, i) => {
      const hits = d3.sum(positive.counts.slice(i));
      const calls = hits + d3.sum(negative.counts.slice(i));
      const [precision, recall] = [calls ? hits / calls : 1, hits / all];
      return Object.entries({ precision, recall, F1: precision + recall ? (2 * precision * recall) / (precision + recall) : 0 }).map(([name, value]) => ({ name, threshold, value }));
    });
    const lines = { precision: [first, null], recall: [second, "6 3"], F1: ["currentColor", "2 3"] };
    return plot({
      width, height: 260, marginRight: 70, x: { label: "threshold" }, y: { domain: [0, 1], grid: true, label: null },
      marks: [
        ...Object.entries(lines).map(([name, [stroke, strokeDasharray]]) => Plot.line(points.filter((point) => point.name === name), { x: "threshold", y: "value", stroke, strokeDasharray, strokeWidth: 2 })),
        ...Object.keys(lines).map((name, i) => Plot.text([points.filter((point) => point.name === name).at(-1)], { x: "threshold", y: "value", text: "name", dx: 8, dy: [-4, 4, 16][i], textAnchor: "start" })),
        Plot.tip(points, Plot.pointer({ x: "threshold", y: "value", title: (point) => `${point.name} ${shown(point.value)}\nat ${shown(point.threshold)}` })),
      ],
    });
  },
  coefficients(width) {
    const several = new Set(run.coefficients.map((line) => line.output)).size > 1;
    const lines = run.coefficients.slice(0, 15).map((line) => ({ ...line, name: several ? `${line.feature}, ${run.classes[line.output]}` : line.feature }));
    return plot({
      width, height: 60 + 20 * lines.length, marginLeft: left(lines.map((line) => line.name)),
      x: { grid: true, label: several || !run.classes.length ? "effect" : `effect; above 0 raises the score of ${run.classes[1]}` }, y: { domain: lines.map((line) => line.name), label: null, tickFormat: short },
      marks: [Plot.barX(lines, { x: "effect", y: "name", fill: (line) => (line.effect > 0 ? second : first), tip: true }), Plot.ruleX([0])],
    });
  },
  tuning(width) {
    const { BestTrainingJob: best, trainings } = run.tuning;
    const metric = best.FinalHyperParameterTuningJobObjectiveMetric.MetricName;
    const points = trainings.filter((job) => !isNaN(objective(job))).flatMap((job) => Object.entries(job.TunedHyperParameters)
      .map(([name, value]) => ({ name, value, objective: objective(job), job: job.TrainingJobName })));
    const names = [...new Set(points.map((point) => point.name))];
    const charts = names.map((name) => {
      const own = points.filter((point) => point.name === name);
      const numbers = own.every((point) => Number(point.value) > 0);
      return plot({
        width: width / 2, height: 170, marginLeft: 60,
        x: numbers ? { type: "log", label: name, grid: true, ticks: 4 } : { type: "point", label: name },
        y: { label: metric, grid: true },
        marks: [
          Plot.dot(own, { x: (point) => (numbers ? Number(point.value) : point.value), y: "objective", r: 5, stroke: first,
            fill: (point) => (point.job === best.TrainingJobName ? second : "none"), tip: true,
            title: (point) => `${point.job}\n${name} ${point.value}\n${metric} ${shown(point.objective)}` }),
        ],
      });
    });
    const figure = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    charts.forEach((chart, i) => {
      chart.setAttribute("x", (i % 2) * (width / 2));
      chart.setAttribute("y", 170 * Math.floor(i / 2));
      figure.append(chart);
    });
    figure.setAttribute("width", width);
    figure.setAttribute("height", 170 * Math.ceil(charts.length / 2));
    return figure;
  },
  levels(width) {
    const champion = run.champion_baseline.features ?? {};
    const live = run.drift.features ?? {};
    const bars = Object.entries(run.baseline.features).filter(([, own]) => own.levels).flatMap(([name, own]) => {
      const [shares, others, now] = [sharesOf(own), sharesOf(champion[name]), sharesOf(live[name])];
      const shown = [...shares.keys()].sort((one, other) => shares.get(other) - shares.get(one)).slice(0, MOST_LEVELS);
      return shown.map((level) => ({ name: `${name}: ${level}`, share: shares.get(level), champion: others?.get(level) ?? (others && 0), live: now?.get(level) ?? (now && 0) }));
    });
    const tip = (bar) => [bar.name, `share ${shown(bar.share)}`, ...["champion", "live"].filter((key) => bar[key] != null).map((key) => `${key} ${shown(bar[key])}`)].join("\n");
    const marked = (key) => bars.filter((bar) => bar[key] != null);
    return plot({
      width, height: 60 + 18 * bars.length, marginLeft: left(bars.map((bar) => bar.name)),
      x: { grid: true, label: "share of the rows" }, y: { domain: bars.map((bar) => bar.name), label: null, tickFormat: short },
      marks: [
        Plot.barX(bars, { x: "share", y: "name", fill: first, tip: true, title: tip }),
        Plot.tickX(marked("champion"), { x: "champion", y: "name", stroke: second, strokeWidth: 3 }),
        Plot.dot(marked("live"), { x: "live", y: "name", stroke: "currentColor", fill: "var(--paper)", r: 4 }),
        Plot.ruleX([0]),
      ],
    });
  },
  drift(width) {
    const moved = Object.entries(run.drift.features).map(([name, found]) => ({ name, ...found })).sort((one, other) => other.psi - one.psi).slice(0, 15);
    return plot({
      width, height: 60 + 20 * moved.length, marginLeft: left(moved.map((each) => each.name)),
      x: { grid: true, label: "PSI; the line is the limit" }, y: { domain: moved.map((each) => each.name), label: null, tickFormat: short },
      marks: [
        Plot.barX(moved, { x: "psi", y: "name", fill: (each) => (each.reasons.length ? second : first), tip: true, title: (each) => [`${each.name} ${shown(each.psi)}`, ...each.reasons].join("\n") }),
        Plot.ruleX([run.psi], { stroke: second, strokeDasharray: "4 3", strokeWidth: 2 }),
        Plot.ruleX([0]),
      ],
    });
  },
  features(width) {
    const other = run.champion_baseline.features ?? run.baseline.features;
    const named = Object.entries(run.baseline.features).filter(([name, own]) => own.percentiles && other[name]?.percentiles);
    if (!named.length) return null;
    const ranges = named.flatMap(([name, own]) => [["this run", own], ["champion", other[name]]].map(([whose, values]) => {
      const scale = (value) => (value - other[name].mean) / (other[name].standard_deviation || 1);
      return { name, whose, low: scale(values.percentiles[9]), middle: scale(values.percentiles[49]), high: scale(values.percentiles[89]) };
    }));
    const own = ranges.filter((range) => range.whose === "this run");
    const champion = run.champion_baseline.features ? ranges.filter((range) => range.whose === "champion") : [];
    return plot({
      width, height: 60 + 18 * named.length, marginLeft: left(named.map(([name]) => name)),
      x: { grid: true, label: "standard deviations from the mean" + (champion.length ? "; wide and pale: the champion" : "") }, y: { domain: named.map(([name]) => name), label: null },
      marks: [
        Plot.ruleY(champion, { x1: "low", x2: "high", y: "name", stroke: second, strokeOpacity: 0.35, strokeWidth: 10 }),
        Plot.ruleY(own, { x1: "low", x2: "high", y: "name", stroke: first, strokeWidth: 3 }),
        Plot.dot(own, { x: "middle", y: "name", fill: first, r: 4, tip: true, title: (range) => `${range.name}\nmedian ${shown(range.middle)}\n10 % ${shown(range.low)}, 90 % ${shown(range.high)}` }),
      ],
    });
  },
};

// The share of the rows by level, of a feature in a baseline or in a drift check; nothing if it has no levels.
function sharesOf(feature) {
  const levels = feature?.levels ?? feature?.counts;
  if (!levels) return null;
  const { missing = 0, out_of_range: unknown = 0 } = feature;
  const rest = (1 - missing) * (1 - unknown) / (d3.sum(Object.values(levels)) || 1);
  return new Map([...Object.entries(levels).map(([level, rows]) => [level, rows * rest]), ...(missing ? [["(missing)", missing]] : [])]);
}

// The objective of a training job of the tuning job; not a number if it has none.
function objective(job) {
  return job.FinalHyperParameterTuningJobObjectiveMetric?.Value ?? NaN;
}

function unit(width, points, x, y, marks) {
  const line = marks.some((mark) => mark.r !== undefined) ? [] : [Plot.line(points, { x: "x", y: "y", stroke: first, strokeWidth: 2, tip: true })];
  return plot({ width, height: 260, x: { domain: [0, 1], label: x, grid: true }, y: { domain: [0, 1], label: y, grid: true }, marks: [...marks, ...line] });
}

// By class, the negative one first; nothing if the run measured none.
function histogram() {
  const { edges, counts } = run.profile.histogram ?? { edges: [0, 1], counts: {} };
  const place = ([name]) => run.classes.indexOf(name); // an object has names that are whole numbers first
  return Object.entries(counts).sort((one, other) => place(one) - place(other)).map(([name, values]) => ({ name, edges, counts: values }));
}
