// One comparison: loss curves, the outcome of each problem, and how outcomes are spread.

const TITLES = { sgd: "SGD", nesterov: "Nesterov", rmsprop: "RMSprop", adam: "Adam", adamw: "AdamW", "l-bfgs": "L-BFGS" };
const OWN = new Set(["learned", ...Object.keys(TITLES)]);

function styled(runs) {
  let number = 0;
  return runs.map((run) => ({
    ...run,
    label: run.label || TITLES[run.name] || run.name,
    colour: run.role === "learned" ? "c-learned" : OWN.has(run.name) ? `c-${run.name}` : `c-${number++ % 8}`,
    style: run.role === "reference" ? "dot" : run.name === "adamw" || run.role === "other" ? "dash" : "",
    width: run.role === "learned" ? 3 : 2,
    aside: run.role === "reference",
  }));
}

// What is judged by itself may end far below all others, and must not flatten them.
const BELOW = " The dotted line goes on below the chart where it leaves it.";

function noted(note, runs) {
  return runs.some((run) => run.aside) ? note + BELOW : note;
}

function leastPositive(lists) {
  let least = Infinity;
  for (const list of lists) for (const each of list) if (each !== null && each > 0 && each < least) least = each;
  return least;
}

function drawComparison(section) {
  const panel = section.panel, runs = styled(panel.runs);
  const parts = [curvesCard(section, panel, runs)];
  const spread = [scatterCard(section, runs), outcomesCard(section, panel, runs)].filter(Boolean);
  if (spread.length) parts.push(el("div", { class: spread.length > 1 ? "pair" : "" }, ...spread));
  return el("div", {}, ...parts);
}

function curvesCard(section, panel, runs) {
  const timed = runs.every((run) => run.seconds_per_step > 0);
  const least = leastPositive(runs.filter((run) => !run.aside).flatMap((run) => [run.mean, run.median]));
  const allPositive = runs.every((run) => run.mean.every((each) => each === null || each > 0));
  const state = { time: false, log: allPositive && Number.isFinite(least), centre: "mean", bands: true };
  const chart = new Chart(() => curvesView(panel, runs, state, least), `${section.title}: loss at each step`);
  const set = (name) => (value) => {
    if (name === "time") chart.zoom = null;
    state[name] = value;
    chart.draw();
  };
  return card({ title: section.title, note: noted(section.note, runs) },
    el("div", { class: "controls" },
      choice("Curve", [["mean", "Mean"], ["median", "Median"]], state.centre, set("centre")),
      choice("Loss", [[true, "Log"], [false, "Linear"]], state.log, set("log")),
      timed ? choice("Against", [[false, "Steps"], [true, "Seconds"]], false, set("time")) : null,
      toggle("Intervals", true, set("bands")),
      el("button", { type: "button", onclick: () => chart.reset() }, "Show all")),
    chart.element);
}

function curvesView(panel, runs, state, least) {
  const centre = state.centre;
  const grid = state.time ? timeGrid(panel, runs) : panel.steps;
  const series = runs.map((run) => {
    const line = run[centre];
    const half = centre === "mean" ? run.half : null;
    const low = half ? line.map((each, n) => minus(each, half[n])) : run.low;
    const high = half ? line.map((each, n) => minus(each, half[n], -1)) : run.high;
    const at = (numbers) => state.time ? onto(grid, panel.steps, run.seconds_per_step, numbers) : numbers;
    return {
      name: run.label, colour: run.colour, style: run.style, width: run.width, aside: run.aside,
      line: at(line), low: at(low), high: at(high), half: half && at(half),
    };
  });
  return {
    x: grid, series, log: state.log, least, bands: state.bands,
    mark: state.time ? undefined : panel.horizon,
    xLabel: state.time ? "seconds" : "step", yLabel: centre === "mean" ? "mean loss" : "median loss",
    xText: (index) => state.time ? `${formatted(grid[index])} seconds` : `Step ${grid[index]}${grid[index] === panel.horizon ? ", the horizon" : ""}`,
  };
}

function minus(value, half, sign = 1) {
  return value === null || half === null ? value : value - sign * half;
}

