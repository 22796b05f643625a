"use strict";
// Keys of the pages on which people answer: numbers choose, n ticks a box, Enter sends or goes on.
(() => {
  const form = document.querySelector("form[data-ballot]");
  const next = document.querySelector("a[data-next]");
  const typing = (target) => target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || typing(event.target)) return;
    const field = form?.querySelector(`input[data-key="${CSS.escape(event.key)}"]`);
    if (field) {
      field.click();
      field.focus();
      event.preventDefault();
    } else if (event.key === "Enter" && !event.target.closest("a, button, summary")) {
      if (next) next.click();
      else if (form?.querySelector("input[type=radio]:checked")) form.requestSubmit();
      else return;
      event.preventDefault();
    }
  });
  // A second click must not send the form twice; the server would keep the first vote anyway.
  form?.addEventListener("submit", () => { for (const b of form.querySelectorAll("button")) b.disabled = true; });
  window.addEventListener("pageshow", () => { for (const b of form?.querySelectorAll("button") ?? []) b.disabled = false; });
})();
