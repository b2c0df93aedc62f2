// A chart with a legend: curves can be switched, zoomed and read off, by mouse and by keyboard.

const charts = new Set();
const DASHES = { dash: [7, 4], dot: [2, 4] };

class Chart {
  // view() gives {x, series: [{name, colour, style, width, line, low, high, points}], log, logX,
  // xLabel, yLabel, xText, mark, diagonal, bands}. It is asked again whenever something changes.
  // The range of y is that of the series that are not `aside`, while one of them is shown.
  constructor(view, label) {
    this.view = view;
    this.hidden = new Set();
    this.zoom = null;
    this.place = el("div", {
      class: "chart", tabindex: "0", role: "group",
      "aria-label": `${label}. Arrow keys read values off, + and - zoom, Escape shows all.`,
      onkeydown: (event) => this.key(event),
    });
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Curves" });
    this.readout = el("p", { class: "readout", "aria-live": "polite" });
    this.element = el("div", {}, this.place, this.readout, this.legend);
    this.cursor = null;
    charts.add(this);
    new ResizeObserver(() => requestAnimationFrame(() => this.fit())).observe(this.place);
  }

  size() {
    const width = Math.max(220, this.place.clientWidth);
    return { width, height: Math.round(Math.min(420, Math.max(260, width * 0.5))) };
  }

  fit() {
    if (!this.plot) this.draw();
    else if (this.plot.width !== this.size().width) this.plot.setSize(this.size());
  }

  reset() {
    this.zoom = null;
    this.draw();
  }

  draw() {
    if (!this.place.clientWidth) return;
    if (this.plot) this.plot.destroy();
    const shown = this.shown = this.view();
    const data = [shown.x];
    const series = [{}];
    const bands = [];
    const framed = shown.series.some((each) => !each.aside && !this.hidden.has(each.name));
    for (const each of shown.series) {
      const show = !this.hidden.has(each.name), auto = !(framed && each.aside);
      const stroke = colour(each.colour);
      if (shown.bands && each.low) {
        bands.push({ series: [series.length, series.length + 1], fill: faded(stroke, 0.16) });
        for (const edge of [each.high, each.low]) {
          data.push(positive(edge, shown));
          series.push({ show, auto, width: 0, spanGaps: false, points: { show: false } });
        }
      }
      data.push(positive(each.line, shown));
      series.push({
        show, auto, stroke, label: each.name, width: each.width || 2, dash: DASHES[each.style],
        ...(each.points
          ? { paths: () => null, points: { show: true, size: 4.5, width: 0, fill: faded(stroke, 0.55) } }
          : { points: { show: false } }),
      });
      each.index = series.length - 1;
    }
    this.plot = new uPlot(this.options(shown, series, bands), data, this.place);
    this.drawLegend(shown);
    this.read(null);
  }

  options(shown, series, bands) {
    const quiet = colour("quiet"), grid = { stroke: colour("grid"), width: 1 };
    const axis = (label, log, room) => ({
      stroke: quiet, grid: { ...grid, ...thinned(log, room) }, ticks: { ...grid, ...thinned(log, room), size: 5 },
      ...thinned(log, room), label, labelSize: 22, labelGap: 2,
      font: "13px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif",
      values: (plot, splits) => splits.map((each) => each === null ? "" : formatted(each)),
    });
    return {
      ...this.size(), series, bands, legend: { show: false },
      scales: {
        x: { time: false, distr: shown.logX ? 3 : 1, ...(this.zoom ? { min: this.zoom[0], max: this.zoom[1] } : {}) },
        y: { distr: shown.log ? 3 : 1, range: (plot, low, high) => around(low, high, shown.log) },
      },
      axes: [
        { ...axis(shown.xLabel, shown.logX, 60), size: 34 },
        { ...axis(shown.yLabel, shown.log, 28), size: 62 },
      ],
      cursor: { drag: { x: true, y: false, setScale: true }, points: { size: 7 } },
      hooks: {
        setCursor: [(plot) => this.read(plot.cursor.idx)],
        setScale: [(plot, key) => { if (key === "x") this.zoomed(plot); }],
        draw: [(plot) => marks(plot, shown, quiet)],
      },
    };
  }

  zoomed(plot) {
    const { min, max } = plot.scales.x, data = plot.data[0];
    const all = min <= data[0] && max >= data[data.length - 1];
    this.zoom = all ? null : [min, max];
  }

