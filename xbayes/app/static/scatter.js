"use strict";
// The scatter plot: sources where they are few, shading by counts where they are many.
(() => {
  const { selection, ask, look, clean, number, fill, layout, panel } = window.xbayes.plots;
  const here = () => new URL(location.href).searchParams;
  const KEYS = ["x", "y", "xlog", "ylog", "colour"];

  function fromAddress() {
    const ends = (here().get("szoom") || "").split(",").map(Number);
    return ends.length === 4 && ends.every(Number.isFinite) ? { x: ends.slice(0, 2), y: ends.slice(2) } : null;
  }

  // The view is in the scale of the axes: logarithms where an axis is logarithmic.
  const unscaled = (ends, log) => ends.map((v) => Number((log ? 10 ** v : v).toPrecision(5)));
  const scaled = (ends, log) => (log ? ends.map(Math.log10) : [...ends]);

  async function load(state, signal) {
    const asked = selection(), marks = window.xbayes.list("mark");
    for (const key of KEYS) if (here().get(key)) asked.set(key, here().get(key));
    const axes = state.data && { x: state.data.x, y: state.data.y };
    if (state.view && axes) window_(asked, state.view, axes);
    else if (state.wanted) ["x0", "x1", "y0", "y1"].forEach((key, k) => asked.set(key, state.wanted[k]));
    const data = await ask("/api/scatter", asked, signal);
    data.marked = null;
    if (marks.length) {
      const named = new URLSearchParams({ ids: marks.join("|"), x: data.x.column, y: data.y.column });
      for (const key of ["x", "y"]) { named.set(`${key}log`, data[key].log ? 1 : 0); data[key].range.forEach((v, k) => named.set(`${key}${k}`, v)); }
      if (asked.get("run")) named.set("run", asked.get("run"));
      data.marked = (await ask("/api/scatter", named, signal)).sources;
    }
    state.view = { x: scaled(data.x.range, data.x.log), y: scaled(data.y.range, data.y.log) };
    return data;
  }

  function window_(asked, view, axes) {
    for (const key of ["x", "y"]) {
      const [low, high] = unscaled(view[key], axes[key].log);
      asked.set(`${key}0`, low);
      asked.set(`${key}1`, high);
      asked.set(`${key}log`, axes[key].log ? 1 : 0);
    }
  }

  // Edges of the bins in the units of the columns.
  function edges(axis, n) {
    const [low, high] = scaled(axis.range, axis.log);
    return Array.from({ length: n + 1 }, (_, k) => { const v = low + ((high - low) * k) / n; return axis.log ? 10 ** v : v; });
  }

  // Counts as an image: the colour mixes those of the classes by their shares, the density shades.
  function shading(state, shown) {
    const { data, config } = state, [nx, ny] = data.shape, cells = new Map();
    data.bins.class.forEach((name, k) => {
      if (!shown.has(name)) return;
      const at = data.bins.j[k] * nx + data.bins.i[k], cell = cells.get(at) || { n: 0, by: {}, sum: 0, of: 0 };
      cell.n += data.bins.n[k];
      cell.by[name] = data.bins.n[k];
      if (data.bins.colour[k] !== null) { cell.sum += data.bins.colour[k] * data.bins.n[k]; cell.of += data.bins.n[k]; }
      cells.set(at, cell);
    });
    const most = Math.max(1, ...[...cells.values()].map((cell) => cell.n));
    const canvas = Object.assign(document.createElement("canvas"), { width: nx, height: ny }), pen = canvas.getContext("2d");
    const image = pen.createImageData(nx, ny), text = [], z = [];
    const rgb = Object.fromEntries(config.classes.map((name) => [name, channels(look(config, name).colour)]));
    for (let j = 0; j < ny; j++) { text.push(new Array(nx).fill("")); z.push(new Array(nx).fill(null)); }
    for (const [at, cell] of cells) {
      const i = at % nx, j = Math.floor(at / nx), pixel = 4 * ((ny - 1 - j) * nx + i);
      for (const [name, n] of Object.entries(cell.by)) for (let c = 0; c < 3; c++) image.data[pixel + c] += (rgb[name][c] * n) / cell.n;
      image.data[pixel + 3] = 255 * (0.22 + 0.78 * Math.log1p(cell.n) / Math.log1p(most));
      text[j][i] = Object.entries(cell.by).sort((a, b) => b[1] - a[1]).map(([name, n]) => `${clean(name)}: ${number(n)}`).join("<br>");
      if (data.colour) { z[j][i] = cell.of ? cell.sum / cell.of : null; if (cell.of) text[j][i] += `<br>${fill(config.words.mean, clean(data.colour))} ${z[j][i].toPrecision(4)}`; }
      else z[j][i] = cell.n;
    }
    pen.putImageData(image, 0, 0);
    return { source: canvas.toDataURL(), text, z };
  }

  function channels(colour) {
    const value = parseInt(colour.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
  }

  function axisOf(axis, view, theme) {
    const unit = axis.unit ? ` [${axis.unit}]` : "";
    return { type: axis.log ? "log" : "linear", range: view, title: { text: clean(axis.column) + clean(unit), standoff: 6 }, gridcolor: theme.line, zeroline: false, linecolor: theme.muted, showline: true, ticks: "outside", exponentformat: "power", automargin: true };
  }

  function points(state, shown, theme) {
    const { data, config } = state, table = data.sources;
    const known = table.colour.filter((v) => v !== null), range = data.colour && known.length ? [Math.min(...known), Math.max(...known)] : null;
    return config.classes.filter((name) => shown.has(name)).map((name, order) => {
      const at = table.class.map((c, k) => (c === name ? k : -1)).filter((k) => k >= 0), { colour, symbol } = look(config, name);
      const marker = { symbol, size: 7, opacity: 0.8, color: colour, line: { width: 0 } };
      if (range) Object.assign(marker, { color: at.map((k) => table.colour[k]), colorscale: "Cividis", cmin: range[0], cmax: range[1], showscale: order === 0, colorbar: { title: { text: clean(data.colour), side: "right" }, thickness: 12, tickfont: { color: theme.ink } } });
      return {
        type: "scatter", mode: "markers", meta: "sources", name, ids: at.map((k) => table.id[k]), x: at.map((k) => table.x[k]), y: at.map((k) => table.y[k]), marker,
        text: at.map((k) => `<b>${clean(table.id[k])}</b><br>${clean(name)}, ${config.words.probability} ${table.p[k]}${data.colour ? `<br>${clean(data.colour)} ${table.colour[k]}` : ""}`),
        hovertemplate: `%{text}<br>x %{x:.4g}, y %{y:.4g}<br>${config.words.open}<extra></extra>`,
      };
    });
  }

  // Curves of the model beside the axes, each to its own height.
  function curves(state, shown) {
    const { data, config } = state, made = [];
    for (const key of ["x", "y"]) {
      if (!data[key].density) continue;
      for (const name of config.classes.filter((c) => shown.has(c))) {
        const height = data[key].density.height[name], at = data[key].density.at;
        const line = { color: look(config, name).colour, width: 1.5, dash: config.looks[name].dash };
        const own = { type: "scatter", mode: "lines", line, hovertemplate: `${clean(name)}: ${config.words.density}<extra></extra>` };
        made.push(key === "x" ? { ...own, x: at, y: height, xaxis: "x", yaxis: "y2" } : { ...own, x: height, y: at, xaxis: "x2", yaxis: "y" });
      }
    }
    return made;
  }

  function draw(state) {
    const { data, config, view } = state, theme = window.xbayes.themeColours(), words = config.words;
    const hidden = new Set(window.xbayes.list("hide")), shown = new Set(config.classes.filter((c) => !hidden.has(c)));
    const made = layout(), traces = [], few = !data.bins.n.length;
    Object.assign(made, { margin: { l: 50, r: 8, t: 8, b: 40 }, xaxis: axisOf(data.x, view.x, theme), yaxis: axisOf(data.y, view.y, theme) });
    const side = { zeroline: false, showgrid: false, showticklabels: false, rangemode: "tozero", fixedrange: true };
    if (data.x.density) { made.yaxis.domain = [0, 0.84]; made.yaxis2 = { ...side, domain: [0.87, 1], anchor: "x" }; }
    if (data.y.density) { made.xaxis.domain = [0, 0.86]; made.xaxis2 = { ...side, domain: [0.89, 1], anchor: "y" }; }
    if (few) traces.push(...points(state, shown, theme));
    else {
      const { source, text, z } = shading(state, shown), [nx, ny] = data.shape;
      const coloured = Boolean(data.colour);
      if (!coloured) {
        const [x0, x1] = scaled(data.x.range, data.x.log), [y0, y1] = scaled(data.y.range, data.y.log);
        made.images = [{ source, xref: "x", yref: "y", x: x0, y: y1, sizex: x1 - x0, sizey: y1 - y0, sizing: "stretch", layer: "below", xanchor: "left", yanchor: "top" }];
      }
      traces.push({ type: "heatmap", x: edges(data.x, nx), y: edges(data.y, ny), z, text, hovertemplate: "%{text}<extra></extra>", hoverongaps: false, opacity: coloured ? 1 : 0, showscale: coloured, colorscale: "Cividis",
        colorbar: { title: { text: clean(data.colour), side: "right" }, thickness: 12, tickfont: { color: theme.ink } } });
    }
    traces.push(...curves(state, shown));
    if (data.marked) {
      traces.push({ type: "scatter", mode: "markers", meta: "sources", ids: data.marked.id, x: data.marked.x, y: data.marked.y, text: data.marked.id.map(clean), hovertemplate: "%{text}<extra></extra>",
        marker: { symbol: "circle-open", size: 16, color: theme.ink, line: { width: 2.5 } } });
    }
    const total = Object.values(data.counts).reduce((sum, n) => sum + n, 0);
    let note = fill(few ? (total === 1 ? words.one : words.each) : words.binned, number(total));
    if (data.without) note += `; ${fill(words.without, number(data.without))}`;
    if (data.x.density || data.y.density) note += `; ${words.curves}`;
    return { traces, layout: made, note };
  }

  function selectIn(state, x, y) {
    const { data } = state, changes = {};
    // Selected ranges of logarithmic axes come in the units of the columns; the view does not.
    const own = x === state.view.x;
    for (const [key, ends] of [["x", x], ["y", y]]) {
      const real = own ? unscaled(ends, data[key].log) : ends.map((v) => Number(Number(v).toPrecision(5)));
      changes[`f.${data[key].column}`] = `${Math.min(...real)}..${Math.max(...real)}`;
    }
    window.xbayes.select(changes);
  }

  const made = panel("scatter", { load, draw, selectIn, home: () => null });
  if (!made) return;
  const named = () => KEYS.map((key) => here().get(key)).join();
  let axes = named();
  made.state.wanted = fromAddress() && [...fromAddress().x, ...fromAddress().y];
  made.state.onMoved = (state) => window.xbayes.note("szoom", state.view && state.data ? [...unscaled(state.view.x, state.data.x.log), ...unscaled(state.view.y, state.data.y.log)].join(",") : "");
  // A new selection or new axes find their own range, unless the address names one.
  made.state.onSelection = (state) => {
    const zoom = fromAddress();
    state.wanted = zoom && named() === axes ? [...zoom.x, ...zoom.y] : null;
    axes = named();
    state.view = null;
  };
  made.refresh();
})();
