// Curves over the steps: values under the pointer or by arrow keys, zoom by dragging.
(function () {
  "use strict";
  const PALETTE = 8;
  const HEIGHT = 200; // pixels
  const ZOOM = 0.6; // of the visible range, at each press
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const shown = new Map(); // box -> its redraw

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.title = label;
    made.addEventListener("click", () => act(made));
    return made;
  }

  function aligned(series) {
    const steps = [...new Set(series.flatMap((one) => one.steps))].sort((a, b) => a - b);
    const rows = series.map((one) => {
      const at = new Map(one.steps.map((step, k) => [step, one.values[k]]));
      return steps.map((step) => (at.has(step) ? at.get(step) : null));
    });
    return [steps, ...rows];
  }

  const format = (value) => (value == null ? "–" : String(Number(value.toPrecision(4))));
  const axis = { stroke: () => color("--quiet"), grid: { stroke: () => color("--grid"), width: 1 },
    ticks: { stroke: () => color("--grid"), width: 1 }, font: "12px system-ui, sans-serif" };
  const tick = (value) => (value == null ? "" : String(Number(value.toPrecision(4))));

  function atEnd(plot) { // without a pointer the legend reads the last step
    if (plot.legend.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 });
  }

  function markBest(step) { // a line at the best checkpoint
    return (plot) => {
      if (step == null) return;
      const { ctx, bbox } = plot;
      const x = Math.round(plot.valToPos(step, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.save();
      ctx.strokeStyle = color("--ok");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.restore();
    };
  }

  function options(chart, width, logarithmic) {
    const lines = chart.series.map((one, k) => ({
      label: one.label, stroke: () => color(`--s${k % PALETTE}`), width: 1.5, spanGaps: true,
      dash: one.reference ? [4, 4] : k < PALETTE ? [] : [6, 4],
      points: { show: !one.reference && one.steps.length < 40, size: 4 },
      value: (_, value) => format(value),
    }));
    return {
      width, height: HEIGHT, series: [{ label: "step", value: (_, v) => format(v) }, ...lines],
      scales: { x: { time: false }, y: { distr: logarithmic ? 3 : 1 } },
      axes: [{ ...axis, size: 32 }, { ...axis, size: 58, values: (_, all) => all.map(tick) }],
      cursor: { points: { size: 6 } }, legend: { live: true }, hooks: { setLegend: [atEnd], draw: [markBest(chart.mark)] },
    };
  }

  function build(box) {
    const chart = JSON.parse(box.querySelector("script").textContent);
    const data = aligned(chart.series);
    const steps = data[0];
    const head = document.createElement("figcaption");
    const title = document.createElement("span");
    const area = document.createElement("div");
    let plot = null;
    let index = steps.length - 1;
    const positive = data.slice(1).every((row) => row.every((v) => v === null || v > 0));
    title.textContent = chart.title;
    if (chart.mark != null) {
      const best = document.createElement("small");
      best.textContent = ` best at step ${chart.mark.toLocaleString("en-US")}`;
      title.append(best);
    }
    area.className = "plot";
    area.tabIndex = 0;
    area.setAttribute("role", "img");
    const last = chart.series.map((one) => `${one.label} ${format(one.values.at(-1))}`);
    area.setAttribute("aria-label", `${chart.title}; at the end: ${last.join(", ")}`);

    function draw(logarithmic) {
      if (plot) plot.destroy();
      plot = new uPlot(options(chart, Math.max(200, box.clientWidth), logarithmic), data, area);
      plot.setLegend({ idx: steps.length - 1 });
    }
    const all = () => plot.setScale("x", { min: steps[0], max: steps.at(-1) });
    function zoom(factor) {
      const { min, max } = plot.scales.x;
      const middle = Math.min(Math.max(steps[index], min), max);
      const half = Math.max(1, ((max - min) * factor) / 2);
      if (half * 2 >= steps.at(-1) - steps[0]) all();
      else plot.setScale("x", { min: middle - half, max: middle + half });
    }
    function read(move) {
      index = Math.min(Math.max(index + move, 0), steps.length - 1);
      const left = plot.valToPos(steps[index], "x");
      plot.setCursor({ left, top: 10 });
    }
    const keys = { ArrowLeft: () => read(-1), ArrowRight: () => read(1), "+": () => zoom(ZOOM),
      "=": () => zoom(ZOOM), "-": () => zoom(1 / ZOOM), 0: all };
    area.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    head.append(title);
    if (positive) {
      head.append(button("log", "logarithmic scale", (made) => {
        const on = made.getAttribute("aria-pressed") !== "true";
        made.setAttribute("aria-pressed", String(on));
        draw(on);
      }));
    }
    head.append(button("+", "zoom in", () => zoom(ZOOM)), button("–", "zoom out", () => zoom(1 / ZOOM)),
      button("all", "show all steps", all));
    box.append(head, area);
    draw(false);
    shown.set(box, () => {
      const width = Math.max(200, box.clientWidth);
      if (width !== plot.width) plot.setSize({ width, height: HEIGHT });
      plot.redraw(false, true);
    });
  }

  function drawVisible() {
    for (const box of document.querySelectorAll(".chart")) {
      if (box.dataset.drawn || !box.clientWidth) continue; // one in closed details has no width
      box.dataset.drawn = "yes";
      build(box);
    }
    for (const [box, redraw] of shown) {
      if (box.isConnected) redraw();
      else shown.delete(box); // its section was replaced
    }
  }
  document.addEventListener("toggle", drawVisible, true); // of details; it does not bubble
  window.addEventListener("replaced", drawVisible);
  window.addEventListener("resize", drawVisible);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawVisible);
  drawVisible();
})();
