// One function for each kind of section.

const KINDS = {
  comparison: drawComparison,
  facts: (section) => el("dl", { class: "facts" }, ...section.items.map((each) => el("div", {},
    el("dt", {}, each.name), el("dd", {}, each.value, each.note ? el("small", {}, each.note) : null)))),
  heading: (section) => el("h2", { class: "part" }, section.title),
  lines: drawLines,
  matrix: drawMatrix,
  pictures: drawPictures,
  table: drawTable,
  text: drawText,
};

function drawTable(section) {
  const marks = section.marks || [];
  const table = el("table", { class: section.words ? "words" : undefined },
    el("thead", {}, el("tr", {}, ...section.columns.map((each) => el("th", { scope: "col" }, each)))),
    el("tbody", {}, ...section.rows.map((row, n) => el("tr", { class: marks[n] || undefined },
      ...row.map((cell) => el("td", {}, cell))))));
  return card(section, el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": section.title }, table));
}

function drawText(section) {
  const text = el("pre", { tabindex: "0", class: section.folded ? undefined : "wrap" }, section.text);
  if (!section.folded) return card(section, text);
  return el("section", { class: "card" }, el("details", {}, el("summary", {}, section.title), text));
}

function drawLines(section) {
  const series = section.series.map((each, n) => ({ ...each, colour: each.colour || `c-${n}`, width: 2 }));
  const least = leastPositive(series.map((each) => each.line));
  const state = { log: series.every((each) => each.line.every((value) => value === null || value > 0)) && Number.isFinite(least) };
  const chart = new Chart(() => ({
    x: section.x, series, log: state.log, least, xLabel: section.xLabel, yLabel: section.yLabel,
    xText: (index) => `${section.xWord || section.xLabel} ${section.x[index].toLocaleString("en")}`,
  }), section.title);
  return card(section,
    el("div", { class: "controls" },
      choice("Scale", [[true, "Log"], [false, "Linear"]], state.log, (value) => { state.log = value; chart.draw(); }),
      el("button", { type: "button", onclick: () => chart.reset() }, "Show all")),
    chart.element);
}

function drawMatrix(section) {
  const cells = [];
  const body = section.counts.map((row, r) => {
    const sum = row.reduce((a, b) => a + b, 0) || 1;
    return el("tr", {}, el("th", { scope: "row", title: section.names[r] }, `${r + 1}. ${section.names[r]}`), ...row.map((count, c) => {
      const cell = el("td", { title: `${section.names[r]} called ${section.names[c]}: ${count}` }, count ? `${Math.round(100 * count / sum)}` : "·");
      cells.push([cell, count / sum, r === c]);
      return cell;
    }));
  });
  const table = el("table", { class: "matrix" },
    el("thead", {}, el("tr", {}, el("td", {}), ...section.names.map((each, n) => el("th", { scope: "col", title: each }, n + 1)))),
    el("tbody", {}, ...body));
  const paint = () => {
    for (const [cell, share, right] of cells) {
      cell.style.background = faded(colour(right ? "good" : "bad"), (share * 0.32).toFixed(3));
    }
  };
  paint();
  repaints.push(paint);
  return card(section, el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": section.title }, table));
}

function drawPictures(section) {
  return card(section, el("ul", { class: "pictures" }, ...section.items.map((each) => el("li", {},
    el("figure", {}, el("img", { src: each.image, alt: each.alt || each.caption, width: 128, height: 128 }),
      el("figcaption", {}, each.caption, el("span", {}, each.note)))))));
}
