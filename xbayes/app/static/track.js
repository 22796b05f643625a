"use strict";
// Probability tracks: bars of what each feature adds to the log-odds of the predicted class.
(() => {
  const config = { displayModeBar: false, responsive: true };

  function factor(evidence) {
    const size = Math.exp(Math.min(Math.abs(evidence), 700));
    if (size < 1.05) return "×1";
    return (evidence > 0 ? "×" : "÷") + (size < 10 ? size.toFixed(1) : size < 9500 ? size.toPrecision(2).replace(/e.*/, "") && Math.round(size).toLocaleString() : size.toExponential(1));
  }

  function linesOf(track, words) {
    const lines = [{ text: words.prior, terms: track.prior }, { text: words.offset, terms: track.offset }];
    if (track.subclasses) lines.push({ text: words.subclasses, terms: track.subclasses });
    for (const [category, terms] of Object.entries(track.categories)) {
      lines.push({ text: words.categories[category] || category, terms, sum: true });
      for (const one of track.features) {
        if (one.category !== category) continue;
        const value = one.state === "measured" ? one.text : words[one.state];
        lines.push({ text: one.feature, terms: one.ln_odds, value, absent: one.state !== "measured", description: one.description });
      }
    }
    lines.push({ text: words.total, terms: track.total, sum: true });
    return lines;
  }

  function draw(root) {
    const track = JSON.parse(root.dataset.track), looks = JSON.parse(root.dataset.looks), words = JSON.parse(root.dataset.words);
    const plot = root.querySelector(".track-plot"), choice = root.querySelector(".against");
    const theme = window.xbayes.themeColours();
    const lines = linesOf(track, words);
    const seen = (name) => (looks[name].colour === "#222222" && matchMedia("(prefers-color-scheme: dark)").matches ? "#b9c0c6" : looks[name].colour);
    function show() {
      const against = choice.value;
      const at = lines.map((_, k) => k), x = lines.map((l) => -l.terms[against]);
      const towards = x.map((v) => (v >= 0 ? track.reference : against));
      const colour = towards.map(seen);
      const label = (l) => (l.sum ? `<b>${clean(l.text)}</b>` : `   ${clean(l.text)}`);
      const bars = {
        type: "bar", orientation: "h", x, y: at,
        marker: {
          color: colour, opacity: lines.map((l) => (l.sum ? 1 : 0.65)),
          pattern: { shape: lines.map((l, k) => (l.absent ? "/" : x[k] < 0 ? "." : "")), fgcolor: theme.paper, size: 6 },
        },
        text: x.map(factor), textposition: "outside", cliponaxis: false, textfont: { color: theme.ink, size: 11 },
        customdata: lines.map((l, k) => [clean(l.value || ""), clean(l.description || ""), towards[k], clean(l.text), factor(x[k])]),
        hovertemplate: `<b>%{customdata[3]}</b> %{customdata[0]}<br>%{x:+.2f} · ${words.factor} %{customdata[4]}<br>${words.favours} %{customdata[2]}<br>%{customdata[1]}<extra></extra>`,
      };
      const narrow = plot.clientWidth < 520;
      const low = Math.min(0, ...x), high = Math.max(0, ...x), span = high - low || 1;
      const layout = {
        height: 90 + 24 * lines.length, margin: { l: narrow ? 110 : 260, r: 40, t: 10, b: 45 },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: theme.ink, size: 12 }, showlegend: false, bargap: 0.3,
        xaxis: { title: { text: words.evidence.replace("%s", track.reference).replace("%s", against) }, gridcolor: theme.line, zerolinecolor: theme.ink, zerolinewidth: 1.5, fixedrange: true, range: [low - (low < 0 ? 0.18 : 0.02) * span, high + 0.18 * span] },
        yaxis: { autorange: "reversed", tickmode: "array", tickvals: at, fixedrange: true,
          ticktext: lines.map((l) => label(l) + (l.value && !narrow ? `  <span style="color:${theme.muted}">${clean(l.value)}</span>` : "")) },
      };
      window.Plotly.react(plot, [bars], layout, config);
    }
    choice.addEventListener("change", show);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Object.assign(theme, window.xbayes.themeColours()) && show());
    show();
  }

  // Plotly reads some markup in texts.
  function clean(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function drawTracks(root) {
    for (const one of root.querySelectorAll("[data-track]")) {
      if (one.dataset.drawn) continue;
      one.dataset.drawn = "yes";
      draw(one);
    }
  }
  window.xbayes = Object.assign(window.xbayes || {}, { drawTracks, clean });
  drawTracks(document);
  document.addEventListener("htmx:afterSettle", () => drawTracks(document));
})();
