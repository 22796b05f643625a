"use strict";
// The address holds the whole state. A change makes a new address; the table, the form and the plots
// follow it. Without this script the same links and forms load whole pages.
(() => {
  // What scripts set in the address without a new page: marked sources, hidden classes, zooms.
  const LIVE = ["mark", "hide", "zoom", "szoom"];
  const here = () => new URL(location.href);

  // Commas and bars may stand in addresses as they are.
  const readable = (url) => String(url).replaceAll("%2C", ",").replaceAll("%7C", "|");

  function withLive(url) {
    const now = here().searchParams;
    for (const key of LIVE) {
      url.searchParams.delete(key);
      if (now.get(key)) url.searchParams.set(key, now.get(key));
    }
    return url;
  }

  // Load the selection of an address into the page.
  async function go(url, { push = true } = {}) {
    for (const [key, value] of [...url.searchParams]) if (!value.trim()) url.searchParams.delete(key, value);
    document.body.setAttribute("aria-busy", "true");
    try {
      await window.htmx.ajax("GET", url.pathname + url.search, { target: "#results", swap: "outerHTML" });
    } finally {
      document.body.removeAttribute("aria-busy");
    }
    if (push) history.pushState({}, "", readable(answered || url));
    changed();
  }

  let answered = null; // the address that the server answered for, in its usual form
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    // An error is a page, too: it says what is wrong with the selection.
    const status = event.detail.xhr.status;
    if (status === 422 || status === 404) Object.assign(event.detail, { shouldSwap: true, isError: false });
    answered = event.detail.xhr.responseURL || null;
  });

  function changed() {
    const found = document.getElementById("found"), alert = document.querySelector("#results [role=alert]");
    document.getElementById("told").textContent = (alert || found || {}).textContent || "";
    showMarks();
    if (!alert) document.dispatchEvent(new CustomEvent("xbayes:selection"));
  }

  // Replace parameters of the address without a new page: plots follow, the table need not.
  function note(key, value) {
    const url = here();
    if (value) url.searchParams.set(key, value);
    else url.searchParams.delete(key);
    history.replaceState({}, "", readable(url));
  }

  // ---- forms and links ----
  function addressOf(form) {
    const url = new URL(form.action, location.href), data = new FormData(form);
    const kept = form.dataset.set ? here().searchParams : new URLSearchParams();
    const own = (form.dataset.set || "").split(" "), drop = (form.dataset.drop || "").split(" ");
    for (const [key, value] of kept) if (!own.includes(key) && !drop.includes(key)) url.searchParams.append(key, value);
    for (const [key, value] of data) if (value && (!form.dataset.set || own.includes(key))) url.searchParams.append(key, value);
    if (drop.length && drop[0]) for (const key of drop) note(key, "");
    url.searchParams.delete("offset");
    return withLive(url);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("#filters, #marks, form[data-set]")) return;
    event.preventDefault();
    if (form.id === "marks") note("mark", "");
    go(addressOf(form));
  });

  document.addEventListener("change", (event) => {
    const field = event.target, form = field.form;
    if (field.dataset.layer) hide();
    else if (field.matches("#marks input[type=checkbox]")) mark(field.value, field.checked);
    else if (form?.matches("form[data-set]") && field.tagName === "SELECT") form.requestSubmit();
    else if (form?.id === "filters" && field.matches("[type=checkbox], #set")) form.requestSubmit();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-go]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      go(withLive(new URL(link.href)));
    }
    if (event.target.id === "unmark") {
      note("mark", "");
      showMarks();
      document.dispatchEvent(new CustomEvent("xbayes:marks"));
    }
  });

  addEventListener("popstate", () => go(here(), { push: false }));

  // ---- marked sources and hidden classes ----
  const list = (key) => (here().searchParams.get(key) || "").split("|").filter(Boolean);

  function mark(name, on) {
    const names = list("mark").filter((other) => other !== name);
    if (on) names.push(name);
    note("mark", names.join("|"));
    showMarks();
    document.dispatchEvent(new CustomEvent("xbayes:marks"));
  }

  function showMarks() {
    const names = new Set(list("mark"));
    for (const box of document.querySelectorAll("#marks tbody input[type=checkbox]")) {
      box.checked = names.has(box.value);
      box.closest("tr").toggleAttribute("aria-selected", box.checked);
      if (box.checked) box.closest("tr").setAttribute("aria-selected", "true");
    }
    const unmark = document.getElementById("unmark");
    if (unmark) unmark.hidden = !names.size;
  }

  function hide() {
    const changedBox = document.activeElement;
    const name = changedBox?.dataset.layer, on = changedBox?.checked;
    for (const box of document.querySelectorAll("[data-layer]")) if (box.dataset.layer === name) box.checked = on;
    const hidden = [...document.querySelectorAll("[data-layer]")].filter((box) => !box.checked).map((box) => box.dataset.layer);
    note("hide", [...new Set(hidden)].join("|"));
    document.dispatchEvent(new CustomEvent("xbayes:layers"));
  }

  // Selecting in a plot: new conditions in the address.
  function select(changes) {
    const url = here();
    url.searchParams.delete("offset");
    for (const [key, value] of Object.entries(changes)) {
      url.searchParams.delete(key);
      if (value) url.searchParams.set(key, value);
    }
    go(url);
  }

  for (const box of document.querySelectorAll("[data-layer]")) box.checked = !list("hide").includes(box.dataset.layer);
  showMarks();
  Object.assign(window.xbayes, { go, note, select, list, here });
})();
