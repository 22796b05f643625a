"use strict";
// The map of the sky: cells with their counts, which resolve into sources as one zooms in.
(() => {
  const { selection, ask, look, clean, number, fill, layout, panel } = window.xbayes.plots;
  const WHOLE = { x: [-2.08, 2.08], y: [-1.06, 1.06] };
  const here = () => new URL(location.href).searchParams;
  const frame = () => here().get("frame") || "galactic";
  const isWhole = (view) => view.x[0] <= -2 && view.x[1] >= 2 && view.y[0] <= -1 && view.y[1] >= 1;

  function fromAddress() {
    const ends = (here().get("zoom") || "").split(",").map(Number);
    return ends.length === 4 && ends.every(Number.isFinite) ? { x: ends.slice(0, 2), y: ends.slice(2) } : null;
  }

  // Ends of a window with the digits that its size needs, so that equal windows have equal names.
  function ends(view) {
    const digits = Math.max(2, Math.ceil(2.5 - Math.log10(view.x[1] - view.x[0])));
    return [...view.x, ...view.y].map((v) => Number(v.toFixed(Math.min(digits, 9))));
  }

  async function load(state, signal) {
    const asked = selection(), marks = window.xbayes.list("mark");
    asked.set("frame", frame());
    if (!isWhole(state.view)) ends(state.view).forEach((v, k) => asked.set(["x0", "x1", "y0", "y1"][k], v));
    const data = await ask("/api/sky", asked, signal);
    data.marked = null;
    if (marks.length) {
      const named = new URLSearchParams({ frame: frame(), ids: marks.join("|") });
      if (asked.get("run")) named.set("run", asked.get("run"));
      data.marked = (await ask("/api/sky", named, signal)).sources;
    }
    return data;
  }

  function graticule(lines, theme) {
    const x = [], y = [];
    for (const line of lines) { x.push(...line.x, null); y.push(...line.y, null); }
    const named = lines.filter((line) => line.label);
    return [
      { type: "scatter", mode: "lines", x, y, hoverinfo: "skip", line: { color: theme.line, width: 1 } },
      { type: "scatter", mode: "text", x: named.map((l) => l.at[0]), y: named.map((l) => l.at[1]), text: named.map((l) => l.label), hoverinfo: "skip", textfont: { color: theme.ink, size: 10, shadow: `0 0 3px ${theme.paper}, 0 0 3px ${theme.paper}` }, textposition: named.map((l) => (/^[+-]/.test(l.label) || l.x[0] === l.at[0] || l.label === "0°" && Math.abs(l.y[0] - l.y[l.y.length - 1]) < 1e-6 ? "top center" : "bottom center")) },
    ];
  }

  function ofClass(table, name) {
    return table.class.map((c, k) => (c === name ? k : -1)).filter((k) => k >= 0);
  }

  const channels = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  const sizeText = (degrees) => (degrees < 1 ? `${(60 * degrees).toPrecision(2)}′` : `${degrees.toPrecision(2)}°`);

  // One mark a cell: the symbol of its most numerous class, the mean colour, a size by its number.
  function cells(state, shown) {
    const { data, config, plot, view } = state, table = data.cells, looks = shown.map((name) => look(config, name));
    const rgb = looks.map((one) => channels(one.colour)), number_ = shown.map((name) => table.n[config.classes.indexOf(name)]);
    const sum = table.x.map((_, k) => number_.reduce((all, n) => all + n[k], 0)), kept = table.x.map((_, k) => k).filter((k) => sum[k]);
    const ordered = kept.map((k) => sum[k]).sort((a, b) => a - b), most = ordered[Math.floor(0.98 * ordered.length)] || 1;
    // Pixels of the side of a cell, of which the map has 2 pi / (4 pi) square units a steradian.
    const side = ((data.cell_degrees * Math.PI) / 180) * Math.SQRT1_2 * (plot.clientWidth / (view.x[1] - view.x[0]));
    const large = Math.max(5, Math.min(30, 1.15 * side));
    const mix = (k) => `rgb(${[0, 1, 2].map((c) => Math.round(rgb.reduce((all, own, i) => all + own[c] * number_[i][k], 0) / sum[k]))})`;
    const first = (k) => number_.reduce((best, n, i) => (n[k] > number_[best][k] ? i : best), 0);
    return {
      type: "scatter", mode: "markers", meta: "cells", x: kept.map((k) => table.x[k]), y: kept.map((k) => table.y[k]),
      marker: { color: kept.map(mix), symbol: kept.map((k) => looks[first(k)].symbol), opacity: 0.85, line: { width: 0 }, size: kept.map((k) => Math.max(2.5, large * Math.min(1, sum[k] / most) ** 0.35)) },
      text: kept.map((k) => `${fill(config.words.cell, sizeText(data.cell_degrees))}<br>${shown.map((name, i) => (number_[i][k] ? `<b>${clean(name)}</b>: ${number(number_[i][k])}` : "")).filter(Boolean).join("<br>")}`),
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  function sources(state, name) {
    const { data, config } = state, table = data.sources, at = ofClass(table, name), { colour, symbol } = look(config, name);
    return {
      type: "scatter", mode: "markers", meta: "sources", name, ids: at.map((k) => table.id[k]), x: at.map((k) => table.x[k]), y: at.map((k) => table.y[k]),
      marker: { color: colour, symbol, size: 7, opacity: 0.85, line: { width: 0 } },
      text: at.map((k) => `<b>${clean(table.id[k])}</b><br>${clean(name)}, ${config.words.probability} ${table.p[k]}<br>${config.words.open}`),
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  function draw(state) {
    const { data, config, view } = state, theme = window.xbayes.themeColours(), words = config.words;
    const hidden = new Set(window.xbayes.list("hide")), shown = config.classes.filter((c) => !hidden.has(c));
    const [lines, labels] = graticule(data.lines, theme);
    const points = data.order === null ? shown.map((name) => sources(state, name)) : [cells(state, shown)];
    const traces = [lines, ...(shown.length ? points : []), labels];
    if (data.marked) {
      traces.push({ type: "scatter", mode: "markers", meta: "sources", ids: data.marked.id, x: data.marked.x, y: data.marked.y, text: data.marked.id.map(clean), hovertemplate: "%{text}<extra></extra>",
        marker: { symbol: "circle-open", size: 16, color: theme.ink, line: { width: 2.5 } } });
    }
    const made = layout(), box = (here().get("box") || "").split(",");
    const axis = { visible: false, zeroline: false };
    Object.assign(made, { margin: { l: 4, r: 4, t: 4, b: 4 }, uirevision: "sky",
      xaxis: { ...axis, range: view.x }, yaxis: { ...axis, range: view.y, scaleanchor: "x", scaleratio: 1 } });
    if (box[0] === frame()) {
      const [x0, x1, y0, y1] = box.slice(1).map(Number);
      made.shapes = [{ type: "rect", x0, x1, y0, y1, line: { color: theme.accent, width: 2, dash: "dash" } }];
    }
    return { traces, layout: made, note: noteOf(data, words) };
  }

  function noteOf(data, words) {
    const total = Object.values(data.counts).reduce((sum, n) => sum + n, 0);
    if (!total) return words.none;
    if (data.sample) return fill(words.sample, number(data.sources.id.length));
    return data.order === null ? fill(total === 1 ? words.one : words.each, number(total)) : fill(words.cells, number(total), sizeText(data.cell_degrees));
  }

  function selectIn(state, x, y) {
    const digits = ends({ x: [Math.min(...x), Math.max(...x)], y: [Math.min(...y), Math.max(...y)] });
    window.xbayes.select({ box: [frame(), ...digits].join(",") });
  }

  const made = panel("sky", { load, draw, selectIn, home: () => ({ x: [...WHOLE.x], y: [...WHOLE.y] }) });
  if (!made) return;
  made.state.view = fromAddress() || made.state.view;
  made.state.onMoved = (state) => window.xbayes.note("zoom", isWhole(state.view) ? "" : ends(state.view).join(","));
  made.state.onSelection = (state) => { state.view = fromAddress() || { x: [...WHOLE.x], y: [...WHOLE.y] }; };
  made.refresh();
})();
