"use strict";
// What the sky map and the scatter plot share: data, tools, looks.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const SELECTION = ["run", "q", "ra", "dec", "radius", "class", "p_min", "p_max", "width_max", "set", "ids", "box"];

  // The parameters that select, from the address of the page.
  function selection() {
    const found = new URLSearchParams();
    for (const [key, value] of new URL(location.href).searchParams) {
      if (value && (SELECTION.includes(key) || key.startsWith("f."))) found.append(key, value);
    }
    return found;
  }

  async function ask(path, params, signal) {
    const answer = await fetch(`${path}?${params}`, { signal, headers: { Accept: "application/json" } });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error || answer.statusText);
    return content;
  }

  // Black and the darkest colours cannot be seen on a dark page.
  const seen = (colour) => (dark.matches ? { "#222222": "#d0d5da", "#0072B2": "#3f9fd8", "#882255": "#d07aa8" }[colour] || colour : colour);

  function look(config, name) {
    const known = config.looks[name] || { colour: "#8A8A8A", symbol: "circle-open" };
    return { colour: seen(known.colour), symbol: known.symbol };
  }

  // Plotly reads some HTML in texts; names of sources are no HTML.
  const clean = (text) => String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const number = (n) => Number(n).toLocaleString(document.documentElement.lang);
  const fill = (text, ...values) => values.reduce((all, value) => all.replace("%s", value), text);

  function layout() {
    const theme = window.xbayes.themeColours();
    return {
      autosize: true, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: theme.ink, size: 12, family: "system-ui, DejaVu Sans, sans-serif" },
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.muted, font: { color: theme.ink } },
      selectdirection: "any", newselection: { line: { color: theme.ink } }, hovermode: "closest",
    };
  }

  const options = (large) => ({ displayModeBar: false, responsive: true, scrollZoom: large, doubleClick: false });

  function open(id) {
    const run = new URL(location.href).searchParams.get("run");
    location.href = `/source/${encodeURIComponent(id)}${run ? `?run=${encodeURIComponent(run)}` : ""}`;
  }

  // A plot with tools: `view` moves over its ranges, `draw` draws, `load` fetches for the view.
  function panel(id, { load, draw, selectIn, home }) {
    const root = document.getElementById(id), plot = root?.querySelector(".plot");
    if (!plot) return null;
    const config = JSON.parse(root.dataset.config), note = root.querySelector(".plot-note");
    const state = { root, plot, config, data: null, marked: null, view: home(), drag: coarse.matches ? false : "select", first: true };
    let running = null, timer = 0, order = 0;

    async function refresh() {
      running?.abort();
      running = new AbortController();
      const mine = ++order;
      plot.setAttribute("aria-busy", "true");
      try {
        const data = await load(state, running.signal);
        if (mine !== order) return;
        state.data = data;
        redraw();
      } catch (error) {
        if (error.name !== "AbortError" && mine === order) {
          note.textContent = fill(config.words.failed, error.message);
        }
      } finally {
        if (mine === order) plot.removeAttribute("aria-busy");
      }
    }

    function redraw() {
      if (!state.data) return;
      const drawn = draw(state);
      Object.assign(drawn.layout, { dragmode: state.drag, selections: [] });
      note.textContent = drawn.note;
      window.Plotly.react(plot, drawn.traces, drawn.layout, options(config.large));
      if (state.first) listen();
      state.first = false;
    }

    function listen() {
      plot.on("plotly_relayout", (change) => {
        const keys = Object.keys(change);
        if (!keys.some((key) => /^[xy]axis\.(range|autorange)/.test(key))) return;
        const { xaxis, yaxis } = plot.layout;
        state.view = { x: [...xaxis.range], y: [...yaxis.range] };
        clearTimeout(timer);
        timer = setTimeout(moved, 200);
      });
      plot.on("plotly_selected", (event) => {
        if (event?.range?.x) selectIn(state, event.range.x, event.range.y);
      });
      plot.on("plotly_click", (event) => {
        const point = event.points.find((one) => one.data.meta);
        if (point?.data.meta === "sources") open(point.data.ids[point.pointIndex ?? point.pointNumber]);
        if (point?.data.meta === "cells") zoom(0.25, [point.x, point.y]);
      });
    }

    function moved() {
      state.onMoved?.(state);
      refresh();
    }

    function zoom(factor, centre) {
      const [x, y] = [state.view.x, state.view.y];
      const about = centre || [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2];
      const scaled = (ends, at) => { const half = (Math.abs(ends[1] - ends[0]) * factor) / 2; return [at - half, at + half]; };
      state.view = { x: scaled(x, about[0]), y: scaled(y, about[1]) };
      moved();
    }

    function shift(dx, dy) {
      const { x, y } = state.view, w = (x[1] - x[0]) * dx, h = (y[1] - y[0]) * dy;
      state.view = { x: [x[0] + w, x[1] + w], y: [y[0] + h, y[1] + h] };
      moved();
    }

    function whole() {
      state.view = home();
      moved();
    }

    function setDrag(mode) {
      state.drag = mode;
      for (const button of root.querySelectorAll("[data-drag]")) button.setAttribute("aria-pressed", String(button.dataset.drag === mode));
      if (!state.first) window.Plotly.relayout(plot, { dragmode: mode });
    }

    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.drag) setDrag(button.dataset.drag === state.drag ? false : button.dataset.drag);
      if (button.dataset.zoom === "in") zoom(0.5);
      if (button.dataset.zoom === "out") zoom(2);
      if (button.dataset.zoom === "all") whole();
      if ("selectView" in button.dataset && state.data) selectIn(state, state.view.x, state.view.y);
    });
    plot.addEventListener("keydown", (event) => {
      const keys = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: whole, ArrowLeft: () => shift(-0.2, 0), ArrowRight: () => shift(0.2, 0), ArrowUp: () => shift(0, 0.2), ArrowDown: () => shift(0, -0.2) };
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    document.addEventListener("xbayes:selection", () => { state.onSelection?.(state); refresh(); });
    document.addEventListener("xbayes:marks", refresh);
    document.addEventListener("xbayes:layers", redraw);
    dark.addEventListener("change", redraw);
    setDrag(state.drag);
    note.textContent = config.words.loading;
    return { state, refresh, redraw };
  }

  window.xbayes = Object.assign(window.xbayes || {}, { plots: { selection, ask, look, clean, number, fill, layout, panel } });
})();
