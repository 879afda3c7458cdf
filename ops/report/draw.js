// Draws each figure of the page with the function of its name in `charts`, and again when the width changes.
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
fit();
addEventListener("resize", fit);
