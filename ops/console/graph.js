// The state machines as an SVG: the main path straight down, what is beside it in columns to the right.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
const MARKS = { done: "✓ ", running: "… ", failed: "✕ " };
const COMMON = 8; // the catches of this many states lead to one state: their edges would hide the rest
const [ROW, HEIGHT, GAP, PAD] = [32, 24, 26, 14];

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const next = (state) => [...new Set([state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)].filter(Boolean))];
const caught = (state) => (state.Catch ?? []).map((way) => way.Next);

// The number of states from each state to the end of a run that succeeds; states from which no run succeeds are missing.
function distances(definition) {
  const found = new Map();
  const visit = (name) => {
    if (!found.has(name)) {
      const state = definition.States[name];
      found.set(name, -Infinity); // also ends a loop
      const ahead = Math.max(...next(state).map(visit), -Infinity);
      found.set(name, state.Type === "Succeed" || state.End ? 1 : 1 + ahead);
    }
    return found.get(name);
  };
  visit(definition.StartAt);
  for (const [name, distance] of found) if (distance === -Infinity) found.delete(name);
  return found;
}

// Places and edges of one machine. Shown are the states of runs that succeed, those that this run entered, and, unfolded, all.
function layout(definition, visited, unfolded) {
  const main = distances(definition);
  const names = Object.keys(definition.States).filter((name) => unfolded || main.has(name) || visited.includes(name));
  const sources = new Map();
  for (const name of names) for (const to of caught(definition.States[name])) sources.set(to, (sources.get(to) ?? 0) + 1);
  const edges = names.flatMap((name) => {
    const state = definition.States[name];
    const entered = visited.flatMap((each, at) => (each === name ? [visited[at + 1]] : []));
    const ways = [...next(state), ...caught(state).filter((to) => sources.get(to) < COMMON || entered.includes(to))];
    return [...new Set(ways)].filter((to) => names.includes(to)).map((to) => [name, to]);
  });
  const spine = [definition.StartAt];
  for (let ahead; (ahead = next(definition.States[spine.at(-1)]).filter((to) => main.has(to))).length; ) {
    spine.push(ahead.reduce((best, to) => (main.get(to) > main.get(best) ? to : best)));
  }
  const ranks = new Map();
  const rank = (name) => {
    if (!ranks.has(name)) {
      ranks.set(name, 0); // also ends a loop
      const before = names.filter((from) => next(definition.States[from]).includes(name) || (!main.has(name) && caught(definition.States[from]).includes(name)));
      ranks.set(name, Math.max(-1, ...before.map(rank)) + 1);
    }
    return ranks.get(name);
  };
  const taken = new Map();
  const places = new Map();
  for (const name of [...spine, ...names.filter((each) => !spine.includes(each))]) {
    const [row, column] = [rank(name), spine.includes(name) ? 0 : Math.max(1, taken.get(rank(name)) ?? 0)];
    taken.set(row, column + 1);
    places.set(name, { row, column, width: 30 + 6.4 * name.length });
  }
  const widths = [];
  for (const { column, width } of places.values()) widths[column] = Math.max(widths[column] ?? 0, width);
  const lefts = widths.map((_, column) => PAD + GAP + widths.slice(0, column).reduce((sum, width) => sum + (width ?? 0) + GAP, 0));
  for (const place of places.values()) Object.assign(place, { x: lefts[place.column] + widths[place.column] / 2, y: PAD + place.row * ROW + HEIGHT / 2 });
  const rows = 1 + Math.max(...[...places.values()].map(({ row }) => row));
  return { places, edges, folded: Object.keys(definition.States).length - names.length, width: lefts.at(-1) + widths.at(-1) + PAD, height: 2 * PAD + rows * ROW };
}

