"use strict";
// The source page: densities that load when they are seen, light curves, the sum of a prior.
(() => {
  const { themeColours, clean } = window.xbayes;
  const config = { displayModeBar: false, responsive: true };
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const base = (theme) => ({ paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: theme.ink, size: 11 }, showlegend: false });
  const colourOf = (look) => (look.colour === "#222222" && dark() ? "#b9c0c6" : look.colour);

  function whenSeen(element, act) {
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((e) => e.isIntersecting)) return;
      watcher.disconnect();
      act();
    }, { rootMargin: "200px" });
    watcher.observe(element);
  }

  function densityPlot(plot, panel, looks, words) {
    const theme = themeColours();
    const traces = Object.entries(panel.density).map(([name, y]) => ({
      type: "scatter", mode: "lines", name, x: panel.x, y, line: { color: colourOf(looks[name]), dash: looks[name].dash, width: 1.8 }, hovertemplate: `${clean(name)}: %{y:.3g}<extra></extra>`,
    }));
    const shapes = [];
    if (panel.value !== null) {
      if (panel.error) shapes.push({ type: "rect", xref: "x", yref: "paper", x0: panel.value - panel.error, x1: panel.value + panel.error, y0: 0, y1: 1, fillcolor: theme.muted, opacity: 0.25, line: { width: 0 } });
      shapes.push({ type: "line", xref: "x", yref: "paper", x0: panel.value, x1: panel.value, y0: 0, y1: 1, line: { color: theme.ink, width: 2 } });
    }
    const axis = panel.axis.length > 46 ? panel.axis.slice(0, 45) + "…" : panel.axis;
    window.Plotly.newPlot(plot, traces, {
      ...base(theme), margin: { l: 38, r: 8, t: 6, b: 38 }, shapes, hovermode: "x unified", hoverlabel: { bgcolor: theme.paper, font: { color: theme.ink } },
      xaxis: { title: { text: clean(axis), font: { size: 11 } }, gridcolor: theme.line, zeroline: false, fixedrange: true },
      yaxis: { rangemode: "tozero", gridcolor: theme.line, nticks: 4, fixedrange: true },
    }, config);
  }

  function legend(looks) {
    const list = document.createElement("ul");
    list.className = "legend";
    const dashes = { solid: "", dash: "8 4", dot: "2 3", dashdot: "8 3 2 3", longdash: "12 4", longdashdot: "12 3 2 3" };
    for (const [name, look] of Object.entries(looks)) {
      const item = document.createElement("li"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(svg.namespaceURI, "line");
      svg.setAttribute("viewBox", "0 0 40 10");
      svg.setAttribute("aria-hidden", "true");
      for (const [key, value] of Object.entries({ x1: 0, x2: 40, y1: 5, y2: 5, stroke: colourOf(look), "stroke-width": 3, "stroke-dasharray": dashes[look.dash] ?? look.dash.replace(/px/g, "").replace(",", " ") })) line.setAttribute(key, value);
      svg.append(line);
      item.append(svg, ` ${name}`);
      list.append(item);
    }
    return list;
  }

  async function densities(root) {
    const looks = JSON.parse(root.dataset.looks), words = JSON.parse(root.dataset.words);
    root.textContent = words.loading;
    let found;
    try {
      const answer = await fetch(root.dataset.address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      found = await answer.json();
    } catch {
      root.textContent = words.failed;
      return;
    }
    root.replaceChildren(legend(looks));
    let category = null;
    for (const panel of found.panels) {
      if (panel.category !== category) {
        category = panel.category;
        const title = document.createElement("h3");
        title.textContent = words.categories[category] || category;
        root.append(title);
      }
      const figure = document.createElement("figure"), caption = document.createElement("figcaption"), plot = document.createElement("div");
      figure.className = "density";
      plot.className = "density-plot";
      plot.setAttribute("role", "img");
      const state = panel.state === "measured" || !panel.state ? panel.text : words[panel.state];
      caption.textContent = `${panel.feature}: ${state}`;
      caption.title = panel.description;
      plot.setAttribute("aria-label", `${panel.axis}; ${words.value}: ${state}`);
      figure.append(caption, plot);
      if (panel.state && panel.state !== "measured") {
        const note = document.createElement("p");
        note.className = "small muted";
        const shares = Object.entries(panel.not_detected).filter(([, v]) => v !== null).map(([n, v]) => `${n} ${(100 * v).toFixed(0)} %`);
        if (shares.length) note.textContent = `${words.share}: ${shares.join(", ")}`;
        figure.append(note);
      }
      root.append(figure);
      whenSeen(plot, () => densityPlot(plot, panel, looks, words));
    }
  }

  function lightCurve(plot) {
    const points = JSON.parse(plot.dataset.curve), words = JSON.parse(plot.dataset.words), theme = themeColours();
    const missions = [...new Set(points.map((p) => p.mission))];
    const symbols = ["circle", "square", "diamond", "triangle-up", "cross", "x"], colours = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"];
    const traces = missions.map((mission, k) => {
      const own = points.filter((p) => p.mission === mission && p.mjd !== null);
      return {
        type: "scatter", mode: "markers", name: mission, x: own.map((p) => p.mjd), y: own.map((p) => p.flux),
        error_y: { type: "data", symmetric: false, array: own.map((p) => (p.is_limit ? 0 : p.error_high || 0)), arrayminus: own.map((p) => (p.is_limit ? 0 : p.error_low || 0)) },
        marker: { size: 8, color: colours[k % 6], symbol: own.map((p) => (p.is_limit ? "triangle-down-open" : symbols[k % 6])) },
        text: own.map((p) => clean(p.detection) + (p.is_limit ? ` (${words.limit})` : "")), hovertemplate: "%{text}<br>MJD %{x:.1f}: %{y:.3g}<extra>%{fullData.name}</extra>",
      };
    });
    window.Plotly.newPlot(plot, traces, {
      ...base(theme), showlegend: true, legend: { orientation: "h" }, margin: { l: 70, r: 10, t: 10, b: 50 },
      xaxis: { title: { text: words.time }, gridcolor: theme.line, tickformat: "d" }, yaxis: { title: { text: `${words.flux} [${clean(words.unit)}]` }, type: "log", gridcolor: theme.line, exponentformat: "power" },
    }, config);
  }

  function series(plot) {
    const one = JSON.parse(plot.dataset.series), theme = themeColours();
    window.Plotly.newPlot(plot, [{ type: "scatter", mode: "markers", x: one.x, y: one.y, error_y: { type: "data", symmetric: false, array: one.high, arrayminus: one.low }, error_x: one.width ? { type: "data", array: one.width } : undefined, marker: { size: 5, color: "#0072B2" } }],
      { ...base(theme), margin: { l: 70, r: 10, t: 10, b: 50 }, xaxis: { title: { text: clean(one.x_text) }, type: one.log_x ? "log" : "linear", gridcolor: theme.line }, yaxis: { title: { text: clean(one.y_text) }, type: one.log_y ? "log" : "linear", gridcolor: theme.line } }, config);
  }

  function priorSum(box) {
    const output = box.querySelector(".prior-sum"), fields = [...box.querySelectorAll("input")], words = JSON.parse(output.dataset.words);
    function tell() {
      const given = fields.filter((f) => f.value.trim());
      const sum = given.reduce((total, f) => total + Number(f.value), 0);
      const note = !given.length ? "" : given.length < fields.length ? ` (${words.incomplete})` : Math.abs(sum - 1) > 1e-6 ? ` (${words.scaled})` : "";
      output.textContent = given.length ? Number(sum.toPrecision(6)) + note : "–";
    }
    box.addEventListener("input", tell);
    tell();
  }

  function fileSize(field) {
    const note = document.querySelector("#file-note"), buttons = field.form.querySelectorAll("button");
    field.addEventListener("change", () => {
      const large = field.files.length > 0 && field.files[0].size > Number(field.dataset.most);
      note.textContent = large ? field.dataset.tooLarge : "";
      for (const button of buttons) button.disabled = large;
    });
  }

  const root = document.querySelector(".densities");
  if (root) whenSeen(root, () => densities(root));
  for (const one of document.querySelectorAll(".light-curve")) whenSeen(one, () => lightCurve(one));
  for (const one of document.querySelectorAll(".prior")) priorSum(one);
  for (const one of document.querySelectorAll("input[type=file][data-most]")) fileSize(one);
  function drawSeries() {
    for (const one of document.querySelectorAll("[data-series]")) if (!one.dataset.drawn) { one.dataset.drawn = "yes"; series(one); }
  }
  // Empty fields say nothing, so they are left out of the address.
  document.addEventListener("htmx:configRequest", (event) => {
    const { formData } = event.detail;
    for (const [name, value] of [...formData.entries()]) if (value === "") formData.delete(name);
  });
  drawSeries();
  document.addEventListener("htmx:afterSettle", drawSeries);
})();
