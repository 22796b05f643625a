// The interactive figures: the sky and two features, from the points inside the page.
"use strict";
(() => {
  const points = JSON.parse(document.getElementById("points").textContent);
  // The report sends nothing: plotly has a button that uploads the data to a server.
  const settings = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "sendDataToCloud"] };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: "#1d232a" };
  // plotly interprets some HTML in texts.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const counts = points.classes.map((_, c) => points.prediction.filter((p) => p === c).length);
  // Later traces lie on top: the rarest class is last, but the legend keeps the order of the classes.
  const order = points.classes.map((_, c) => c).sort((a, b) => counts[b] - counts[a]);
  const size = Math.max(2.5, Math.min(7, 7 * (2000 / points.names.length) ** 0.3));
  const kind = points.names.length > 6000 && hasWebGL() ? "scattergl" : "scatter";

  function hasWebGL() {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  }

  function hoverText(i) {
    const at = points.sky && points.sky.l[i] !== null ? `<br>l ${points.sky.l[i]}°, b ${points.sky.b[i]}°` : "";
    const percent = Math.min(99.9, Math.max(0.1, 100 * points.probability[i])).toFixed(1);
    return `<b>${plain(points.names[i])}</b><br>${plain(points.classes[points.prediction[i]])} ${percent} %` +
      `<br>outlier_p ${points.outlier_p[i]}${at}`;
  }

  function traces(x, y) {
    return order.map((c) => {
      const rows = points.names.map((_, i) => i)
        .filter((i) => points.prediction[i] === c && x[i] !== null && y[i] !== null);
      return {
        type: kind, mode: "markers", name: `${plain(points.classes[c])} (${rows.length.toLocaleString("en")})`,
        legendrank: c + 1, x: rows.map((i) => x[i]), y: rows.map((i) => y[i]), text: rows.map(hoverText),
        hovertemplate: "%{text}<extra></extra>",
        marker: { color: points.colours[c], symbol: points.symbols[c], size, opacity: 0.75,
          line: { color: "white", width: kind === "scatter" ? 0.4 : 0 } },
      };
    });
  }

  const common = {
    font, hovermode: "closest", paper_bgcolor: "white", plot_bgcolor: "white",
    legend: { orientation: "h", x: 0, y: 1.01, xanchor: "left", yanchor: "bottom", itemsizing: "constant" },
    hoverlabel: { bgcolor: "white", font: { ...font, size: 12.5 }, align: "left" },
  };

  function drawSky(place) {
    const sky = points.sky;
    const grid = sky.grid.map(([x, y]) => ({
      type: "scatter", mode: "lines", x, y, hoverinfo: "skip", showlegend: false, line: { color: "#c9d0d6", width: 1 },
    }));
    const marks = { type: "scatter", mode: "text", ...sky.marks, hoverinfo: "skip", showlegend: false,
      textposition: "top center", textfont: { size: 11, color: "#5f6b76" } };
    const axis = { visible: false, fixedrange: false };
    Plotly.newPlot(place, [...grid, ...traces(sky.x, sky.y), marks], { ...common,
      margin: { l: 10, r: 10, t: 40, b: 10 },
      xaxis: { ...axis, range: [-2.03, 2.03] },
      yaxis: { ...axis, range: [-1.03, 1.03], scaleanchor: "x" },
    }, settings);
  }

  function drawScatter(place) {
    const choices = ["x", "y"].map((axis) => document.getElementById(`scatter-${axis}`));
    const draw = () => {
      const [x, y] = choices.map((choice) => Number(choice.value));
      // The start excludes a few absurd values; a double-click shows them too.
      const axis = (f) => ({ title: { text: plain(points.axes[f]) }, range: points.range[f], gridcolor: "#e6eaed", zerolinecolor: "#c9d0d6",
        automargin: true, linecolor: "#5f6b76", ticks: "outside" });
      Plotly.react(place, traces(points.value[x], points.value[y]), { ...common,
        margin: { l: 60, r: 10, t: 40, b: 50 }, xaxis: axis(x), yaxis: axis(y) }, settings);
    };
    choices.forEach((choice) => choice.addEventListener("change", draw));
    draw();
  }

  const draws = { sky: drawSky, scatter: drawScatter };
  for (const live of document.querySelectorAll(".live")) {
    live.hidden = false;
    // The printed figure is hidden only if the interactive one is drawn.
    live.parentElement.classList.add("lively");
    const place = live.querySelector(".plot");
    draws[place.id.slice("live-".length)](place);
  }
})();
