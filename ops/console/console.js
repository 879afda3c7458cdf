// The page: a snapshot comes by server-sent events whenever something has changed, and is shown as it is.
"use strict";
const byId = (id) => document.getElementById(id);
let chosen = ""; // a run's name; empty follows the newest
let shown = ""; // the run whose report is shown
let definitions = null;
let graph = null;
let unfolded = false; // whether the graph shows the states of failures, too
let source = null;
let signature = ""; // of the model that the example is of: another one does not answer

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

const time = (text) => (text ? new Date(text).toLocaleString([], { dateStyle: "short", timeStyle: "medium" }) : "");
const number = (value) => Number(value.toPrecision(3));
const word = (run) => (run.status === "SUCCEEDED" ? run.outcome : run.status.toLowerCase());

function show(snapshot) {
  if (snapshot.error) { byId("live").textContent = snapshot.error; return; }
  const { endpoint, run } = snapshot;
  document.title = byId("project").textContent = snapshot.project;
  const why = endpoint.run ? `, by run ${endpoint.run.name}: ${endpoint.run.why || endpoint.run.outcome}` : "";
  byId("live").textContent = endpoint.status === "none" ? "No model is live yet." : `${endpoint.status} since ${time(endpoint.since)}${why}`;
  byId("alarms").replaceChildren(...snapshot.alarms.map((alarm) => element("li", `Alarm ${alarm.name}: ${alarm.reason} ${alarm.runbook}`)));
  byId("runs").replaceChildren(...snapshot.runs.map((each) => {
    const button = element("button", `${word(each)}, started by ${each.started_by}`, element("small", `${time(each.started)} ${each.name.slice(0, 12)}`));
    button.dataset.run = each.name;
    button.setAttribute("aria-pressed", String(each.name === run?.name));
    button.addEventListener("click", () => { chosen = each.name; listen(); });
    return element("li", "", button);
  }));
  const failed = run && run.status !== "RUNNING" && run.status !== "SUCCEEDED";
  byId("failure").hidden = !failed;
  byId("cause").textContent = failed ? run.outcome : "";
  byId("graph-title").textContent = run ? `Workflow of run ${run.name.slice(0, 12)}: ${word(run)}` : "Workflow";
  if (definitions) showGraph(snapshot);
  const { drift } = snapshot;
  byId("drift").textContent = drift ? `${drift.verdict} (${time(drift.when)}): ${drift.reason}` : snapshot.unchecked;
  byId("drifted").replaceChildren(...snapshot.drifted.map(([feature, each]) => element("li", `${feature}: PSI ${number(each.psi)}${each.ks === undefined ? "" : `, KS ${number(each.ks)}`}`)));
  byId("models").replaceChildren(...snapshot.models.map((each) => element("li", `${each.ModelPackageVersion} ${each.ModelApprovalStatus}`,
    element("small", `${time(each.CreationTime)} ${each.ModelPackageDescription ?? ""}`))));
  if (run) report(run.name);
}

function showGraph({ run, steps }) {
  const deployment = run?.arn.split(":")[6].endsWith("-deploy") ?? false;
  const visited = steps.map((step) => step.state);
  const key = JSON.stringify([deployment, unfolded, besideMainPath(definitions, deployment, visited)]);
  if (key !== graph?.key) {
    graph = Object.assign(drawGraph(definitions, deployment, log, visited, unfolded), { key });
    byId("graph").replaceChildren(graph);
    byId("fold").textContent = unfolded ? "Fold the states of failures" : `Unfold ${graph.folded} states of failures`;
    byId("fold").setAttribute("aria-expanded", String(unfolded));
  }
  colourGraph(graph, steps, run);
}

function report(name) {
  const details = byId("report");
  if (!details.open || shown === name) return;
  shown = name;
  const frame = element("iframe");
  frame.title = `Report of run ${name}`;
  frame.src = `/report?run=${encodeURIComponent(name)}`;
  details.querySelector("iframe")?.remove();
  details.append(frame);
}

async function log(state) {
  const run = document.querySelector('#runs [aria-pressed="true"]')?.dataset.run;
  if (!run) return;
  byId("log-title").textContent = `Log of ${state}`;
  const found = await (await fetch(`/logs?run=${encodeURIComponent(run)}&state=${encodeURIComponent(state)}`)).json();
  const lines = found.error ?? (found.lines.join("\n") || `${state} has no job, so no log.`);
  const errors = (found.errors ?? []).map((line) => element("mark", `! ${line}\n`));
  byId("log").replaceChildren(...errors, lines);
}

byId("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("answer").textContent = "…";
  const posted = await fetch("/predict", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ row: byId("row").value.trim(), signature }) });
  const answer = await posted.json();
  byId("answer").textContent = answer.label ?? answer.error;
});

let last = null;
byId("fold").addEventListener("click", () => { unfolded = !unfolded; if (last && definitions) showGraph(last); });
byId("report").addEventListener("toggle", () => last?.run && report(last.run.name));

function listen() {
  source?.close();
  source = new EventSource(`/events?run=${encodeURIComponent(chosen)}`);
  source.onmessage = async (event) => {
    last = JSON.parse(event.data);
    if (!definitions) await define();
    show(last);
  };
  source.onerror = () => { byId("live").textContent = "The console's server does not answer: start it again with `ops console`."; };
}

// AWS may fail to answer once: the next snapshot asks again.
async function define() {
  const found = await (await fetch("/definitions")).json();
  if (!found.error) definitions = found;
}

async function begin() {
  const [example] = await Promise.all([fetch("/example").then((answer) => answer.json()), define()]);
  byId("row").value = example.row ?? "";
  signature = example.signature ?? "";
  listen();
}
begin();
