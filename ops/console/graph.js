// The state machine as an SVG, laid out by dagre from its definition.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
const MARKS = { done: "✓ ", running: "… ", failed: "✕ " };
const COMMON = 8; // a state that so many catches lead to is where failures go: its edges would hide the rest

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function ways(state) {
  const next = [state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)];
  return { next: next.filter(Boolean), caught: (state.Catch ?? []).map((way) => way.Next) };
}

function caughtBy(definition) {
  const times = new Map();
  for (const state of Object.values(definition.States)) for (const way of ways(state).caught) times.set(way, (times.get(way) ?? 0) + 1);
  return times;
}

// States that only name a failure on its way to the common end; most runs have none, and they would make the graph wide.
function asides(definition) {
  const times = caughtBy(definition);
  return Object.entries(definition.States).filter(([, state]) => state.Type === "Pass" && times.get(state.Next) >= COMMON).map(([name]) => name);
}

function drawGraph(definition, chosen, visited) {
  const [times, hidden] = [caughtBy(definition), new Set(asides(definition).filter((name) => !visited.includes(name)))];
  const states = Object.entries(definition.States).filter(([name]) => !hidden.has(name));
  const graph = new dagre.graphlib.Graph().setGraph({ nodesep: 14, ranksep: 22, edgesep: 8, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [name] of states) graph.setNode(name, { width: 34 + 7 * name.length, height: 30 });
  for (const [name, state] of states) {
    const { next, caught } = ways(state);
    // The way that most runs go is pulled straight: a state's Next, or a choice's default.
    for (const way of new Set([...next, ...caught.filter((each) => times.get(each) < COMMON)].filter((each) => !hidden.has(each)))) {
      graph.setEdge(name, way, { weight: way === (state.Next ?? state.Default) ? 20 : 1 });
    }
  }
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  for (const edge of graph.edges()) {
    const points = graph.edge(edge).points.map(({ x, y }) => `${x},${y}`);
    root.append(svg("polyline", { class: "edge", points: points.join(" ") }));
  }
  for (const name of graph.nodes()) {
    const { x, y, width: w, height: h } = graph.node(name);
    const text = svg("text", { x, y: y + 4, "text-anchor": "middle" }, name);
    const node = svg("g", { class: "node", tabindex: 0, role: "button", "data-state": name, "aria-label": name },
      svg("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 6 }), text);
    node.addEventListener("click", () => chosen(name));
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(name); } });
    root.append(node);
  }
  return root;
}

function colourGraph(root, steps, run) {
  const found = new Map();
  // Other refusals were expected and caught: of a missing endpoint, of a lease that is taken.
  const failed = (step) => step.error && run.outcome.startsWith(step.error);
  for (const step of steps) found.set(step.state, failed(step) ? "failed" : step.left || run.status !== "RUNNING" ? "done" : "running");
  for (const node of root.querySelectorAll(".node")) {
    const name = node.dataset.state;
    const how = found.get(name) ?? "";
    if (node.dataset.how === how) continue;
    node.dataset.how = how;
    node.setAttribute("class", `node ${how}`);
    node.setAttribute("aria-label", how ? `${name}, ${how}` : name);
    node.querySelector("text").textContent = (MARKS[how] ?? "") + name;
  }
  return [...found].find(([, how]) => how === "running")?.[0] ?? steps.at(-1)?.state;
}

function bringIntoView(box, root, state) {
  const node = root.querySelector(`[data-state="${state}"]`);
  if (!node || box.dataset.at === state) return;
  box.dataset.at = state;
  const [inner, outer] = [node.getBoundingClientRect(), box.getBoundingClientRect()];
  box.scrollBy(inner.x - outer.x - (outer.width - inner.width) / 2, inner.y - outer.y - (outer.height - inner.height) / 2);
}