// An edge to the next row is a line; one along the same column passes the states between them on the left.
function path(from, to) {
  const [top, bottom] = [from.y + HEIGHT / 2, to.y - HEIGHT / 2];
  if (from.column === to.column && to.row - from.row !== 1) {
    const [one, other] = [from.x - from.width / 2, to.x - to.width / 2];
    const side = Math.min(one, other) - 12;
    return `M${one},${from.y}C${side - 14},${from.y} ${side - 14},${to.y} ${other},${to.y}`;
  }
  if (to.column > from.column && to.row - from.row > 1) return `M${from.x + from.width / 2},${from.y}C${to.x},${from.y} ${to.x},${from.y} ${to.x},${bottom}`;
  if (to.column < from.column && to.row - from.row > 1) return `M${from.x},${top}C${from.x},${to.y} ${from.x},${to.y} ${to.x + to.width / 2},${to.y}`;
  return `M${from.x},${top}C${from.x},${(top + bottom) / 2} ${to.x},${(top + bottom) / 2} ${to.x},${bottom}`;
}

function drawMachine({ places, edges }, prefix, chosen) {
  const drawn = edges.map(([from, to]) => svg("path", { class: "edge", d: path(places.get(from), places.get(to)) }));
  for (const [name, { x, y, width }] of places) {
    const state = prefix + name;
    const node = svg("g", { class: "node", tabindex: 0, role: "button", "data-state": state, "data-name": name, "aria-label": state },
      svg("rect", { x: x - width / 2, y: y - HEIGHT / 2, width, height: HEIGHT, rx: 5 }), svg("text", { x, y: y + 4, "text-anchor": "middle" }, name));
    node.addEventListener("click", () => chosen(state));
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(state); } });
    drawn.push(node);
  }
  return drawn;
}

// A run's graph; for a run of the retraining machine, the states of its deployment are in a box beside the state Deploy.
function drawGraph(definitions, deployment, chosen, visited, unfolded) {
  const own = layout(definitions[deployment ? "deploy" : "retrain"], visited.filter((state) => !state.includes("/")), unfolded);
  const at = own.places.get("Deploy");
  const children = drawMachine(own, "", chosen);
  let [width, height, folded] = [own.width, own.height, own.folded];
  if (at && !deployment) {
    const child = layout(definitions.deploy, visited.filter((state) => state.startsWith("Deploy/")).map((state) => state.slice(7)), unfolded);
    const left = own.width + GAP;
    children.push(
      svg("path", { class: "edge", d: `M${at.x + at.width / 2},${at.y}H${left}` }),
      svg("g", { transform: `translate(${left} 0)` }, svg("rect", { class: "box", x: 0, y: 1, width: child.width, height: child.height - 2, rx: 8 }), ...drawMachine(child, "Deploy/", chosen)),
    );
    [width, height, folded] = [left + child.width + 2, Math.max(height, child.height), folded + child.folded];
  }
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, ...children);
  return Object.assign(root, { folded });
}

// The states among these that are drawn only because a run entered them.
function besideMainPath(definitions, deployment, visited) {
  const main = { retrain: distances(definitions.retrain), deploy: distances(definitions.deploy) };
  const machine = (state) => (deployment || state.startsWith("Deploy/") ? "deploy" : "retrain");
  return [...new Set(visited)].filter((state) => {
    const name = state.replace("Deploy/", "");
    return name in definitions[machine(state)].States && !main[machine(state)].has(name);
  });
}

function colourGraph(root, steps, run) {
  const found = new Map();
  for (const step of steps) found.set(step.state, step.failed ? "failed" : step.left || run.status !== "RUNNING" ? "done" : "running");
  for (const node of root.querySelectorAll(".node")) {
    const { state, name } = node.dataset;
    const how = found.get(state) ?? "";
    if (node.dataset.how === how) continue;
    node.dataset.how = how;
    node.setAttribute("class", `node ${how}`);
    node.setAttribute("aria-label", how ? `${state}, ${how}` : state);
    node.querySelector("text").textContent = (MARKS[how] ?? "") + name;
  }
}
