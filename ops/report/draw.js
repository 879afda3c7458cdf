// Writes the page's `heading` and `sections`, then draws each figure with the function of its name in `charts`.
function shown(value) {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4));
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A table that scrolls by itself where the page is narrow; its first column names the row.
function table({ caption, headings, rows }) {
  const head = headings.map((heading) => (heading ? element("th", { scope: "col" }, heading) : element("td", {})));
  const cell = (value) => (typeof value === "number" ? element("td", { class: "number" }, shown(value)) : element("td", {}, value ?? "-"));
  const body = rows.map(([name, ...cells]) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(cell)));
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
}

function section({ title, note, parts }) {
  const below = note ? [element("p", { class: "note" }, note)] : [];
  const figure = ({ figure, caption }) => element("figure", { "data-chart": figure }, element("figcaption", {}, caption));
  return element("section", {}, element("h2", {}, title), ...below, ...parts.map((part) => (part.figure ? figure(part) : table(part))));
}

function draw() {
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const caption = figure.querySelector("figcaption");
    figure.querySelector("svg, .plot")?.remove();
    const chart = charts[figure.dataset.chart](figure.clientWidth);
    if (!chart) { figure.remove(); continue; }
    // Plot labels groups that have no role; the chart as a whole is the image, and its caption the label.
    for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", caption.textContent);
    figure.append(chart);
  }
}

let width = 0;
function fit() {
  if (width === document.body.clientWidth) return;
  width = document.body.clientWidth;
  draw();
}

document.querySelector("main").append(
  element("header", {}, element("p", { class: "kicker" }, heading.kicker), element("h1", { class: heading.kind ?? "" }, heading.title),
    ...heading.lines.map((line) => element("p", { class: "why" }, line)), ...(heading.note ? [element("p", {}, heading.note)] : [])),
  ...sections.map(section),
);
fit();
addEventListener("resize", fit);