  drawLegend(shown) {
    const focused = [...this.legend.children].indexOf(document.activeElement);
    this.values = [];
    this.legend.replaceChildren(...shown.series.map((each) => {
      const swatch = el("span", { class: `swatch ${each.style || ""}` });
      swatch.style.borderTopColor = colour(each.colour);
      const value = el("span", { class: "value" });
      this.values.push(value);
      return el("button", {
        type: "button", title: each.name, "aria-pressed": String(!this.hidden.has(each.name)),
        onclick: () => {
          if (!this.hidden.delete(each.name)) this.hidden.add(each.name);
          this.draw();
        },
      }, swatch, el("span", { class: "label" }, each.name), each.points ? null : value);
    }));
    if (focused >= 0) this.legend.children[focused]?.focus();
  }

  read(index) {
    if (!this.plot || !this.values) return;
    this.cursor = index;
    const { shown } = this, known = index !== null && index !== undefined;
    shown.series.forEach((each, n) => {
      const half = known && shown.bands && each.half ? each.half[index] : null;
      const value = known ? formatted(each.line[index]) : "";
      this.values[n].textContent = half === null ? value : `${value} ± ${formatted(half)}`;
    });
    this.readout.textContent = known ? shown.xText(index) : "Point at the chart, or focus it and use the arrow keys. Drag to zoom.";
  }

  key(event) {
    if (event.target !== this.place || !this.plot) return;
    const last = this.plot.data[0].length - 1;
    const step = event.shiftKey ? 10 : 1;
    const at = this.cursor ?? -1;
    const moves = { ArrowRight: at + step, ArrowLeft: at < 0 ? last : at - step, Home: 0, End: last };
    if (event.key in moves) this.point(Math.min(last, Math.max(0, moves[event.key])));
    else if (event.key === "Escape") this.reset();
    else if (event.key === "+" || event.key === "=") this.scale(0.5);
    else if (event.key === "-") this.scale(2);
    else return;
    event.preventDefault();
  }

  point(index) {
    const { plot } = this, x = plot.data[0][index];
    const y = this.shown.series.map((each) => each.line[index]).find((each) => each !== null);
    const top = y === undefined ? 0 : plot.valToPos(y, "y");
    plot.setCursor({ left: plot.valToPos(x, "x"), top: Number.isFinite(top) ? top : 0 });
    this.read(index);
  }

  scale(factor) {
    const { plot } = this, { min, max } = plot.scales.x, data = plot.data[0];
    const middle = this.cursor === null || this.cursor === undefined ? (min + max) / 2 : data[this.cursor];
    const half = (max - min) * factor / 2;
    const low = Math.max(data[0], middle - half), high = Math.min(data[data.length - 1], middle + half);
    if (high > low) plot.setScale("x", { min: low, max: high });
  }
}

// The range of an axis, a little wider than what it shows.
function around(low, high, log) {
  if (low === null || high === null) return [log ? 0.1 : 0, 1];
  return log ? [snapped(low / 1.05, Math.floor), snapped(high * 1.05, Math.ceil)] : uPlot.rangeNum(low, high, 0.1, true);
}

// The labels of a logarithmic axis, `room` pixels apart: whole powers of ten, or 1, 2 and 5 of a few.
function thinned(log, room) {
  if (!log) return {};
  const filter = (plot, splits, axis) => {
    const sizes = splits.map((each) => Math.log10(each));
    const { width, height } = plot.bbox, long = (axis ? height : width) / devicePixelRatio;
    const decades = Math.max(...sizes) - Math.min(...sizes);
    const every = Math.ceil(decades * room / long);
    const isPower = (size) => Math.abs(size - Math.round(size)) < 1e-6;
    return splits.map((each, n) => {
      const power = Math.round(sizes[n]), digit = Math.round(each / 10 ** Math.floor(sizes[n] + 1e-6));
      const fits = isPower(sizes[n]) ? power % every === 0 : long > 4 * room * decades && (digit === 2 || digit === 5);
      return fits ? each : null;
    });
  };
  return { filter };
}

// A number with one digit.
function snapped(number, round) {
  const unit = 10 ** Math.floor(Math.log10(number));
  return Number((round(number / unit) * unit).toPrecision(6));
}

// A logarithmic axis has no place for what is not positive.
function positive(numbers, shown) {
  if (!shown.log) return numbers;
  return numbers.map((each) => each !== null && each <= 0 ? (shown.least ?? null) : each);
}

function marks(plot, shown, stroke) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = stroke;
  ctx.setLineDash([4, 4]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  if (shown.mark !== undefined) {
    const x = plot.valToPos(shown.mark, "x", true);
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
  }
  if (shown.diagonal) {
    const [from, to] = shown.diagonal;
    ctx.moveTo(plot.valToPos(from, "x", true), plot.valToPos(from, "y", true));
    ctx.lineTo(plot.valToPos(to, "x", true), plot.valToPos(to, "y", true));
  }
  ctx.stroke();
  ctx.restore();
}
