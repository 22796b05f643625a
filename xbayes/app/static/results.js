"use strict";
// The results page: reliability of the probabilities of one class.
(() => {
  const plot = document.querySelector("#reliability");
  if (!plot) return;
  const choice = document.querySelector("#reliability-class"), body = document.querySelector("#reliability-table tbody");
  const looks = JSON.parse(plot.dataset.looks), words = JSON.parse(plot.dataset.words);
  const percent = (v) => (v === null ? "–" : `${(100 * v).toFixed(1)} %`);

  function show(found) {
    const theme = window.xbayes.themeColours(), name = choice.value, bins = found.classes[name], look = looks[name];
    const full = bins.observed.map((v, k) => k).filter((k) => bins.observed[k] !== null);
    const of = (key) => full.map((k) => bins[key][k]);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches && look.colour === "#222222";
    const band = { type: "bar", name: words.band, x: full.map((k) => (found.edges[k] + found.edges[k + 1]) / 2), base: of("calibrated_low"), y: full.map((k) => bins.calibrated_high[k] - bins.calibrated_low[k]), width: 0.1, marker: { color: theme.line, opacity: 0.6 }, hoverinfo: "skip" };
    const line = { type: "scatter", mode: "lines", name: words.perfect, x: [0, 1], y: [0, 1], line: { color: theme.muted, dash: "dash", width: 1 }, hoverinfo: "skip" };
    const points = {
      type: "scatter", mode: "markers", name, x: of("predicted"), y: of("observed"), marker: { size: 9, symbol: look.symbol, color: dark ? "#b9c0c6" : look.colour },
      error_y: { type: "data", symmetric: false, array: full.map((k) => bins.high[k] - bins.observed[k]), arrayminus: full.map((k) => bins.observed[k] - bins.low[k]) },
      customdata: of("size"), hovertemplate: `${words.predicted} %{x:.1%}<br>${words.observed} %{y:.1%}<br>%{customdata} ${words.sources}<extra></extra>`,
    };
    const axis = (text) => ({ title: { text }, range: [-0.03, 1.03], tickformat: ".0%", gridcolor: theme.line, zeroline: false, fixedrange: true });
    window.Plotly.react(plot, [band, line, points], { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: theme.ink }, margin: { l: 60, r: 10, t: 10, b: 50 }, height: 380, legend: { orientation: "h", y: -0.25 }, xaxis: axis(words.predicted), yaxis: axis(words.observed) }, { displayModeBar: false, responsive: true });
    body.replaceChildren(...full.map((k) => {
      const row = document.createElement("tr");
      for (const text of [percent(bins.predicted[k]), percent(bins.observed[k]), `${percent(bins.low[k])} – ${percent(bins.high[k])}`, String(bins.size[k])]) {
        const cell = document.createElement("td");
        cell.className = "number";
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }));
  }

  fetch(plot.dataset.address, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then((found) => {
      choice.addEventListener("change", () => show(found));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(found));
      show(found);
    })
    .catch(() => { plot.textContent = words.failed; });
})();
