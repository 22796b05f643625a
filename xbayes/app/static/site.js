"use strict";
// What every page needs: forms that are sent when a choice changes.
for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
// Colours of a page as CSS has them, for plots that must follow light and dark.
function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), muted: of("--muted"), line: of("--line"), paper: of("--paper"), accent: of("--accent") };
}
window.xbayes = Object.assign(window.xbayes || {}, { themeColours });
