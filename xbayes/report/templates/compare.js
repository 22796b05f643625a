"use strict";
// For the selected pair of variants: the sources with different classes, largest difference first.
(() => {
  const data = JSON.parse(document.getElementById("compare-data").textContent);
  if (!data) return;
  const chosen = [document.getElementById("first"), document.getElementById("second")];
  const body = document.getElementById("disagreements");
  const head = document.getElementById("disagreements-head");
  const top = (p) => p.indexOf(Math.max(...p));
  const add = (row, kind, text, name) => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (name) made.className = name;
    row.append(made);
    return made;
  };
  const show = () => {
    const [a, b] = chosen.map((select) => Number(select.value));
    const order = [a, b, ...data.names.keys()].filter((v, at, all) => all.indexOf(v) === at);
    const found = [];
    data.ids.forEach((id, n) => {
      const [p, q] = [data.p[a][n], data.p[b][n]];
      if (top(p) === top(q)) return;
      const strength = 0.5 * p.reduce((sum, x, c) => sum + Math.abs(x - q[c]), 0);
      found.push({ id, n, strength });
    });
    found.sort((x, y) => y.strength - x.strength);
    head.replaceChildren();
    for (const text of ["source", "truth", "difference"]) add(head, "th", text, "text");
    order.forEach((v, at) => add(head, "th", data.names[v], at < 2 ? "text held" : "text"));
    body.replaceChildren(...found.slice(0, data.most).map(({ id, n, strength }) => {
      const row = document.createElement("tr");
      add(row, "th", id, "text");
      add(row, "td", data.classes[data.truth[n]], "text");
      add(row, "td", strength.toFixed(2));
      order.forEach((v, at) => {
        const p = data.p[v][n];
        const right = top(p) === data.truth[n] ? " right" : "";
        add(row, "td", data.classes[top(p)] + " " + p[top(p)].toFixed(2),
          "text" + (at < 2 ? " held" : "") + right);
      });
      return row;
    }));
    document.getElementById("how-many").textContent =
      found.length + " sources" + (found.length > data.most ? ", " + data.most + " shown" : "");
  };
  chosen.forEach((select) => select.addEventListener("change", show));
  document.querySelectorAll(".live").forEach((part) => { part.hidden = false; });
  show();
})();