// Curves of different speed on one grid of seconds; each ends where its run ended.
function timeGrid(panel, runs) {
  const longest = Math.max(...runs.map((run) => run.seconds_per_step)) * panel.steps[panel.steps.length - 1];
  return Array.from({ length: 401 }, (_, n) => longest * n / 400);
}

function onto(grid, steps, price, numbers) {
  let at = 0;
  return grid.map((seconds) => {
    const step = seconds / price;
    if (step > steps[steps.length - 1] * (1 + 1e-9)) return null;
    while (at < steps.length - 2 && steps[at + 1] < step) at += 1;
    const [left, right] = [numbers[at], numbers[at + 1]];
    if (left === null || right === null) return null;
    return left + (right - left) * Math.min(1, (step - steps[at]) / (steps[at + 1] - steps[at]));
  });
}

function scatterCard(section, runs) {
  const learned = runs.find((run) => run.role === "learned");
  const rivals = runs.filter((run) => run !== learned && run.final.length === learned.final.length);
  if (!rivals.length) return null;
  let rival = rivals.find((run) => run.name === section.best) || rivals[0];
  const say = el("p", { class: "note" });
  const chart = new Chart(() => scatterView(learned, rival, say), "Loss of each problem");
  const select = el("select", {
    "aria-label": "Compared with",
    onchange: (event) => {
      rival = rivals[Number(event.target.value)];
      chart.reset();
    },
  }, ...rivals.map((run, n) => el("option", { value: n, selected: run === rival }, run.label)));
  const parts = card({ title: "Problem by problem" }, say,
    el("div", { class: "controls" }, el("label", { class: "choice" }, el("span", {}, "Compared with"), select)),
    chart.element);
  chart.legend.hidden = true;
  return parts;
}

function scatterView(learned, rival, say) {
  const pairs = learned.final.map((each, n) => [rival.final[n], each, n])
    .filter(([x, y]) => x !== null && y !== null).sort((a, b) => a[0] - b[0]);
  const log = pairs.every(([x, y]) => x > 0 && y > 0) && pairs.length > 0;
  const better = pairs.filter(([x, y]) => y < x).length;
  const name = learned.label === "learned" ? "the learned rule" : learned.label;
  say.textContent = `${name.replace("the", "The")} ends lower on ${better} of ${pairs.length} problems` +
    (pairs.length < learned.final.length ? "; the others have a loss that is not finite." : ". Below the line it is better.");
  const all = pairs.flatMap(([x, y]) => [x, y]);
  return {
    x: pairs.map(([x]) => x), log, logX: log,
    series: [{ name: "problems", colour: "c-learned", points: true, line: pairs.map(([, y]) => y) }],
    diagonal: [Math.min(...all), Math.max(...all)],
    xLabel: `loss of ${rival.label}`, yLabel: `loss of ${name}`,
    xText: (index) => `Problem ${pairs[index][2]}: ${learned.label} ${formatted(pairs[index][1])}, ${rival.label} ${formatted(pairs[index][0])}`,
  };
}

function outcomesCard(section, panel, runs) {
  const shares = Array.from({ length: 101 }, (_, n) => n);
  const sorted = runs.map((run) => run.final.map((each) => each ?? Infinity).sort((a, b) => a - b));
  const series = runs.map((run, which) => ({
    name: run.label, colour: run.colour, style: run.style, width: run.width, aside: run.aside,
    line: shares.map((share) => {
      const found = sorted[which][Math.round(share / 100 * (sorted[which].length - 1))];
      return Number.isFinite(found) ? found : null;
    }),
  }));
  const least = leastPositive(series.filter((each) => !each.aside).map((each) => each.line));
  const state = { log: series.every((each) => each.line.every((value) => value === null || value > 0)) && Number.isFinite(least) };
  const chart = new Chart(() => ({
    x: shares, series, log: state.log, least, xLabel: "share of problems, %", yLabel: `loss at step ${panel.horizon}`,
    xText: (index) => `${shares[index]} % of the problems end at or below`,
  }), "Distribution of outcomes");
  return card({ title: "Distribution of outcomes", note: noted("Problems in the order of their loss, for each optimizer.", runs) },
    el("div", { class: "controls" },
      choice("Loss", [[true, "Log"], [false, "Linear"]], state.log, (value) => { state.log = value; chart.draw(); })),
    chart.element);
}
